package agent

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/metalpool/metalpool/agent/gpt"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// SeedPartition is the name of the partition that carries the seed; cloud-init
// knows its file system by a label of the same name.
const SeedPartition = "cidata"

// alignment of partitions, in bytes.
const alignment = 1 << 20

// seed puts the file system into a partition at the disk's end, and then takes away
// every other one that cloud-init would believe.
func (a *agent) seed(ctx context.Context, o *wire.SeedOrder) error {
	disk, err := findDisk(ctx, a.host, "seed", o.Disk)
	if err != nil {
		return err
	}
	table, place, err := planSeed(disk)
	if err != nil {
		return &core.Error{
			Op: "seed", Kind: core.Invalid, Err: fmt.Errorf("disk %s: %w", nameOf(disk), err),
			Hint: "the image must have a GUID partition table, and the disk room for 17 MiB behind it",
		}
	}
	broken := func(err error) error {
		return &core.Error{Op: "seed", Kind: core.Backend, Err: fmt.Errorf("disk %s: %w", nameOf(disk), err), Hint: "the disk may be broken; replace it"}
	}
	off := place.First * int64(disk.SectorSize())
	if err := disk.Zero(ctx, off, wire.SeedSize); err != nil {
		return broken(err)
	}
	if err := a.unpack(ctx, disk, off, o.Zstd); err != nil {
		return err
	}
	if err := table.Write(disk); err != nil {
		return broken(err)
	}
	switch written, err := gpt.Read(disk, disk.SectorSize()); {
	case err != nil:
		return broken(fmt.Errorf("its partition table does not read back: %w", err))
	case !hasPartition(written, place):
		return broken(errors.New("its partition table does not read back as written"))
	}
	return a.removeStale(ctx, disk, off)
}

func hasPartition(t *gpt.Table, want gpt.Partition) bool {
	for _, p := range t.Partitions() {
		if p.ID == want.ID && p.First == want.First && p.Last == want.Last {
			return true
		}
	}
	return false
}

// planSeed fits the table to the disk, with the seed's partition at its end and no
// older one.
func planSeed(d Disk) (*gpt.Table, gpt.Partition, error) {
	table, err := gpt.Read(d, d.SectorSize())
	if errors.Is(err, gpt.ErrNone) {
		err = otherSectors(d, err)
	}
	if err != nil {
		return nil, gpt.Partition{}, err
	}
	for _, p := range table.Partitions() {
		if p.Name == SeedPartition {
			table.Remove(p.Index)
		}
	}
	if err := table.Resize(int64(d.Info().Size)); err != nil {
		return nil, gpt.Partition{}, err
	}
	sector := int64(d.SectorSize())
	_, last := table.Usable()
	end := (last + 1) / (alignment / sector) * (alignment / sector)
	place := gpt.Partition{Type: gpt.BasicData, ID: gpt.NewGUID(), First: end - wire.SeedSize/sector, Last: end - 1, Name: SeedPartition}
	if err := table.Add(place); err != nil {
		return nil, gpt.Partition{}, fmt.Errorf("there is no room for the seed's partition: %w", err)
	}
	return table, place, nil
}

// otherSectors explains why there is no table where one is of another size of sectors.
func otherSectors(d Disk, err error) error {
	for _, size := range []int{512, 4096} {
		if _, other := gpt.Read(d, size); other == nil {
			return fmt.Errorf("the image was made for sectors of %d bytes, and the disk has sectors of %d", size, d.SectorSize())
		}
	}
	return err
}

// unpack writes the file system where the disk is zero already.
func (a *agent) unpack(ctx context.Context, d Disk, off int64, packed []byte) error {
	buf, err := a.buffers.take(ctx)
	if err != nil {
		return err
	}
	defer a.buffers.give(buf)
	plain, finish, err := buf.Stream(packed)
	if err != nil {
		return unreadable(err)
	}
	defer finish()
	const step = 256 << 10
	block := buf.Room(step)
	for done := int64(0); ; done += step {
		n, err := io.ReadFull(plain, block)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return unreadable(err)
		}
		if done+int64(n) > wire.SeedSize {
			return unreadable(fmt.Errorf("it is larger than %s", core.Bytes(wire.SeedSize)))
		}
		if !allZero(block[:n]) {
			if _, err := d.WriteAt(block[:n], off+done); err != nil {
				return &core.Error{Op: "seed", Kind: core.Backend, Err: fmt.Errorf("disk %s: %w", nameOf(d), err), Hint: "the disk may be broken; replace it"}
			}
		}
		if n < step {
			return nil
		}
	}
}

func unreadable(err error) error {
	return &core.Error{Op: "seed", Kind: core.Invalid, Err: fmt.Errorf("the file system is unreadable: %w", err)}
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
