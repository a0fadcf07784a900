package filedisk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// punch frees a range of the file, which then reads as zeros.
// errors.ErrUnsupported: this file system has no holes.
func punch(f *os.File, off, n int64) error {
	return retry(f, func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
}

// dropCache forgets clean pages. A file system that keeps its files in memory
// ignores it.
func dropCache(f *os.File, off, n int64) error {
	return retry(f, func(fd int) error { return unix.Fadvise(fd, off, n, unix.FADV_DONTNEED) })
}

func retry(f *os.File, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	if err := conn.Control(func(fd uintptr) {
		for {
			if callErr = call(int(fd)); !errors.Is(callErr, unix.EINTR) {
				return
			}
		}
	}); err != nil {
		return err
	}
	return callErr
}
