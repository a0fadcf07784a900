package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/metalpool/metalpool/core"
)

// lba is the size of a block, in which partition tables count.
const lba = 512

// table is what of a partition table must fit the disk.
type table struct {
	last   uint64 // block that a partition ends with
	backup uint64 // block of the second header, at the disk's end
}

// readTable finds the GPT in a disk's first chunk. A server's firmware starts from
// a disk that has one, and the seed's partition is added to it.
func readTable(start []byte) (table, error) {
	const needed = "add an image of a whole disk with a GPT, as cloud images for UEFI are"
	if len(start) >= 32774 && string(start[32769:32774]) == "CD001" {
		return table{}, invalid(needed, errors.New("it is an installer's CD, not the disk of an installed system"))
	}
	if len(start) < 3*lba {
		return table{}, tooShort("a disk of %d bytes", len(start))
	}
	header := start[lba : 2*lba]
	if string(header[:8]) != "EFI PART" {
		return table{}, invalid(needed, noTable(start))
	}
	size := binary.LittleEndian.Uint32(header[12:])
	if size < 92 || size > lba {
		return table{}, damaged("its partition table is damaged: a header of %d bytes", size)
	}
	plain := bytes.Clone(header[:size])
	clear(plain[16:20])
	if crc32.ChecksumIEEE(plain) != binary.LittleEndian.Uint32(header[16:]) {
		return table{}, damaged("its partition table is damaged: the header's checksum is wrong")
	}

	at := binary.LittleEndian.Uint64(header[72:])
	count, each := uint64(binary.LittleEndian.Uint32(header[80:])), uint64(binary.LittleEndian.Uint32(header[84:]))
	if count == 0 || count > 4096 || each < 128 || each > 4096 || at < 2 || at > uint64(len(start))/lba || at*lba+count*each > uint64(len(start)) {
		return table{}, damaged("its partition table is damaged: %d entries of %d bytes at block %d", count, each, at)
	}
	entries := start[at*lba : at*lba+count*each]
	if crc32.ChecksumIEEE(entries) != binary.LittleEndian.Uint32(header[88:]) {
		return table{}, damaged("its partition table is damaged: the entries' checksum is wrong")
	}
	t := table{backup: binary.LittleEndian.Uint64(header[32:])}
	partitions := 0
	for ; len(entries) > 0; entries = entries[each:] {
		if allZero(entries[:16]) { // no type: not in use
			continue
		}
		partitions++
		t.last = max(t.last, binary.LittleEndian.Uint64(entries[40:]))
	}
	if partitions == 0 {
		return table{}, invalid(needed, errors.New("its partition table has no partition"))
	}
	return t, nil
}

// noTable says what is there instead.
func noTable(start []byte) error {
	switch {
	case len(start) >= 4104 && string(start[4096:4104]) == "EFI PART":
		return errors.New("its partition table counts in blocks of 4096 bytes; only 512 is taken")
	case start[510] != 0x55 || start[511] != 0xAA:
		return errors.New("it has no partition table")
	case start[446+4] == 0 && start[462+4] == 0 && start[478+4] == 0 && start[494+4] == 0:
		return errors.New("it has a boot sector, and no partition table")
	}
	return errors.New("it has a partition table of the old kind (MBR), not a GPT")
}

// fits refuses a disk that ends before what its table speaks of.
func (t table) fits(size core.Bytes) error {
	if size%lba != 0 {
		return tooShort("a disk of %d bytes, which are no whole blocks of 512", int64(size))
	}
	blocks := uint64(size / lba)
	if t.last >= blocks || t.backup >= blocks {
		return tooShort("its partition table is for a disk of more than %d blocks of 512 bytes, and there are %d", max(t.last, t.backup), blocks)
	}
	return nil
}
