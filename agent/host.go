package agent

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// Host is the machine that an agent runs on.
type Host interface {
	// Inventory tells what the machine is and has; what cannot be told is left empty.
	Inventory(ctx context.Context) (core.Inventory, error)
	// Disks lists every disk, the removable ones too. They stay open, and are closed
	// by whoever made the Host, after Run has returned.
	Disks(ctx context.Context) ([]Disk, error)
	// Boot makes everything ready to start the OS on the disk. leave starts it, and
	// on a real machine returns only where that failed.
	Boot(ctx context.Context, d Disk, mode core.BootMode) (leave func() error, err error)
	// Reset takes away what an owner left outside the disks: boot entries and other
	// variables of the firmware, its store of crashes, the TPM's keys. Each line says
	// what was done, or could not be. The error is for what the next owner must not
	// meet. It is called once the disks are erased, and may be called again.
	Reset(ctx context.Context) ([]string, error)
	// Run runs a script with the variables of its Env alone, and returns its exit status.
	// It has ended, and all that it began as far as that is to be found, when Run returns
	// or soon after ctx has ended. Both of its outputs go to output, which is not written
	// to afterwards.
	Run(ctx context.Context, s core.Script, output io.Writer) (status int, err error)
	// PowerOff may return before the power is gone.
	PowerOff() error
}

// Disk is one drive. Its methods may be called side by side.
type Disk interface {
	io.ReaderAt
	io.WriterAt
	// Info names the disk by a serial or a WWN, and its true size.
	Info() core.Disk
	// SectorSize is that of addresses, in bytes: 512, or 4096 on some disks.
	SectorSize() int
	// Zero makes n bytes at off read as zeros, by the cheapest means there are.
	Zero(ctx context.Context, off, n int64) error
	// Discard lets go of n bytes at off that nobody needs. What they read as afterwards
	// is the disk's affair, and so is whether it does anything.
	Discard(ctx context.Context, off, n int64) error
	// Sync returns when what was written would survive a power cut.
	Sync() error
	// ReadMedium reads what is on the disk, past every cache that can be bypassed.
	// Offset and length are multiples of 4096.
	ReadMedium(p []byte, off int64) (int, error)
	// Erase destroys all data by the most thorough method that the disk has, and
	// names it. It does not verify. progress may be called with any steps.
	Erase(ctx context.Context, progress func(done, total core.Bytes)) (method string, class core.EraseClass, err error)
}

// nameOf is what a disk is called in orders and reports.
func nameOf(d Disk) string {
	info := d.Info()
	for _, name := range []string{info.Serial, info.WWN, info.Path} {
		if name != "" {
			return name
		}
	}
	return "(unnamed)"
}

func isCalled(d Disk, name string) bool {
	info := d.Info()
	return name != "" && (name == info.Serial || name == info.WWN)
}

// findDisk returns the one disk with that serial or WWN. Where it is missing, the
// machine is not what the inventory says: that is the node's fault.
func findDisk(ctx context.Context, h Host, op, name string) (Disk, error) {
	disks, err := h.Disks(ctx)
	if err != nil {
		return nil, &core.Error{Op: op, Kind: core.Backend, Err: fmt.Errorf("the disks cannot be listed: %w", err)}
	}
	var found []Disk
	for _, d := range disks {
		if isCalled(d, name) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, &core.Error{
			Op: op, Kind: core.Backend, Err: fmt.Errorf("there is no disk %q; there are: %s", name, listed(disks)),
			Hint: "look whether a disk has failed or was replaced",
		}
	}
	return nil, &core.Error{Op: op, Kind: core.Backend, Err: fmt.Errorf("%d disks are called %q: %s", len(found), name, listed(found)), Hint: "name the disk by its WWN"}
}

func listed(disks []Disk) string {
	if len(disks) == 0 {
		return "none"
	}
	names := make([]string, len(disks))
	for i, d := range disks {
		names[i] = fmt.Sprintf("%s (%s)", nameOf(d), core.DiskSize(d.Info().Size))
	}
	return strings.Join(names, ", ")
}
