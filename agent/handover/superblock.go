package handover

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// superblock is what a partition says it holds. kind is Linux's name of the file
// system, or what else it is; "" is unknown.
type superblock struct {
	kind, uuid, label string
}

// identify reads the beginning of a partition. What it says is an owner's word: it
// only chooses what to try.
func identify(r io.ReaderAt) superblock {
	at := func(off int64, size int) []byte {
		b := make([]byte, size)
		if n, _ := r.ReadAt(b, off); n < size {
			return make([]byte, size) // no magic number is zero
		}
		return b
	}
	is := func(off int64, magic string) bool { return string(at(off, len(magic))) == magic }
	switch {
	case is(0x438, "\x53\xef"):
		return superblock{"ext4", dashed(at(0x468, 16)), text(at(0x478, 16))}
	case is(0, "XFSB"):
		return superblock{"xfs", dashed(at(32, 16)), text(at(108, 12))}
	case is(0x10040, "_BHRfS_M"):
		return superblock{"btrfs", dashed(at(0x10020, 16)), text(at(0x1012b, 256))}
	case is(510, "\x55\xaa") && is(82, "FAT32   "):
		return superblock{"vfat", serial(at(67, 4)), text(at(71, 11))}
	case is(510, "\x55\xaa") && (is(54, "FAT1") || is(54, "FAT     ")):
		return superblock{"vfat", serial(at(39, 4)), text(at(43, 11))}
	case is(0, "LUKS\xba\xbe"):
		return superblock{kind: "an encrypted volume (LUKS)"}
	case is(0x218, "LVM2 001"):
		return superblock{kind: "a volume of LVM"}
	case is(0x1000, "\xfc\x4e\x2b\xa9"):
		return superblock{kind: "a member of a software RAID"}
	case is(0xff6, "SWAPSPACE2"):
		return superblock{kind: "swap"}
	case is(0x8001, "CD001"):
		return superblock{kind: "iso9660"}
	}
	return superblock{}
}

func dashed(b []byte) string {
	h := hex.EncodeToString(b)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

func serial(b []byte) string {
	n := binary.LittleEndian.Uint32(b)
	return fmt.Sprintf("%04X-%04X", n>>16, n&0xffff)
}

func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return strings.TrimRight(string(b), " ")
}
