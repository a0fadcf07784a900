package disk

import (
	"context"
	"sync"

	"github.com/metalpool/metalpool/agent/aligned"
	"github.com/metalpool/metalpool/core"
)

// Erase destroys all data by the first method of the disk's ladder that works, and
// names it.
func (d *Device) Erase(ctx context.Context, progress func(done, total core.Bytes)) (method string, class core.EraseClass, err error) {
	e, err := d.eraser(progress)
	if err != nil {
		return "", core.NotErased, err
	}
	return e.erase(ctx)
}

// Resume returns when the disk takes reads and writes: an erase that an earlier boot
// began has ended, and what that left locked is open.
func (d *Device) Resume(ctx context.Context, progress func(done, total core.Bytes)) error {
	e, err := d.eraser(progress)
	if err != nil {
		return err
	}
	return e.resume(ctx)
}

func (d *Device) eraser(progress func(done, total core.Bytes)) (*eraser, error) {
	if d.facts.info.Removable {
		return nil, errMedia
	}
	f, err := d.open()
	if err != nil {
		return nil, err
	}
	return &eraser{facts: d.facts, commands: kernel{f}, surface: d, subsystem: d.subsystem, progress: progress, pause: pause}, nil
}

// clearStep is in bytes: long enough for the speed of any disk.
const clearStep = 8 << 20

// zeroBlock is shared, since a server may have dozens of disks.
var zeroBlock = sync.OnceValue(func() []byte { return aligned.Bytes(clearStep) })

// overwrite writes zeros to every sector as data: what a drive is told to make zero
// it may merely forget.
func (d *Device) overwrite(ctx context.Context, progress func(done, total core.Bytes)) error {
	zeros := zeroBlock()
	return d.each(ctx, clearStep, progress, func(off, n int64) error {
		_, err := d.WriteAt(zeros[:n], off)
		return err
	})
}

// zeroAll has the device make itself zero.
func (d *Device) zeroAll(ctx context.Context, progress func(done, total core.Bytes)) error {
	return d.each(ctx, zeroStep, progress, func(off, n int64) error { return d.Zero(ctx, off, n) })
}

func (d *Device) each(ctx context.Context, step int64, progress func(done, total core.Bytes), do func(off, n int64) error) error {
	size := int64(d.facts.info.Size)
	for off := int64(0); off < size; off += step {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := min(step, size-off)
		if err := do(off, n); err != nil {
			return err
		}
		progress(core.Bytes(off+n), core.Bytes(size))
	}
	return nil
}
