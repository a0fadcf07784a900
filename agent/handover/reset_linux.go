package handover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/agent/gpt"
	"github.com/metalpool/metalpool/agent/handover/efi"
)

// Reset takes away what an owner left outside the disks, once those are erased. Each
// line says what was done, or could not be; doing it again does no harm.
//
// It is an error only where an owner has locked the TPM and it can neither be cleared
// nor the firmware be asked to: the next owner could not use it, and the last one's
// keys are still in it. A TPM that nobody owns and that refuses is a line: there are
// servers whose firmware lets no OS clear it, and they are none the worse for that.
// So is one that does not tell, which is broken or has no driver.
func (s *System) Reset(ctx context.Context) ([]string, error) {
	lines := s.resetCrashes()
	lines = append(lines, s.resetFirmware()...)
	if ctx.Err() != nil {
		return lines, context.Cause(ctx)
	}
	line, err := s.resetTPM()
	if line != "" {
		lines = append(lines, line)
	}
	return lines, err
}

func (s *System) resetFirmware() []string {
	variables, err := s.variables()
	if errors.Is(err, efi.ErrNone) {
		return []string{"no boot entries to reset: " + err.Error()}
	}
	if err != nil {
		return []string{"boot entries cannot be reset: " + err.Error()}
	}
	there, err := s.signatures()
	if err != nil {
		return []string{"boot entries cannot be reset, since the disks cannot be listed: " + err.Error()}
	}
	lines := variables.Forget(label, func(d efi.HardDrive) bool {
		if d.MBR {
			var id gpt.GUID
			copy(id[:4], d.Signature[:])
			return there[id]
		}
		return there[d.Signature]
	})
	if lines == nil {
		lines = []string{"the firmware holds no boot entry or variable of an owner"}
	}
	return lines
}

// resetCrashes deletes what kernels that crashed left of their log.
func (s *System) resetCrashes() []string {
	dir := s.path("sys/fs/pstore")
	if err := mountCrashes(dir); err != nil {
		return []string{"records of crashes cannot be seen: " + err.Error()}
	}
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // this kernel keeps none
	}
	removed, failed := 0, []error{err}
	for _, f := range files {
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			failed = append(failed, err)
			continue
		}
		removed++
	}
	var lines []string
	if removed > 0 {
		lines = append(lines, fmt.Sprintf("records of crashes removed: %d", removed))
	}
	if err := errors.Join(failed...); err != nil {
		lines = append(lines, fmt.Sprintf("records of crashes that stay: %v", err))
	}
	return lines
}

// mountCrashes shows the records where the kernel shows nothing so far, but has a
// place for them.
func mountCrashes(dir string) error {
	var at unix.Statfs_t
	err := unix.Statfs(dir, &at)
	if err == nil && at.Type == unix.SYSFS_MAGIC {
		err = unix.Mount("pstore", dir, "pstore", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
