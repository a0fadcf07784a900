package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A mount of what the kernel tells and takes.
type mount struct {
	kind, at string
	flags    uintptr
	options  string
	may      bool // be missing: not every machine has it
}

var mounts = []mount{
	{kind: "devtmpfs", at: "/dev", flags: unix.MS_NOSUID, options: "mode=0755"},
	{kind: "proc", at: "/proc", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{kind: "sysfs", at: "/sys", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{kind: "tmpfs", at: "/run", flags: unix.MS_NOSUID | unix.MS_NODEV, options: "mode=0755,size=64m"},
	{kind: "tmpfs", at: "/tmp", flags: unix.MS_NOSUID | unix.MS_NODEV, options: "mode=1777,size=64m"},
}

// Those that a module brings.
var lateMounts = []mount{
	{kind: "efivarfs", at: "/sys/firmware/efi/efivars", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, may: true},
	{kind: "pstore", at: "/sys/fs/pstore", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, may: true},
}

func mountAll(list []mount) error {
	var errs []error
	for _, m := range list {
		if !m.may {
			if err := os.MkdirAll(m.at, 0o755); err != nil {
				errs = append(errs, err)
			}
		} else if _, err := os.Stat(m.at); err != nil {
			continue
		}
		if err := unix.Mount(m.kind, m.at, m.kind, m.flags, m.options); err != nil && !errors.Is(err, unix.EBUSY) {
			errs = append(errs, fmt.Errorf("mount %s: %w", m.at, err))
		}
	}
	return errors.Join(errs...)
}
