package disk

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// control calls fn with the file's descriptor, again where a signal interrupts it.
func control(f *os.File, fn func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) {
		for {
			if failed = fn(int(fd)); !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	}); err != nil {
		return err
	}
	return failed
}

// rangeIoctl is BLKZEROOUT or BLKDISCARD; off and n are multiples of the sector.
func rangeIoctl(fd int, request uint, off, n int64) error {
	span := [2]uint64{uint64(off), uint64(n)}
	return ioctl(fd, request, unsafe.Pointer(&span))
}

func ioctl(fd int, request uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
