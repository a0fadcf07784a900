package efi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Open finds the firmware's variables below dir, usually Dir, and mounts them there
// where nobody has.
func Open(dir string) (*Variables, error) {
	var at unix.Statfs_t
	err := unix.Statfs(dir, &at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err == nil && at.Type != unix.EFIVARFS_MAGIC {
		err = unix.Mount("efivarfs", dir, "efivarfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
	if err != nil {
		return nil, fmt.Errorf("the firmware's variables cannot be seen: %w", err)
	}
	return &Variables{dir: dir, put: putOnce}, nil
}

// Plain takes a plain directory for the firmware's variables: tests have no firmware.
func Plain(dir string) *Variables {
	return &Variables{dir: dir, put: func(path string, content []byte) error { return os.WriteFile(path, content, 0o600) }}
}

// putOnce does not truncate: of efivarfs that would be a change of its own.
func putOnce(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

const immutable = 0x10 // FS_IMMUTABLE_FL

// release lets a variable be changed: Linux guards those that it does not know
// against an accidental rm.
func release(path string) error {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if errors.Is(err, unix.ENOTTY) || err == nil && flags&immutable == 0 {
		return nil
	}
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags&^immutable))
	}
	if err != nil {
		return fmt.Errorf("%s cannot be made writable: %w", path, err)
	}
	return nil
}
