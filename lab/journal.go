package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/lab/guest/vfs"
)

// journalSize is the room that a simulated OS has on its disk for what it changes,
// in bytes, right before the seed's partition.
const journalSize = 64 << 20

// journal is the changed files of a simulated OS, on its disk, so that who erases
// the disk erases them. It implements vfs.Journal.
//
// It has two halves. Each is a header and, behind it, records; the half whose header
// has the higher generation counts, and a record counts only with that generation.
// Rewrite fills the other half and writes its header last, so a cut at any point
// leaves one that is whole. The header names the instance of the seed: when an image
// is written anew, what an earlier instance left is not believed.
//
// The disk is opened for each operation, since a rack has more disks than a process
// may have files open.
type journal struct {
	open     func() (*filedisk.Disk, error)
	at       int64 // of the first half
	instance [sha256.Size]byte

	half       int
	generation uint64
	end        int64 // of the records, from the half's beginning
}

const (
	halfSize    = journalSize / 2
	recordsAt   = 4096
	recordHead  = 8 // length and checksum
	journalMark = "LABFILES"
)

var checksums = crc32.MakeTable(crc32.Castagnoli)

// openJournal finds the instance's journal, or begins one.
func openJournal(open func() (*filedisk.Disk, error), at int64, instance string) (*journal, error) {
	j := &journal{open: open, at: at, instance: sha256.Sum256([]byte(instance))}
	err := j.with(func(d *filedisk.Disk) error {
		for half := range 2 {
			head := make([]byte, recordsAt)
			if _, err := d.ReadAt(head, j.place(half)); err != nil {
				return err
			}
			if g, ok := j.parseHead(head); ok && g > j.generation {
				j.half, j.generation = half, g
			}
		}
		if j.generation > 0 {
			return nil
		}
		return j.begin(d, 0, 1, nil)
	})
	if err != nil {
		return nil, fmt.Errorf("open the files of the simulated system: %w", err)
	}
	return j, nil
}

func (j *journal) place(half int) int64 { return j.at + int64(half)*halfSize }

func (j *journal) with(do func(d *filedisk.Disk) error) error {
	d, err := j.open()
	if err != nil {
		return err
	}
	err = do(d)
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// head is a header: mark, generation, instance and their checksum.
func (j *journal) head(generation uint64) []byte {
	b := append([]byte(journalMark), binary.BigEndian.AppendUint64(nil, generation)...)
	b = append(b, j.instance[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, checksums))
}

func (j *journal) parseHead(b []byte) (generation uint64, ok bool) {
	g := binary.BigEndian.Uint64(b[len(journalMark):])
	return g, bytes.HasPrefix(b, j.head(g))
}

// record is a change as it lies on the disk.
func record(generation uint64, change []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(change)))
	b = binary.BigEndian.AppendUint32(b, recordSum(generation, change))
	return append(b, change...)
}

func recordSum(generation uint64, change []byte) uint32 {
	b := binary.BigEndian.AppendUint64(nil, generation)
	b = binary.BigEndian.AppendUint32(b, uint32(len(change)))
	return crc32.Update(crc32.Checksum(b, checksums), checksums, change)
}

// begin starts a half with one change, or none.
func (j *journal) begin(d *filedisk.Disk, half int, generation uint64, change []byte) error {
	end := int64(recordsAt)
	if change != nil {
		r := record(generation, change)
		if end+int64(len(r)) > halfSize {
			return vfs.ErrFull
		}
		if _, err := d.WriteAt(r, j.place(half)+end); err != nil {
			return err
		}
		end += int64(len(r))
	}
	if _, err := d.WriteAt(j.head(generation), j.place(half)); err != nil {
		return err
	}
	j.half, j.generation, j.end = half, generation, end
	return nil
}

// Replay implements vfs.Journal. A record that is not whole ends it.
func (j *journal) Replay(apply func(change []byte) error) error {
	return j.with(func(d *filedisk.Disk) error {
		j.end = recordsAt
		for {
			head := make([]byte, recordHead)
			room := halfSize - j.end - recordHead
			if room < 0 {
				return nil
			}
			if _, err := d.ReadAt(head, j.place(j.half)+j.end); err != nil {
				return err
			}
			length := int64(binary.BigEndian.Uint32(head))
			if length == 0 || length > room {
				return nil
			}
			change := make([]byte, length)
			if _, err := io.ReadFull(io.NewSectionReader(d, j.place(j.half)+j.end+recordHead, length), change); err != nil {
				return err
			}
			if recordSum(j.generation, change) != binary.BigEndian.Uint32(head[4:]) {
				return nil
			}
			if err := apply(change); err != nil {
				return err
			}
			j.end += recordHead + length
		}
	})
}

// Append implements vfs.Journal.
func (j *journal) Append(change []byte) error {
	r := record(j.generation, change)
	if j.end+int64(len(r)) > halfSize {
		return vfs.ErrFull
	}
	return j.with(func(d *filedisk.Disk) error {
		if _, err := d.WriteAt(r, j.place(j.half)+j.end); err != nil {
			return err
		}
		j.end += int64(len(r))
		return nil
	})
}

// Rewrite implements vfs.Journal.
func (j *journal) Rewrite(change []byte) error {
	return j.with(func(d *filedisk.Disk) error {
		old, used := j.half, j.end
		if err := j.begin(d, 1-j.half, j.generation+1, change); err != nil {
			return err
		}
		// The old half's room is given back; that it fails costs only room.
		_ = d.Zero(context.Background(), j.place(old), used)
		return nil
	})
}
