// Package filedisk is a disk that is a sparse file: what the agent writes to where
// there is no hardware.
package filedisk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/metalpool/metalpool/core"
)

// Faults make a disk fail. Each is called before the operation it is named for and
// may block; nil never fails.
type Faults struct {
	Read  func(off int64, n int) error
	Write func(off int64, n int) error
	// Erase stands in for the erase, which it may call, or not: a disk may also lie.
	Erase func(ctx context.Context, erase func() error) error
}

// Disk is an agent's disk. Its methods may be called side by side.
type Disk struct {
	info   core.Disk
	file   *os.File
	faults Faults
}

// SectorSize is that of all disks of this package, in bytes.
const SectorSize = 512

// Open opens the file, which is made where it is not there, as the disk that info
// describes. A file that is shorter grows; one that is longer is Invalid. The
// caller closes the disk.
func Open(path string, info core.Disk, faults Faults) (*Disk, error) {
	fail := func(kind core.Kind, err error) (*Disk, error) {
		return nil, &core.Error{Op: "open disk " + info.Serial, Kind: kind, Err: err}
	}
	if info.Size <= 0 || info.Size%SectorSize != 0 {
		return fail(core.Invalid, fmt.Errorf("a size of %d bytes", int64(info.Size)))
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fail(core.Internal, err)
	}
	stat, err := f.Stat()
	if err == nil && stat.Size() > int64(info.Size) {
		err = fmt.Errorf("%s has %d bytes, more than the disk's %d", path, stat.Size(), int64(info.Size))
	}
	if err == nil && stat.Size() < int64(info.Size) {
		err = f.Truncate(int64(info.Size))
	}
	if err != nil {
		_ = f.Close()
		return fail(core.Invalid, err)
	}
	if info.Path == "" {
		info.Path = path
	}
	return &Disk{info: info, file: f, faults: faults}, nil
}

// Close closes the file.
func (d *Disk) Close() error { return d.file.Close() }

// Info describes the disk.
func (d *Disk) Info() core.Disk { return d.info }

// SectorSize is in bytes.
func (d *Disk) SectorSize() int { return SectorSize }

// ReadAt is io.ReaderAt.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	if d.faults.Read != nil {
		if err := d.faults.Read(off, len(p)); err != nil {
			return 0, err
		}
	}
	return d.file.ReadAt(p, off)
}

// WriteAt is io.WriterAt. A disk has an end.
func (d *Disk) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(d.info.Size) {
		return 0, fmt.Errorf("%d bytes at %d are past the end of a disk of %d", len(p), off, int64(d.info.Size))
	}
	if d.faults.Write != nil {
		if err := d.faults.Write(off, len(p)); err != nil {
			return 0, err
		}
	}
	return d.write(p, off)
}

// zeroRun is how long zeros must be, in bytes, to be worth a hole of their own.
const zeroRun = 64 << 10

var zeros [zeroRun]byte

// write leaves holes for long runs of zeros, so that an image takes as much room as
// there is data in it: a lab has many disks with the same image.
func (d *Disk) write(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		run, hole := nextRun(p[n:])
		at := off + int64(n)
		if hole {
			err = punch(d.file, at, int64(run))
		}
		if !hole || errors.Is(err, errors.ErrUnsupported) {
			_, err = d.file.WriteAt(p[n:n+run], at)
		}
		if err != nil {
			return n, err
		}
		n += run
	}
	return n, nil
}

// nextRun is how many bytes p begins with that are all zeros, or are not, in steps of
// zeroRun.
func nextRun(p []byte) (n int, hole bool) {
	isHole := func(at int) bool { return len(p)-at >= zeroRun && bytes.Equal(p[at:at+zeroRun], zeros[:]) }
	hole = isHole(0)
	for n = min(zeroRun, len(p)); n < len(p) && isHole(n) == hole; n = min(n+zeroRun, len(p)) {
	}
	return n, hole
}

// Zero makes n bytes at off read as zeros; where the file system can, they take no
// room afterwards. It counts as a write of them.
func (d *Disk) Zero(ctx context.Context, off, n int64) error {
	if off < 0 || n < 0 || n > int64(d.info.Size)-off {
		return fmt.Errorf("%d bytes at %d are past the end of a disk of %d", n, off, int64(d.info.Size))
	}
	if d.faults.Write != nil && n > 0 {
		if err := d.faults.Write(off, int(n)); err != nil {
			return err
		}
	}
	return d.zero(ctx, off, n)
}

// Discard is Zero: it costs a file nothing.
func (d *Disk) Discard(ctx context.Context, off, n int64) error { return d.Zero(ctx, off, n) }

func (d *Disk) zero(ctx context.Context, off, n int64) error {
	if n == 0 {
		return nil
	}
	if err := punch(d.file, off, n); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	for n > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		wrote, err := d.file.WriteAt(zeros[:min(zeroRun, n)], off)
		if err != nil {
			return err
		}
		off, n = off+int64(wrote), n-int64(wrote)
	}
	return nil
}

// Sync waits until what was written would survive a power cut.
func (d *Disk) Sync() error { return d.file.Sync() }

// ReadMedium reads what the file system would find after a power cut: past the
// page cache, as far as it can be bypassed.
func (d *Disk) ReadMedium(p []byte, off int64) (int, error) {
	if err := d.file.Sync(); err != nil {
		return 0, err
	}
	if err := dropCache(d.file, off, int64(len(p))); err != nil {
		return 0, err
	}
	return d.ReadAt(p, off)
}

// Erase makes the whole file a hole.
func (d *Disk) Erase(ctx context.Context, progress func(done, total core.Bytes)) (method string, class core.EraseClass, err error) {
	// Each step is told of. For a large disk of holes they would else be most of the work.
	step := max(1<<30, int64(d.info.Size)/32)
	erase := func() error {
		for off := int64(0); off < int64(d.info.Size); off += step {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			n := min(step, int64(d.info.Size)-off)
			if err := d.zero(ctx, off, n); err != nil {
				return err
			}
			progress(core.Bytes(off+n), d.info.Size)
		}
		return d.file.Sync()
	}
	if d.faults.Erase != nil {
		err = d.faults.Erase(ctx, erase)
	} else {
		err = erase()
	}
	return "file hole", core.Clear, err
}
