package handover

import (
	"bytes"
	"testing"
)

// FuzzIdentify has partitions begin with anything.
func FuzzIdentify(f *testing.F) {
	for at, magic := range map[int]string{0: "XFSB", 0x438: "\x53\xef", 82: "FAT32   ", 54: "FAT16", 0x218: "LVM2 001", 0x1000: "\xfc\x4e\x2b\xa9"} {
		b := make([]byte, 8192)
		copy(b[510:], "\x55\xaa")
		copy(b[at:], magic)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := identify(bytes.NewReader(b))
		if _, mounts := unchanged[s.kind]; mounts && s.uuid == "" || !mounts && s.uuid != "" {
			t.Errorf("%+v", s)
		}
	})
}
