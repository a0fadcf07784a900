package handover

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/agent/handover/bootcfg"
	"github.com/metalpool/metalpool/core"
)

// loadKernel hands the kernel to the one that runs, which keeps copies of its own.
// Initrds are joined, as a boot loader does.
func loadKernel(s bootcfg.Start) error {
	room, err := freeMemory()
	if err != nil {
		return err
	}
	room /= 2 // the kernel's copies take the other half
	kernel, err := inMemory("kernel", []bootcfg.File{s.Kernel}, &room)
	if err != nil {
		return err
	}
	defer func() { _ = kernel.Close() }() // memory only
	initrd, flags := -1, unix.KEXEC_FILE_NO_INITRAMFS
	if len(s.Initrds) > 0 {
		f, err := inMemory("initrd", s.Initrds, &room)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // memory only
		initrd, flags = int(f.Fd()), 0
	}
	return explain(unix.KexecFileLoad(int(kernel.Fd()), initrd, s.Cmdline, flags))
}

// explain says what the errors mean that the kernel gives a number only.
func explain(err error) error {
	because := map[error]string{
		unix.EPERM:   "the ramdisk's kernel allows no kexec: Secure Boot locks it down, or kexec_load_disabled is set",
		unix.ENOEXEC: "its kernel has a format that kexec does not know",
		unix.ENOSYS:  "the ramdisk's kernel was built without kexec",
		unix.ENOMEM:  "there is not enough memory for the kernel and its initrd",
		unix.EBUSY:   "another kernel is being loaded",
		// ENOKEY, EBADMSG and EKEYREJECTED are about signatures.
		unix.ENOKEY:       "its kernel is signed by nobody whom the ramdisk's kernel trusts",
		unix.EKEYREJECTED: "its kernel's signature is refused",
		unix.EBADMSG:      "its kernel's signature is damaged",
		unix.EINVAL:       "its kernel's format or command line is refused",
	}
	for number, text := range because {
		if errors.Is(err, number) {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return err
}

// freeMemory is in bytes.
func freeMemory() (int64, error) {
	var info unix.Sysinfo_t
	err := unix.Sysinfo(&info)
	return int64(info.Freeram+info.Bufferram) * int64(info.Unit), err
}

// inMemory copies files into one that is in memory only, each to a multiple of four
// bytes, as archives of an initrd have to begin. They take of room, in bytes: a machine
// that runs out of memory in its ramdisk can only be turned off, and a file with a hole
// may be larger than its disk.
func inMemory(name string, files []bootcfg.File, room *int64) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	to := os.NewFile(uintptr(fd), name)
	for _, f := range files {
		if err := appendFile(to, f, room); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", f.Path, err), to.Close())
		}
	}
	return to, nil
}

func appendFile(to io.Writer, f bootcfg.File, room *int64) error {
	from, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // nothing was written
	n, err := io.Copy(to, io.LimitReader(from, *room+1))
	if err != nil {
		return err
	}
	if n > *room {
		return fmt.Errorf("it is larger than the %s of memory that there is for it: %w", core.Bytes(*room), unix.ENOMEM)
	}
	*room -= n
	_, err = io.WriteString(to, strings.Repeat("\x00", int(-n&3)))
	return err
}
