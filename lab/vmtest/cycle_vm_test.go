//go:build vm

package vmtest_test

import (
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/qemu"
	"github.com/metalpool/metalpool/lab/tinyos"
)

// A server of 1 GiB of memory with disks of several kinds has two owners, one after
// the other. The OS goes to the smallest disk, whichever kind that is, and leaves the
// others as they are; the second owner finds nothing of the first.
func TestVMTwoOwners(t *testing.T) {
	for _, c := range []struct {
		name         string
		disks        []qemu.Bus // the first is the smallest
		first, later core.BootMode
	}{
		{"NVMe first", []qemu.Bus{qemu.NVMe, qemu.SATA, qemu.VirtIO}, core.Kexec, core.Reboot},
		{"SATA first", []qemu.Bus{qemu.SATA, qemu.SCSI, qemu.NVMe}, core.Reboot, core.Kexec}, // VirtIO is first, and alone, in all other tests
	} {
		t.Run(c.name, func(t *testing.T) {
			vm := lab.VM{Memory: core.GiB}
			for i, bus := range c.disks {
				vm.Disks = append(vm.Disks, lab.VMDisk{Bus: bus, Size: core.Bytes(512+128*i) * core.MiB})
			}
			twoOwners(t, vm, c.first, c.later)
		})
	}
}

func twoOwners(t *testing.T, vm lab.VM, first, later core.BootMode) {
	r := newRack(t, vm)
	disks := r.node.Disks()
	var left [][]byte // what nobody may find after the first release
	before := map[string]string{}
	mark := newMark()
	for _, d := range disks[1:] {
		left = append(left, fill(t, d))
		before[d.Path] = content(t, d, mark)
	}

	r.startBy(first)
	o := r.order()
	o.UserData = marked(mark)
	m := r.create(o, nil)
	r.startedBy(first)
	for _, d := range disks[1:] {
		if content(t, d, "") != before[d.Path] {
			t.Errorf("disk %s differs by something else than the mark that its owner wrote there", d.Path)
		}
	}
	for i, d := range disks {
		want := len(tinyos.MarkPlaces(int64(d.Size), 0))
		if i == 0 { // beside what the OS keeps free of it, the seed has it
			want = len(tinyos.MarkPlaces(int64(d.Size), 64<<20)) + 1
		}
		if n := holds(t, d, []byte(mark)); n < want {
			t.Errorf("disk %s has the mark at %d places, want %d", d.Path, n, want)
		}
	}

	r.release(m, nil)
	for _, d := range disks {
		for _, piece := range append(left, []byte(mark), []byte("title Tiny OS"), []byte(m.Name)) {
			if n := holds(t, d, piece); n > 0 {
				t.Errorf("after the release disk %s holds %.20q at %d places", d.Path, piece, n)
			}
		}
	}

	r.startBy(later)
	m = r.create(r.order(), nil)
	r.startedBy(later)
	for _, d := range disks {
		if n := holds(t, d, []byte(mark)); n > 0 {
			t.Errorf("for the second owner disk %s holds the mark of the first at %d places", d.Path, n)
		}
	}
	r.release(m, nil)
}

// startBy sets how the OS will be started.
func (r *rack) startBy(mode core.BootMode) {
	r.t.Helper()
	_, err := r.SetNode(r.t.Context(), r.node.ID(), core.NodeChange{Boot: &mode})
	try(r.t, err)
}

// startedBy checks how the OS that runs was started, by what it said.
func (r *rack) startedBy(mode core.BootMode) {
	r.t.Helper()
	text := r.console()
	says := map[core.BootMode]string{core.Kexec: "by_kexec=true", core.Reboot: "by_kexec=false"}[mode]
	if last := strings.LastIndex(text, "by_kexec="); last < 0 || !strings.HasPrefix(text[last:], says) {
		r.t.Errorf("the OS was not started by %s", mode)
		r.showConsole()
	}
}
