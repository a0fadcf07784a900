package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/u-root/u-root/pkg/cpio"

	"github.com/metalpool/metalpool/ramdisk/debian"
	"github.com/metalpool/metalpool/ramdisk/initramfs"
	"github.com/metalpool/metalpool/ramdisk/kmod"
)

// newPackage puts a file into dir that counts as the package.
func newPackage(t *testing.T, dir, name string) debian.Package {
	t.Helper()
	text := []byte("package " + name)
	if err := os.WriteFile(filepath.Join(dir, name+"_1_all.deb"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return debian.Package{Name: name, Version: "1", SHA256: hex.EncodeToString(sum[:])}
}

// The same ramdisk is made of the same packages, as long as all of them are there.
func TestRecordedPackages(t *testing.T) {
	dir := t.TempDir()
	record := filepath.Join(dir, "packages.json")
	p := packages{Kernel: newPackage(t, dir, "linux-image"), Stub: newPackage(t, dir, "stub"), Shell: newPackage(t, dir, "shell"), Missing: map[string]string{firmwarePackages[0]: "gone"}}
	for _, name := range firmwarePackages[1:] {
		p.Firmware = append(p.Firmware, newPackage(t, dir, name))
	}
	write := func(p packages) {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(record, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := recorded(record, dir); ok {
		t.Error("without a record something was found")
	}
	write(p)
	got, ok := recorded(record, dir)
	if !ok || got.Kernel.Path == "" || len(got.all()) != len(firmwarePackages)+1 || len(got.Missing) != 1 {
		t.Errorf("found %+v, %t", got, ok)
	}
	fewer := p
	fewer.Firmware = p.Firmware[1:]
	write(fewer)
	if _, ok := recorded(record, dir); ok {
		t.Error("a record of other firmware than is wanted was taken")
	}
	write(p)
	if err := os.WriteFile(got.Firmware[0].Path, []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, ok := recorded(record, dir); ok {
		t.Error("a file that has changed was taken")
	}
}

func TestWhatIsWanted(t *testing.T) {
	for path, want := range map[string]bool{
		"lib/modules/6.1/kernel/drivers/nvme/host/nvme.ko":                        true,
		"lib/modules/6.1/kernel/drivers/net/ethernet/broadcom/tg3.ko":             true,
		"lib/modules/6.1/kernel/drivers/usb/storage/usb-storage.ko":               true,
		"lib/modules/6.1/kernel/drivers/scsi/lpfc/lpfc.ko":                        false, // Fibre Channel: not the server's own disks
		"lib/modules/6.1/kernel/drivers/scsi/qla2xxx/qla2xxx.ko":                  false,
		"lib/modules/6.1/kernel/drivers/scsi/be2iscsi/be2iscsi.ko":                false,
		"lib/modules/6.1/kernel/drivers/nvme/host/nvme-tcp.ko":                    false,
		"lib/modules/6.1/kernel/drivers/net/ethernet/mellanox/mlxsw/mlxsw_pci.ko": false,
		"lib/modules/6.1/kernel/drivers/acpi/button.ko":                           false, // nobody is to hear of the power button
		"lib/modules/6.1/kernel/drivers/net/usb/cdc_ether.ko":                     false, // a BMC's own network
	} {
		if got := isWanted(kmod.Module{Path: path}); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
}

func TestUnfulfilledWishesAreTold(t *testing.T) {
	index := kmod.NewIndex([]kmod.Module{
		{Name: "nvme", Path: "lib/modules/6.1/kernel/drivers/nvme/host/nvme.ko"},
		{Name: "tg3", Path: "lib/modules/6.1/kernel/drivers/net/ethernet/tg3.ko", Firmware: []string{"tigon/tg3.bin", "tigon/tg4.bin"}},
	})
	none := strings.Join(unmatched(index), " ")
	if strings.Contains(none, "nvme.ko") || !strings.Contains(none, "drivers/ata/") {
		t.Errorf("unmatched: %s", none)
	}
	files := []cpio.Record{initramfs.File("lib/firmware/tigon/tg3.bin.xz", nil, 0o644)}
	if got := lacking(index, files); len(got) != 1 || got[0] != "tigon/tg4.bin (tg3)" {
		t.Errorf("lacking: %q", got)
	}
}
