package disk

import (
	"context"
	"errors"

	"github.com/metalpool/metalpool/agent/aligned"
	"github.com/metalpool/metalpool/core"
)

// Erase destroys all data and names the method.
func (d *Device) Erase(ctx context.Context, progress func(done, total core.Bytes)) (method string, class core.EraseClass, err error) {
	if d.facts.info.Removable {
		return "none", core.NotErased, errors.New("removable and virtual media are not erased")
	}
	if d.facts.zeroes {
		if err := d.zeroAll(ctx, progress); err == nil || ctx.Err() != nil {
			return methodZeroes, core.Clear, err
		}
	}
	return methodOverwrite, core.Clear, d.overwrite(ctx, progress)
}

const (
	methodZeroes    = "write zeroes by the device"
	methodOverwrite = "overwrite with zeros"
)

// clearStep is in bytes: long enough for the speed of any disk.
const clearStep = 8 << 20

// overwrite writes zeros to every sector as data: what a drive is told to make zero
// it may merely forget.
func (d *Device) overwrite(ctx context.Context, progress func(done, total core.Bytes)) error {
	zeros := aligned.Bytes(clearStep)
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
