package gpt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
)

// Resize fits the table to a disk of that many bytes: the backup goes to its end,
// and everything before it becomes usable. It is refused where a partition lies
// beyond.
func (t *Table) Resize(size int64) error {
	end := size / int64(t.sector) // sectors
	last := end - 2 - t.entrySectors()
	if first, _ := t.Usable(); last < first {
		return fmt.Errorf("a disk of %d bytes has no room for its partition table", size)
	}
	for _, p := range t.Partitions() {
		if p.Last > last {
			return fmt.Errorf("partition %d ends at sector %d, and the disk's last usable one is %d", p.Index+1, p.Last, last)
		}
	}
	t.resizeProtection(end)
	t.setField(atOther, end-1)
	t.setField(atLast, last)
	return t.apart()
}

// apart fails where the header has entries or their backup lie among partitions: they
// would be written over what is there.
func (t *Table) apart() error {
	first, last := t.Usable()
	for _, p := range t.Partitions() {
		first, last = min(first, p.First), max(last, p.Last)
	}
	if at := t.field(atEntries); at+t.entrySectors() > first {
		return fmt.Errorf("the partition table's entries, at sector %d, are claimed to lie among the partitions", at)
	}
	if at := t.field(atOther) - t.entrySectors(); at <= last {
		return fmt.Errorf("the partition table's backup, at sector %d, is claimed to lie among the partitions", at)
	}
	return nil
}

func (t *Table) entrySectors() int64 {
	return (int64(len(t.entries)) + int64(t.sector) - 1) / int64(t.sector)
}

// resizeProtection grows the entry of the MBR that keeps older tools off the disk.
// One that covers only a part is somebody's hybrid, and stays.
func (t *Table) resizeProtection(sectors int64) {
	const table, entry, protective = 446, 16, 0xee
	for e := t.mbr[table : table+4*entry]; len(e) > 0; e = e[entry:] {
		start, length := binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
		if e[4] == protective && start == 1 && (length == math.MaxUint32 || int64(length) == t.field(atOther)) {
			binary.LittleEndian.PutUint32(e[12:], uint32(min(sectors-1, math.MaxUint32)))
		}
	}
}

// Write puts the backup on the disk, then the table itself, entries before the
// header that vouches for them: wherever it is cut off, one of both is whole.
// The disk is synced in between. Nothing is written where it would hit a partition.
func (t *Table) Write(w interface {
	io.WriterAt
	Sync() error
}) error {
	if err := t.apart(); err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(t.header[atEntriesCRC:], crc32.ChecksumIEEE(t.entries))
	t.seal()
	backup := Table{sector: t.sector, header: slices.Clone(t.header), entries: t.entries, entry: t.entry}
	backup.setField(atOwn, t.field(atOther))
	backup.setField(atOther, t.field(atOwn))
	backup.setField(atEntries, t.field(atOther)-t.entrySectors())
	backup.seal()

	for _, part := range []struct {
		bytes  []byte
		sector int64
	}{
		{backup.entries, backup.field(atEntries)},
		{backup.header, backup.field(atOwn)},
		{t.entries, t.field(atEntries)},
		{t.header, t.field(atOwn)},
		{t.mbr, 0},
	} {
		if _, err := w.WriteAt(part.bytes, part.sector*int64(t.sector)); err != nil {
			return err
		}
		if err := w.Sync(); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) seal() { binary.LittleEndian.PutUint32(t.header[atCRC:], t.headerSum()) }
