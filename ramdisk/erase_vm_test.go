//go:build vm

package ramdisk_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// TestVMErase has one disk of each kind that QEMU knows, full of an owner's data, and
// looks from outside at what is left of it.
func TestVMErase(t *testing.T) {
	const size = 64 << 20
	dir := t.TempDir()
	data := bytes.Repeat([]byte("an owner's data\n"), size/16)
	file := func(name string) string { return filepath.Join(dir, name) }
	r := newRig(t, nil)
	args := append(cdOnSCSI(r.iso), "-device", "qemu-xhci", "-device", "nvme,id=pair,serial=NVME2",
		"-netdev", "user,id=net,hostfwd=tcp:"+r.agentAt+"-:"+r.agentPort, "-device", "e1000e,netdev=net")
	for name, device := range map[string]string{
		"sata":   "ide-hd,bus=ide.1,serial=SATA1",
		"virtio": "virtio-blk-pci,serial=VIRTIO1",
		"scsi":   "scsi-hd,bus=hba.0,serial=SCSI1,logical_block_size=4096,physical_block_size=4096",
		"first":  "nvme-ns,bus=pair,nsid=1",
		"second": "nvme-ns,bus=pair,nsid=2",
		"stick":  "usb-storage,serial=STICK",
	} {
		if err := os.WriteFile(file(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-drive", fmt.Sprintf("id=%s,if=none,format=raw,discard=unmap,file=%s", name, file(name)), "-device", device+",drive="+name)
	}
	inventory, _ := r.meet(t, startVM(t, args))
	for end := time.Now().Add(time.Minute); len(inventory.Hardware.Disks) < 7 && time.Now().Before(end); {
		inventory, _ = r.ask(t) // USB is slow to show what is on it
	}
	sticks := 0
	for _, d := range inventory.Hardware.Disks {
		t.Logf("%+v", d)
		if d.Removable {
			sticks++
		}
		if d.Removable != (d.Serial == "") { // Linux asks no USB stick for its serial
			t.Errorf("%s: removable is %t", d.Path, d.Removable)
		}
	}
	if sticks != 1 {
		t.Errorf("%d disks can be removed, not the stick alone", sticks)
	}
	serials := []string{"NVME1", "NVME2", "NVME2_2", "SATA1", "SCSI1", "VIRTIO1"}
	agent, err := r.deployer.Dial(r.boot, r.secret, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = agent.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	report, err := agent.Erase(ctx, "erase", core.EraseOrder{Disks: serials}, func(core.Bytes, core.Bytes) {})
	if err != nil {
		t.Error(err)
	}
	erased := map[string]core.DiskErase{}
	for _, d := range report.Disks {
		t.Logf("%+v", d)
		erased[d.Disk] = d
	}
	for _, serial := range serials {
		if d := erased[serial]; !d.Verified || d.Class != core.Clear {
			t.Errorf("%s: %+v", serial, d)
		}
	}
	if len(erased) != len(serials) {
		t.Errorf("%d disks were erased, want %d", len(erased), len(serials))
	}
	for _, name := range []string{"sata", "virtio", "scsi", "first", "second", "stick"} {
		left, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		if untouched, zero := bytes.Equal(left, data), bytes.Equal(left, make([]byte, len(left))); name == "stick" && !untouched || name != "stick" && !zero {
			t.Errorf("%s: untouched %t, zero %t", name, untouched, zero)
		}
	}
	// The pool knows of a disk that somebody took out, with whatever is on it.
	_, err = agent.Erase(ctx, "again", core.EraseOrder{Disks: append(serials, "GONE")}, func(core.Bytes, core.Bytes) {})
	if !core.Is(err, core.Backend) || !strings.Contains(err.Error(), "GONE: the disk is not there") {
		t.Errorf("without a disk of the inventory the erase says %v", err)
	}
	if log, err := agent.Log(ctx); err == nil && t.Failed() {
		t.Logf("the agent's log:\n%s", log)
	}
}
