package handover

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/agent/gpt"
	"github.com/metalpool/metalpool/agent/handover/efi"
)

// putEntry writes a boot entry as an owner's OS does.
func putEntry(t *testing.T, dir, name string, o efi.LoadOption) {
	t.Helper()
	try(t, os.WriteFile(filepath.Join(dir, name+"-8be4df61-93ca-11d2-aa0d-00e098032b8c"), append([]byte{7, 0, 0, 0}, o.Bytes()...), 0o600))
}

func TestReset(t *testing.T) {
	s := &System{base: t.TempDir()}
	vars := s.path("vars")
	s.firmware = func() (*efi.Variables, error) { return efi.Plain(vars), nil }
	try(t, os.MkdirAll(vars, 0o755), os.MkdirAll(s.path("dev"), 0o755), os.MkdirAll(s.path("sys/fs/pstore"), 0o755),
		os.MkdirAll(s.path("sys/block/sda/queue"), 0o755), os.MkdirAll(s.path("sys/block/sr0"), 0o755),
		os.WriteFile(s.path("sys/block/sda/queue/logical_block_size"), []byte("512\n"), 0o600),
		os.WriteFile(s.path("sys/fs/pstore/dmesg-efi-1"), []byte("panic"), 0o600), os.WriteFile(s.path("sys/fs/pstore/dmesg-efi-2"), []byte("panic"), 0o600))
	f, err := os.Create(s.path("dev/sda"))
	try(t, err)
	try(t, f.Truncate(diskSize), f.Close())
	sfdisk(t, s.path("dev/sda"))

	there := gpt.GUID{0x84, 0xbe, 0x9c, 0x3e, 0xe1, 0xa2, 0xe0, 0x42, 0xb1, 0x1d, 0x9c, 0xb3, 0xd4, 0x2b, 0xd1, 0xb3}
	putEntry(t, vars, "Boot0001", efi.LoadOption{Description: "rescue", Path: efi.FileOn(efi.HardDrive{Number: 1, Signature: there}, "x.efi")})
	putEntry(t, vars, "Boot0002", efi.LoadOption{Description: "debian", Path: efi.FileOn(efi.HardDrive{Number: 1, Signature: gpt.NewGUID()}, "x.efi")})
	putEntry(t, vars, "Boot0003", efi.LoadOption{Description: "metalpool", Path: efi.FileOn(efi.HardDrive{Number: 1, Signature: there}, "x.efi")})

	lines, err := s.Reset(t.Context())
	if err != nil {
		t.Error(err)
	}
	said := strings.Join(lines, "\n")
	for _, want := range []string{"records of crashes removed: 2", `Boot0002 "debian" removed: partition`, `Boot0003 "metalpool" removed`, "there is no TPM"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q but\n%s", want, said)
		}
	}
	left, err := os.ReadDir(vars)
	if err != nil || len(left) != 1 || !strings.HasPrefix(left[0].Name(), "Boot0001-") {
		t.Errorf("left is %v (%v)", left, err)
	}
	lines, err = s.Reset(t.Context())
	if want := []string{"the firmware holds no boot entry or variable of an owner", "there is no TPM"}; err != nil || !slices.Equal(lines, want) {
		t.Errorf("a second time it says %q, %v", lines, err)
	}
	s.firmware = func() (*efi.Variables, error) { return nil, efi.ErrNone }
	if lines, err = s.Reset(t.Context()); err != nil || len(lines) != 2 || !strings.Contains(lines[0], "legacy BIOS") {
		t.Errorf("of a BIOS it says %q, %v", lines, err)
	}
	s.firmware = func() (*efi.Variables, error) { return nil, errors.New("no answer") }
	if lines, err = s.Reset(t.Context()); err != nil || !strings.Contains(lines[0], "boot entries cannot be reset: no answer") {
		t.Errorf("of firmware that fails it says %q, %v", lines, err)
	}
}

func TestSignaturesOfAnMBR(t *testing.T) {
	s := &System{base: t.TempDir()}
	mbr := make([]byte, 4096)
	copy(mbr[440:], "\x78\x56\x34\x12")
	copy(mbr[510:], "\x55\xaa")
	try(t, os.MkdirAll(s.path("sys/block/sda"), 0o755), os.MkdirAll(s.path("dev"), 0o755), os.WriteFile(s.path("dev/sda"), mbr, 0o600))
	got, err := s.signatures()
	if err != nil || len(got) != 1 || !got[gpt.GUID{0x78, 0x56, 0x34, 0x12}] {
		t.Errorf("there are %v (%v)", got, err)
	}
}

func TestIdentify(t *testing.T) {
	at := func(parts ...any) string {
		b := make([]byte, 128<<10)
		for i := 0; i < len(parts); i += 2 {
			copy(b[parts[i].(int):], parts[i+1].(string))
		}
		return string(b)
	}
	for _, test := range []struct {
		disk string
		want superblock
	}{
		{"", superblock{}},
		{at(), superblock{}},
		{at(510, "\x55\xaa", 82, "FAT32   ", 67, "\xe7\x95\x77\x7b", 71, "ESP        "), superblock{"vfat", "7B77-95E7", "ESP"}},
		{at(510, "\x55\xaa", 54, "FAT16   ", 39, "\xe7\x95\x77\x7b", 43, "NO NAME    "), superblock{"vfat", "7B77-95E7", "NO NAME"}},
		{at(510, "\x55\xaa"), superblock{}},
		{at(0x438, "\x53\xef", 0x468, "0123456789abcdef", 0x478, "root"), superblock{"ext4", "30313233-3435-3637-3839-616263646566", "root"}},
		{at(0, "XFSB", 32, "0123456789abcdef", 108, "boot"), superblock{"xfs", "30313233-3435-3637-3839-616263646566", "boot"}},
		{at(0x10040, "_BHRfS_M", 0x10020, "0123456789abcdef", 0x1012b, "fedora"), superblock{"btrfs", "30313233-3435-3637-3839-616263646566", "fedora"}},
		{at(0x218, "LVM2 001"), superblock{kind: "a volume of LVM"}},
		{at(0xff6, "SWAPSPACE2"), superblock{kind: "swap"}},
		{at(0x1000, "\xfc\x4e\x2b\xa9"), superblock{kind: "a member of a software RAID"}},
		{at(0x8001, "CD001"), superblock{kind: "iso9660"}},
	} {
		if got := identify(strings.NewReader(test.disk)); got != test.want {
			t.Errorf("%+v, want %+v", got, test.want)
		}
	}
}
