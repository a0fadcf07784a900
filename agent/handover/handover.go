//go:build linux

// Package handover gives a machine over: from the ramdisk to the OS that was written
// to a disk, and from one owner to the next.
//
// The OS is started by kexec, which spares the machine a second firmware POST, or by
// a reboot. Either way a UEFI boot entry for it is written and read back, so that the
// machine starts the OS by itself from then on.
package handover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2/transport"
	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/agent/handover/bootcfg"
	"github.com/metalpool/metalpool/agent/handover/efi"
	"github.com/metalpool/metalpool/core"
)

// System is the machine that is given over. The zero value is this one.
type System struct {
	Log *slog.Logger // nil: slog.Default
	// LoadModule loads the kernel's module of a file system (vfat, ext4, xfs, btrfs)
	// where the kernel itself does not find it. It may be nil.
	LoadModule func(name string) error
	// StopNetwork returns when nobody turns ports on any more. It is called before the
	// OS is started by kexec, and may be nil.
	StopNetwork func()

	// Tests have them elsewhere.
	base     string // of /sys, /dev and /run; "" is "/"
	reread   func(device string) error
	firmware func() (*efi.Variables, error)
	kexec    func(bootcfg.Start) error
	tpm      func() (transport.TPMCloser, error)
}

// label is what our boot entries are called.
const label = "metalpool"

// Prepare makes everything ready to start the OS on a disk that was just written.
// The disk is not changed. Where the OS cannot be started by kexec, the error is of
// the kind Backend and says why; a boot entry was written as far as it could be, so
// that a reboot may be tried. An image without a boot loader is Invalid then. leave
// starts the OS, and returns only where that failed.
func (s *System) Prepare(ctx context.Context, d agent.Disk, mode core.BootMode) (leave func() error, err error) {
	fail := func(err error, hint string) (func() error, error) {
		return nil, &core.Error{Op: "prepare " + string(mode), Kind: core.Backend, Err: err, Hint: hint}
	}
	if mode != core.Kexec && mode != core.Reboot {
		return nil, &core.Error{Op: "prepare to boot", Kind: core.Invalid, Err: fmt.Errorf("the boot mode is %q, not %s or %s", mode, core.Kexec, core.Reboot)}
	}
	if err := d.Sync(); err != nil {
		return fail(fmt.Errorf("the disk does not keep what was written: %w", err), "")
	}
	parts, err := s.partitions(d)
	if err != nil {
		return fail(err, "")
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	v := s.mount(d, needed(parts, mode))
	defer func() {
		if err := v.Close(); err != nil {
			s.log().Warn("a file system of the OS stays mounted", "err", err)
		}
	}()

	entry, err := s.install(d, parts, v)
	switch {
	case errors.Is(err, efi.ErrNone):
		s.log().Info("no boot entry is written", "why", err)
	case errors.As(err, new(*noLoaderError)) && mode == core.Reboot:
		// Any machine would say so: it is not this one's fault.
		return nil, &core.Error{Op: "prepare " + string(mode), Kind: core.Invalid, Err: fmt.Errorf("the firmware would not start the OS: %w", err), Hint: "use an image with a boot loader for UEFI"}
	case err != nil && mode == core.Reboot:
		return fail(fmt.Errorf("the firmware would not start the OS: %w", err), "look at the firmware's setup, or use an image with a boot loader for UEFI")
	case err != nil:
		s.log().Warn("the firmware has no boot entry for the OS, which kexec starts this once", "err", err)
	default:
		s.log().Info("the firmware has a boot entry for the OS", "entry", entry)
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if mode == core.Reboot {
		return func() error { return restart(unix.LINUX_REBOOT_CMD_RESTART) }, nil
	}
	start, err := bootcfg.Choose(v.all)
	if err != nil {
		if len(v.skipped) > 0 {
			err = fmt.Errorf("%w (%s)", err, strings.Join(v.skipped, "; "))
		}
		return fail(fmt.Errorf("no kernel for kexec was found: %w", err), "set the image's boot mode to reboot")
	}
	s.log().Info("the OS starts by kexec", "entry", start.Title, "kernel", start.Kernel.Path, "found", start.Source, "cmdline", start.Cmdline)
	load := s.kexec
	if load == nil {
		load = loadKernel
	}
	if err := load(start); err != nil {
		return fail(fmt.Errorf("%q is not started by kexec: %w", start.Title, err), "set the image's boot mode to reboot")
	}
	return func() error { return s.startKernel() }, nil
}

// needed are the partitions to look into: for a reboot those that the firmware does.
func needed(parts []partition, mode core.BootMode) []partition {
	if mode == core.Kexec {
		return parts
	}
	return slices.DeleteFunc(slices.Clone(parts), func(p partition) bool { return p.kind != espType })
}

// install writes the boot entry.
func (s *System) install(d agent.Disk, parts []partition, v *volumes) (string, error) {
	variables, err := s.variables()
	if err != nil {
		return "", err
	}
	for _, p := range parts {
		if p.kind != espType {
			continue
		}
		for _, volume := range v.all {
			if volume.Name != p.String() {
				continue
			}
			path, err := bootcfg.Loader(volume.Files)
			if err != nil {
				return "", fmt.Errorf("%s: %w", p, &noLoaderError{err})
			}
			sector := int64(d.SectorSize())
			drive := efi.HardDrive{Number: uint32(p.number), First: uint64(p.at / sector), Size: uint64(p.size / sector), Signature: p.id}
			name, err := variables.Install(efi.LoadOption{Attributes: efi.Active, Description: label, Path: efi.FileOn(drive, path)})
			return name + " " + path, err
		}
	}
	none := errors.New("the disk has no EFI system partition")
	if len(v.skipped) > 0 {
		return "", fmt.Errorf("%w that can be read: %s", none, strings.Join(v.skipped, "; "))
	}
	return "", &noLoaderError{none}
}

// noLoaderError is an image that no firmware could start.
type noLoaderError struct{ err error }

func (e *noLoaderError) Error() string { return e.err.Error() }
func (e *noLoaderError) Unwrap() error { return e.err }

func (s *System) variables() (*efi.Variables, error) {
	if s.firmware != nil {
		return s.firmware()
	}
	return efi.Open(efi.Dir)
}

func (s *System) log() *slog.Logger {
	if s.Log == nil {
		return slog.Default()
	}
	return s.Log
}

func (s *System) root() string { return cmp.Or(s.base, "/") }

func (s *System) path(name string) string { return filepath.Join(s.root(), name) }
