package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/systree"
)

func TestScan(t *testing.T) {
	found, err := scan(systree.Unpack(t, "testdata/server.tree"))
	if err != nil {
		t.Fatal(err)
	}
	const samsung = "nqn.1994-11.com.samsung:nvme:PM9A3:2.5-inch:S64GNE0R605560"
	wanted := []facts{
		{name: "sda", transport: ata, rotates: true,
			info: core.Disk{Serial: "WSD0ABCD", WWN: "5000c500a1b2c3d4", Model: "ST8000NM000A-2KE", Kind: core.HDD, Size: 8001563222016}},
		{name: "sdb", transport: ata, discards: true,
			info: core.Disk{Serial: "PHYF0123456789AB", Model: "SSDSC2KB960G8R", Kind: core.SSD, Size: 960197124096}},
		{name: "sdc", transport: scsi, rotates: true, zeroes: true,
			info: core.Disk{Serial: "WFK2A3B4", WWN: "5000c500d7a1b2c7", Model: "SEAGATE ST1200MM0099", Kind: core.HDD, Size: 1200243695616}},
		{name: "sde", transport: scsi, rotates: true, sector: 4096,
			info: core.Disk{Serial: "00d4e1b3a2c5f6e0220000e8b2c0a1f4", WWN: "6d0946606f6e5c4b2200e0f6c5a2b3e1", Model: "DELL PERC H730 Mini", Kind: core.HDD, Size: 512000000}},
		{name: "sdf", transport: usb, info: core.Disk{Model: "Linux Virtual Floppy", Kind: core.SSD, Size: 1474560, Removable: true}},
		{name: "sdg", transport: usb, info: core.Disk{Serial: "60A44C413F", Model: "Kingston DataTraveler 3.0", Kind: core.SSD, Size: 31004295168, Removable: true}},
		{name: "sdh", transport: usb, info: core.Disk{Serial: "012345678901", Model: "DELL IDSDM", Kind: core.SSD, Size: 15931539456, Removable: true}},
		{name: "sdi", transport: scsi, info: core.Disk{Model: "AMI Virtual HDisk0", Kind: core.SSD, Size: 1048576, Removable: true}},
		{name: "sdj", transport: scsi, rotates: true,
			info: core.Disk{Serial: "6000c29a1b2c3d4e", WWN: "6000c29a1b2c3d4e5f60718293a4b5c6", Model: "VMware Virtual disk", Kind: core.HDD, Size: 21474836480}},
		{name: "sdk", transport: scsi, rotates: true, users: []string{"md127"},
			info: core.Disk{Serial: "V6G1ABCD", WWN: "5000cca0b1c2d3e4", Model: "HGST HUS726T4TAL5204", Kind: core.HDD, Size: 4000787030016}},
		{name: "sdl", transport: scsi, rotates: true, readOnly: true,
			info: core.Disk{Serial: "V6G1WXYZ", WWN: "5000cca0b1c2d3e8", Model: "HGST HUS726T4TAL5204", Kind: core.HDD, Size: 4000787030016}},
		{name: "vda", transport: virtio, rotates: true, discards: true, zeroes: true,
			info: core.Disk{Serial: "lab-0-disk0", Size: 10737418240}},
		{name: "sdaa", transport: scsi, rotates: true, info: core.Disk{Serial: "V6G1LAST", Model: "HGST HUS726T4TAL5204", Kind: core.HDD, Size: 4000787030016}},
		{name: "mmcblk0", transport: mmc, info: core.Disk{Serial: "0x1a2b3c4d", Model: "DG4064", Kind: core.SSD, Size: 62537072640}},
		{name: "mmcblk1", transport: mmc, info: core.Disk{Serial: "0x00000001", Model: "SD32G", Kind: core.SSD, Size: 31914983424, Removable: true}},
		{name: "nvme0n1", transport: nvme, subsystem: samsung, namespace: 1, discards: true, zeroes: true,
			info: core.Disk{Serial: "S64GNE0R605560", WWN: "3634473052600556", Model: "SAMSUNG MZQL21T9HCJR-00A07", Kind: core.NVMe, Size: 1920383410176}},
		{name: "nvme0n2", transport: nvme, subsystem: samsung, namespace: 2, sector: 4096, discards: true, zeroes: true,
			info: core.Disk{Serial: "S64GNE0R605560_2", Model: "SAMSUNG MZQL21T9HCJR-00A07", Kind: core.NVMe, Size: 512000000}},
		{name: "nvme1n1", transport: nvme, subsystem: "nqn.2014.08.org.nvmexpress:80868086PHLJ9140", namespace: 1, discards: true, zeroes: true,
			info: core.Disk{Serial: "PHLJ9140", WWN: "0025385b71b0a1f2", Model: "INTEL SSDPD2KX040T8", Kind: core.NVMe, Size: 4000787030016}},
		{name: "cciss!c0d0", transport: other, rotates: true, info: core.Disk{Kind: core.HDD, Size: 146778685440, Path: "/dev/cciss/c0d0"}},
	}
	for i, want := range wanted {
		if want.sector == 0 {
			want.sector = 512
		}
		if want.info.Path == "" {
			want.info.Path = "/dev/" + want.name
		}
		if i >= len(found) {
			t.Errorf("%s is not found", want.name)
		} else if got := found[i]; fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("got\n%+v, want\n%+v", got, want)
		}
	}
	for _, extra := range found[min(len(found), len(wanted)):] {
		t.Errorf("%+v is found, too", extra)
	}
	if _, err := scan(t.TempDir()); err == nil || !strings.Contains(err.Error(), filepath.Join("sys", "block")) {
		t.Errorf("without /sys: %v", err)
	}
}

func TestWhatADriveSaysIsPrintable(t *testing.T) {
	dir := t.TempDir()
	for said, want := range map[string]string{
		"PM9A3   \n": "PM9A3", "a\x00b\x1b[2Jc\x7f\r\n": "ab[2Jc", "\xff\xfe": "", "Gr\u00fc\u00dfe \u202e": "Gr\u00fc\u00dfe",
	} {
		if err := os.WriteFile(filepath.Join(dir, "model"), []byte(said), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := text(dir, "model"); got != want {
			t.Errorf("%q is read as %q, want %q", said, got, want)
		}
	}
}

// TestADiskWithTwoPathsIsOne: what is erased twice side by side would wipe out the
// other's sentinels, and what is called twice cannot be deployed to.
func TestADiskWithTwoPathsIsOne(t *testing.T) {
	const size = 1 << 40
	of := func(name string, tr transport, subsystem string, namespace int, serial, wwn string) facts {
		return facts{name: name, transport: tr, subsystem: subsystem, namespace: namespace, info: core.Disk{Serial: serial, WWN: wwn, Size: size}}
	}
	for _, test := range []struct {
		name string
		a, b facts
		want int
	}{
		{"SAS", of("sda", scsi, "", 0, "S1", "5000c500d7a1b2c7"), of("sdb", scsi, "", 0, "S1", "5000c500d7a1b2c7"), 1},
		{"SAS without a serial", of("sda", scsi, "", 0, "", "5000c500d7a1b2c7"), of("sdb", scsi, "", 0, "", "5000c500d7a1b2c7"), 2},
		{"SATA that shares a name", of("sda", ata, "", 0, "S1", "5000c500d7a1b2c7"), of("sdb", ata, "", 0, "S1", "5000c500d7a1b2c7"), 2},
		{"NVMe", of("nvme0n1", nvme, "nqn.a", 1, "S1", "0025385b71b0a1f2"), of("nvme1n1", nvme, "nqn.a", 1, "S1", "0025385b71b0a1f2"), 1},
		{"NVMe of two drives", of("nvme0n1", nvme, "nqn.a", 1, "S1", "0025385b71b0a1f2"), of("nvme1n1", nvme, "nqn.b", 1, "S1", "0025385b71b0a1f2"), 2},
		{"two namespaces", of("nvme0n1", nvme, "nqn.a", 1, "S1", "0025385b71b0a1f2"), of("nvme0n2", nvme, "nqn.a", 2, "S1", "0025385b71b0a1f2"), 2},
		{"one number, each at its own port", of("nvme0n1", nvme, "nqn.a", 1, "S1", ""), of("nvme1n1", nvme, "nqn.a", 1, "S1", ""), 2},
	} {
		if got := onePathEach([]facts{test.a, test.b}); len(got) != test.want || got[0].name != test.a.name {
			t.Errorf("%s: %+v, want %d", test.name, got, test.want)
		}
	}
}

func TestVirtualMedia(t *testing.T) {
	for _, name := range []string{"iDRAC/LCDRIVE", "Linux/Virtual CDROM", "AMI/Virtual Floppy0", "HPE/Virtual CD-ROM", "HP iLO/Virtual USB Key", "IBM/Virtual Media"} {
		vendor, model, _ := strings.Cut(name, "/")
		if !isVirtualMedia(vendor, model) {
			t.Errorf("%s is taken for a disk", name)
		}
	}
	for _, name := range []string{"VMware/Virtual disk", "Dell/VIRTUAL DISK", "Dell/Virtual Disk", "DELL/Virtual Disk 0", "Lenovo/Virtual Drive", "Msft/Virtual Disk", "QEMU/QEMU HARDDISK", "LSI/Virtual Drive", "HPE/LOGICAL VOLUME", "DELL/PERC H730 Mini", "/", "HP/EG0600FBVFP"} {
		vendor, model, _ := strings.Cut(name, "/")
		if isVirtualMedia(vendor, model) {
			t.Errorf("%s is taken for media", name)
		}
	}
}

func TestDesignators(t *testing.T) {
	eui, naa := "01020008 0025385b71b0a1f2", "01030008 5000c500a1b2c3d4"
	for _, test := range []struct{ name, list, want string }{
		{"an NAA", naa, "5000c500a1b2c3d4"},
		{"an NAA after an EUI", eui + naa, "5000c500a1b2c3d4"},
		{"an NAA before an EUI", naa + eui, "5000c500a1b2c3d4"},
		{"an EUI alone", eui, "0025385b71b0a1f2"},
		{"the port's", "01130008 5000c500a1b2c3d4", ""},
		{"a long one", "01030010 6d0946606f6e5c4b2200e0f6c5a2b3e1", "6d0946606f6e5c4b2200e0f6c5a2b3e1"},
		{"zeros, then an EUI", "01030008 0000000000000000" + eui, "0025385b71b0a1f2"},
		{"in letters", "02030008 3530303043353030", ""},
		{"cut off", "01030008 5000c5", ""},
		{"cut off behind an EUI", eui + "0103ff", "0025385b71b0a1f2"},
		{"nothing", "", ""},
	} {
		list := unhex(t, test.list)
		page := append([]byte{0, 0x83, 0, byte(len(list))}, list...)
		if got := designated(page); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if got := designated(append([]byte{0, 0x80, 0, 12}, unhex(t, naa)...)); got != "" {
		t.Errorf("from another page: %q", got)
	}
}

func FuzzNames(f *testing.F) {
	f.Add("SEAGATE", []byte("\x00\x80\x00\x14WFK2A3B40000E9281A2B"))
	f.Add("ATA", []byte("\x00\x83\x00\x0c\x01\x03\x00\x08\x50\x00\xc5\x00\xa1\xb2\xc3\xd4"))
	f.Fuzz(func(t *testing.T, vendor string, page []byte) {
		serial, wwn := scsiSerial(vendor, page), designated(page)
		if serial != strings.TrimSpace(serial) || strings.ContainsFunc(serial, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("a serial of %q", serial)
		}
		if wwn != core.WWN(wwn) || wwn != "" && len(wwn) != 16 && len(wwn) != 32 {
			t.Errorf("a WWN of %q", wwn)
		}
	})
}

func TestStepsCoverEveryByteOnce(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		for _, off := range []int64{0, 1, 511, 512, 4095, 4096, 9000} {
			for _, n := range []int{1, 511, 512, 513, 4096, 8191, 100_000} {
				for _, limit := range []int{1, 4096, 10_000, n} {
					var whole []step
					for at, left := off, n; left > 0; {
						s := nextStep(at, left, sector, limit)
						if s.off != at || s.n < 1 || s.n > left {
							t.Fatalf("%+v of %d at %d", s, left, at)
						}
						if aligned := s.off%int64(sector) == 0 && s.n%sector == 0; aligned == s.part {
							t.Fatalf("%+v in sectors of %d", s, sector)
						}
						if !s.part && s.n > max(limit, sector) {
							t.Fatalf("%+v is more than %d", s, limit)
						}
						whole = append(whole, s)
						at, left = at+int64(s.n), left-s.n
					}
					if parts := slices.DeleteFunc(whole, func(s step) bool { return !s.part }); len(parts) > 2 {
						t.Fatalf("%d bytes at %d in %d parts", n, off, len(parts))
					}
				}
			}
		}
	}
}
