// Package gpt edits GUID partition tables in place. Entries that it does not touch
// stay as they are, to the last byte, and what a table claims is never believed
// before its size is checked: the table of a disk that an owner wrote may hold
// anything. (go-diskfs, which makes tables well, allocates what a header asks for
// and rewrites every entry.)
package gpt

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"unicode/utf16"
)

// GUID is in the byte order of the disk.
type GUID [16]byte

// BasicData is the type of partitions with a FAT file system.
var BasicData = GUID{0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7}

// NewGUID makes a random one.
func NewGUID() GUID {
	var g GUID
	_, _ = rand.Read(g[:]) // never fails
	g[7] = g[7]&0x0f | 0x40
	g[8] = g[8]&0x3f | 0x80
	return g
}

// String is the usual form, lower case.
func (g GUID) String() string {
	b := slices.Clone(g[:])
	slices.Reverse(b[0:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	h := hex.EncodeToString(b)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// Partition is one used entry.
type Partition struct {
	Index       int // from 0; the kernel counts from 1
	Type, ID    GUID
	First, Last int64 // sectors, both included
	Attributes  uint64
	Name        string
}

// Table is a disk's partition table. Nothing is written before Write.
type Table struct {
	sector  int
	mbr     []byte // sector 0
	header  []byte // the primary header's whole sector
	entries []byte
	entry   int // size of one
}

// ErrNone is Read's error where the disk has no partition table of this kind.
var ErrNone = errors.New("there is no GUID partition table")

// maxEntries bounds the room for entries, in bytes; 16 KiB is usual.
const maxEntries = 1 << 20

// Fields of the header.
const (
	atSize        = 12
	atCRC         = 16
	atOwn         = 24
	atOther       = 32
	atFirst       = 40
	atLast        = 48
	atEntries     = 72
	atEntryCount  = 80
	atEntrySize   = 84
	atEntriesCRC  = 88
	minHeader     = 92
	minEntry      = 128
	signature     = "EFI PART"
	maxNameLength = 36 // UTF-16 units
)

// Read reads the primary table of a disk with sectors of that many bytes. What is
// damaged is refused: repairing it is not ours to decide.
func Read(r io.ReaderAt, sector int) (*Table, error) {
	if sector < 512 || sector > 1<<16 {
		return nil, fmt.Errorf("sectors of %d bytes", sector)
	}
	start := make([]byte, 2*sector)
	if n, err := r.ReadAt(start, 0); err != nil && (n < len(start) || !errors.Is(err, io.EOF)) {
		if errors.Is(err, io.EOF) {
			return nil, ErrNone // shorter than any table
		}
		return nil, err
	}
	t := &Table{sector: sector, mbr: start[:sector], header: start[sector:]}
	if !bytes.HasPrefix(t.header, []byte(signature)) {
		return nil, ErrNone
	}
	size := t.field32(atSize)
	if size < minHeader || size > uint32(sector) {
		return nil, fmt.Errorf("the partition table's header claims %d bytes", size)
	}
	if t.headerSum() != t.field32(atCRC) {
		return nil, errors.New("the partition table's header is damaged: its checksum is wrong")
	}
	count, entry := int64(t.field32(atEntryCount)), int64(t.field32(atEntrySize))
	if entry < minEntry || entry%minEntry != 0 || entry > maxEntries || count < 1 || count*entry > maxEntries {
		return nil, fmt.Errorf("the partition table claims %d entries of %d bytes", count, entry)
	}
	t.entry = int(entry)
	t.entries = make([]byte, count*entry)
	at := t.field(atEntries)
	if at < 2 || at > 1<<40 || t.field(atOwn) != 1 {
		return nil, fmt.Errorf("the partition table's entries are claimed to be at sector %d", at)
	}
	if n, err := r.ReadAt(t.entries, at*int64(sector)); n < len(t.entries) {
		return nil, fmt.Errorf("the partition table's entries cannot be read: %w", err)
	}
	if crc32.ChecksumIEEE(t.entries) != t.field32(atEntriesCRC) {
		return nil, errors.New("the partition table's entries are damaged: their checksum is wrong")
	}
	return t, nil
}

// field returns -1 for what no disk has.
func (t *Table) field(at int) int64 {
	v := binary.LittleEndian.Uint64(t.header[at:])
	if v > 1<<62 {
		return -1
	}
	return int64(v)
}

func (t *Table) field32(at int) uint32 { return binary.LittleEndian.Uint32(t.header[at:]) }

func (t *Table) setField(at int, v int64) { binary.LittleEndian.PutUint64(t.header[at:], uint64(v)) }

func (t *Table) headerSum() uint32 {
	h := slices.Clone(t.header[:t.field32(atSize)])
	clear(h[atCRC : atCRC+4])
	return crc32.ChecksumIEEE(h)
}

// Usable are the first and last sectors that partitions may take.
func (t *Table) Usable() (first, last int64) { return t.field(atFirst), t.field(atLast) }

// SectorSize is in bytes.
func (t *Table) SectorSize() int { return t.sector }

// Partitions lists the used entries in the order of their place on the disk.
// Entries that claim impossible sectors are left out.
func (t *Table) Partitions() []Partition {
	var found []Partition
	for i := range len(t.entries) / t.entry {
		e := t.entries[i*t.entry : (i+1)*t.entry]
		p := Partition{Index: i, Attributes: binary.LittleEndian.Uint64(e[48:]), Name: nameOf(e[56:minEntry])}
		copy(p.Type[:], e)
		copy(p.ID[:], e[16:])
		first, last := binary.LittleEndian.Uint64(e[32:]), binary.LittleEndian.Uint64(e[40:])
		if p.Type == (GUID{}) || last > 1<<50 || first > last {
			continue
		}
		p.First, p.Last = int64(first), int64(last)
		found = append(found, p)
	}
	slices.SortFunc(found, func(a, b Partition) int { return cmp.Compare(a.First, b.First) })
	return found
}

func nameOf(raw []byte) string {
	var units []uint16
	for ; len(raw) >= 2 && (raw[0] != 0 || raw[1] != 0); raw = raw[2:] {
		units = append(units, binary.LittleEndian.Uint16(raw))
	}
	return string(utf16.Decode(units))
}

// Remove empties an entry.
func (t *Table) Remove(index int) { clear(t.entries[index*t.entry : (index+1)*t.entry]) }

// Add puts a partition into the first free entry, whatever its Index says. It is
// refused where it would overlap another or lie outside the usable sectors.
func (t *Table) Add(p Partition) error {
	first, last := t.Usable()
	if p.First < first || p.Last > last || p.First > p.Last {
		return fmt.Errorf("sectors %d to %d are not within the usable ones, %d to %d", p.First, p.Last, first, last)
	}
	for _, other := range t.Partitions() {
		if p.First <= other.Last && other.First <= p.Last {
			return fmt.Errorf("partition %d takes sectors %d to %d, of which %d to %d are wanted", other.Index+1, other.First, other.Last, p.First, p.Last)
		}
	}
	name := utf16.Encode([]rune(p.Name))
	if len(name) > maxNameLength {
		return fmt.Errorf("the name %q is longer than %d", p.Name, maxNameLength)
	}
	for i := range len(t.entries) / t.entry {
		e := t.entries[i*t.entry : (i+1)*t.entry]
		if !bytes.Equal(e[:16], make([]byte, 16)) {
			continue
		}
		clear(e)
		copy(e, p.Type[:])
		copy(e[16:], p.ID[:])
		binary.LittleEndian.PutUint64(e[32:], uint64(p.First))
		binary.LittleEndian.PutUint64(e[40:], uint64(p.Last))
		binary.LittleEndian.PutUint64(e[48:], p.Attributes)
		for n, unit := range name {
			binary.LittleEndian.PutUint16(e[56+2*n:], unit)
		}
		return nil
	}
	return fmt.Errorf("all %d entries are taken", len(t.entries)/t.entry)
}
