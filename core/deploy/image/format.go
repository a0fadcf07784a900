package image

import (
	"bytes"
	"errors"
	"fmt"
)

// Formats are raw or qcow2, bare or in one of these: "qcow2", "raw.zst".
const (
	raw   = "raw"
	qcow2 = "qcow2"

	gz  = "gz"
	xz  = "xz"
	zst = "zst"
)

// magics are what files begin with. A name says nothing: .img is used for all.
var magics = []struct{ magic, format string }{
	{"\x1f\x8b", gz},
	{"\xfd7zXZ\x00", xz},
	{"\x28\xb5\x2f\xfd", zst},
	{"QFI\xfb", qcow2},
}

// strangers begin disk images and archives that are known, and not taken.
var strangers = []struct{ magic, name, hint string }{
	{"KDMV", "a VMDK disk image", convert},
	{"COWD", "a VMDK disk image", convert},
	{"# Disk DescriptorFile", "the description of a VMDK disk image", convert},
	{"vhdxfile", "a VHDX disk image", convert},
	{"conectix", "a VHD disk image", convert},
	{"<<< ", "a VDI disk image", convert},
	{"QED\x00", "a QED disk image", convert},
	{"PK\x03\x04", "a zip archive", "unpack it, and add the disk image that is in it"},
	{"BZh", "compressed with bzip2", "compress it with zstd instead"},
	{"\x04\x22\x4d\x18", "compressed with lz4", "compress it with zstd instead"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it, and add the disk image that is in it"},
	{"hsqs", "a squashfs file system", "add an image of a whole disk, with a GPT"},
	{"!<arch>\n", "a package or archive", "add an image of a whole disk, with a GPT"},
}

const convert = "convert it: qemu-img convert -O qcow2 FILE FILE.qcow2"

// peekLen is how many first bytes tell a format.
const peekLen = 32

// detect names what begins with head: a disk format or a compression.
func detect(head []byte) (string, error) {
	if len(head) == 0 {
		return "", invalid("", errors.New("the file is empty"))
	}
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.format, nil
		}
	}
	for _, s := range strangers {
		if bytes.HasPrefix(head, []byte(s.magic)) {
			return "", invalid(s.hint, fmt.Errorf("it is %s", s.name))
		}
	}
	return raw, nil
}
