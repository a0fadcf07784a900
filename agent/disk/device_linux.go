package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/agent/aligned"
	"github.com/metalpool/metalpool/core"
)

// Device is one block device, as an agent's disk. It is opened when it is first
// used, and holds nothing before. Its methods may be called side by side.
type Device struct {
	facts     facts
	subsystem *subsystem // nil: its own

	opening sync.Mutex
	file    *os.File
	closed  bool

	// parts guards sectors that are written in part, since they are read first.
	parts sync.Mutex
}

// Open describes the block device with that kernel name, such as sda, whatever it
// is; Shelf finds those that are disks. root is "/" but in tests. The caller closes it.
func Open(root, name string) (*Device, error) {
	if _, err := os.Stat(sysDir(root, name)); err != nil {
		return nil, fmt.Errorf("there is no block device %s: %w", name, err)
	}
	return &Device{facts: describe(root, name)}, nil
}

// Info describes the disk.
func (d *Device) Info() core.Disk { return d.facts.info }

// SectorSize is in bytes.
func (d *Device) SectorSize() int { return d.facts.sector }

// Close lets go of the device.
func (d *Device) Close() error {
	d.opening.Lock()
	defer d.opening.Unlock()
	d.closed = true
	if d.file == nil {
		return nil
	}
	return d.file.Close()
}

// open opens the device past the page cache. It refuses one that something else in
// this kernel uses: whoever mounted it would go on writing.
func (d *Device) open() (*os.File, error) {
	d.opening.Lock()
	defer d.opening.Unlock()
	switch {
	case d.closed:
		return nil, fmt.Errorf("%s: %w", d.facts.name, os.ErrClosed)
	case d.file != nil:
		return d.file, nil
	case d.facts.info.Removable:
		f, err := os.OpenFile(d.facts.info.Path, os.O_RDONLY|unix.O_DIRECT, 0)
		d.file = f
		return f, err
	case len(d.facts.users) > 0:
		return nil, fmt.Errorf("%s is in use by %s", d.facts.name, strings.Join(d.facts.users, ", "))
	}
	// Held for a moment only: the OS's partitions could not be mounted meanwhile.
	probe, err := os.OpenFile(d.facts.info.Path, os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			err = fmt.Errorf("%s is in use: it, or a partition of it, is mounted: %w", d.facts.name, err)
		}
		return nil, err
	}
	_ = probe.Close()
	f, err := os.OpenFile(d.facts.info.Path, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		if d.facts.readOnly {
			err = fmt.Errorf("%s is write-protected: %w", d.facts.name, err)
		}
		return nil, err
	}
	d.file = f
	return f, nil
}

// bounceSize bounds what is copied at once for callers whose memory is not aligned.
const bounceSize = 1 << 20

// ReadAt is io.ReaderAt, past the page cache.
func (d *Device) ReadAt(p []byte, off int64) (n int, err error) {
	size := int64(d.facts.info.Size)
	if off < 0 {
		return 0, within(off, int64(len(p)), size)
	}
	want := int(min(int64(len(p)), max(0, size-off)))
	if want < len(p) {
		err = io.EOF
	}
	n, failed := d.transfer(p[:want], off, d.readStep)
	if failed != nil {
		return n, failed
	}
	return n, err
}

// WriteAt is io.WriterAt, past the page cache. A sector that is written in part is
// read before.
func (d *Device) WriteAt(p []byte, off int64) (int, error) {
	if err := within(off, int64(len(p)), int64(d.facts.info.Size)); err != nil {
		return 0, err
	}
	return d.transfer(p, off, d.writeStep)
}

// transfer calls do for each step, with the caller's memory or, where the device
// cannot reach that, with a copy.
func (d *Device) transfer(p []byte, off int64, do func(f *os.File, p []byte, s step, bounce []byte) error) (n int, err error) {
	f, err := d.open()
	if err != nil {
		return 0, err
	}
	var bounce []byte
	for n < len(p) {
		rest := p[n:]
		limit := len(rest)
		fits := aligned.Is(rest, d.facts.sector)
		if !fits {
			limit = bounceSize
		}
		s := nextStep(off+int64(n), len(rest), d.facts.sector, limit)
		if need := max(s.n, d.facts.sector); (s.part || !fits) && cap(bounce) < need {
			bounce = aligned.Bytes(need)
		}
		if s.part || !fits {
			err = do(f, rest[:s.n], s, bounce)
		} else {
			err = do(f, rest[:s.n], s, nil)
		}
		if err != nil {
			return n, err
		}
		n += s.n
	}
	return n, nil
}

func (d *Device) readStep(f *os.File, p []byte, s step, bounce []byte) error {
	switch {
	case bounce == nil:
		return readFull(f, p, s.off)
	case s.part:
		sector := bounce[:d.facts.sector]
		in := s.off % int64(d.facts.sector)
		if err := readFull(f, sector, s.off-in); err != nil {
			return err
		}
		copy(p, sector[in:])
	default:
		if err := readFull(f, bounce[:s.n], s.off); err != nil {
			return err
		}
		copy(p, bounce)
	}
	return nil
}

// readFull fails where the device gives less than its size promised.
func readFull(f *os.File, p []byte, off int64) error {
	if n, err := f.ReadAt(p, off); n < len(p) {
		return fmt.Errorf("%d bytes of %d are readable at byte %d: %w", n, len(p), off, err)
	}
	return nil
}

func (d *Device) writeStep(f *os.File, p []byte, s step, bounce []byte) error {
	switch {
	case bounce == nil:
		_, err := f.WriteAt(p, s.off)
		return err
	case s.part:
		d.parts.Lock()
		defer d.parts.Unlock()
		sector := bounce[:d.facts.sector]
		in := s.off % int64(d.facts.sector)
		if err := readFull(f, sector, s.off-in); err != nil {
			return err
		}
		copy(sector[in:], p)
		_, err := f.WriteAt(sector, s.off-in)
		return err
	default:
		copy(bounce, p)
		_, err := f.WriteAt(bounce[:s.n], s.off)
		return err
	}
}

// ReadMedium is ReadAt: nothing but the drive itself is in between.
func (d *Device) ReadMedium(p []byte, off int64) (int, error) { return d.ReadAt(p, off) }

// Sync empties the drive's own write cache, and lets the kernel forget what it had
// read of the disk before it was written past it.
func (d *Device) Sync() error {
	f, err := d.open()
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return control(f, func(fd int) error { return unix.IoctlSetInt(fd, unix.BLKFLSBUF, 0) })
}

// zeroStep is how many bytes are made zero between looks whether to go on. A disk
// that writes them out one by one takes a few seconds.
const zeroStep = 256 << 20

// Zero makes n bytes at off read as zeros. The drive does it where it can, perhaps by
// forgetting the range; else the kernel writes them.
func (d *Device) Zero(ctx context.Context, off, n int64) error {
	if err := within(off, n, int64(d.facts.info.Size)); err != nil {
		return err
	}
	f, err := d.open()
	if err != nil {
		return err
	}
	var zeros [aligned.Page]byte
	for n > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s := nextStep(off, int(min(n, zeroStep)), d.facts.sector, zeroStep)
		if s.part {
			for done := 0; done < s.n && err == nil; done += len(zeros) {
				_, err = d.WriteAt(zeros[:min(len(zeros), s.n-done)], s.off+int64(done))
			}
		} else {
			err = d.zeroRange(f, s.off, int64(s.n))
		}
		if err != nil {
			return fmt.Errorf("zeros at byte %d: %w", s.off, err)
		}
		off, n = off+int64(s.n), n-int64(s.n)
	}
	return nil
}

// zeroRange asks first for what deallocates: on block devices the kernel does that
// only where it is sure to read as zeros afterwards.
func (d *Device) zeroRange(f *os.File, off, n int64) error {
	return control(f, func(fd int) error {
		if d.facts.zeroes {
			err := unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
			if !errors.Is(err, unix.EOPNOTSUPP) {
				return err
			}
		}
		return rangeIoctl(fd, unix.BLKZEROOUT, off, n)
	})
}

// Discard tells the disk that nobody needs n bytes at off any more. What they read as
// afterwards is the disk's affair: zeros, what was there, or anything. A disk that
// takes no such hints is left as it is.
func (d *Device) Discard(ctx context.Context, off, n int64) error {
	if err := within(off, n, int64(d.facts.info.Size)); err != nil || !d.facts.discards {
		return err
	}
	f, err := d.open()
	if err != nil {
		return err
	}
	sector := int64(d.facts.sector)
	end := (off + n) / sector * sector
	for at := (off + sector - 1) / sector * sector; at < end; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		length := min(end-at, discardStep)
		err := control(f, func(fd int) error { return rangeIoctl(fd, unix.BLKDISCARD, at, length) })
		if errors.Is(err, unix.EOPNOTSUPP) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("discard at byte %d: %w", at, err)
		}
		at += length
	}
	return nil
}

// discardStep is in bytes; it costs a disk next to nothing.
const discardStep = 16 << 30
