//go:build vm

package vmtest_test

import (
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/qemu"
)

// The names of the engine's steps, as its stories tell them.
const (
	stepRamdisk = "boot ramdisk"
	stepWrite   = "write image"
	stepSeed    = "write seed"
	stepBoot    = "boot"
	stepSSH     = "ssh"
	stepErase   = "erase"
)

// small is a server for all that does not depend on its disks.
var small = lab.VM{Memory: core.GiB, Disks: []lab.VMDisk{{Bus: qemu.VirtIO, Size: 512 * core.MiB}}}

// The power is cut in a phase, or right behind it, before it is written down that it is
// done. The deploy goes on, and so does the clean; afterwards a mark is gone.
func TestVMPowerCut(t *testing.T) {
	r := newRack(t, small)
	for _, c := range []struct {
		name           string
		deploy, clean  func(r *rack) core.Reporter
		boots          int // of the ramdisk in the deploy
		startedByFirst core.BootMode
	}{
		{"while the image is written, and while it is erased", during(stepWrite, true), during(stepErase, false), 2, core.Kexec},
		{"behind the image, and behind the erase", behind(stepWrite), behind(stepErase), 2, core.Kexec},
		{"in kexec, and not in the clean", during(stepBoot, false), undisturbed, 1, core.Reboot},
		{"behind kexec, and not in the clean", behind(stepBoot), undisturbed, 1, core.Reboot},
	} {
		r.run(c.name, func(r *rack) {
			t := r.t
			none := core.BootMode("")
			_, err := r.SetNode(t.Context(), r.node.ID(), core.NodeChange{Boot: &none})
			try(t, err)
			mark, o := newMark(), r.order()
			o.UserData = marked(mark)
			m := r.create(o, c.deploy(r))
			r.startedBy(c.startedByFirst)
			if n := r.boots(); n != c.boots {
				t.Errorf("the ramdisk was started %d times, not %d", n, c.boots)
			}
			disk := r.node.Disks()[0]
			if holds(t, disk, []byte(mark)) == 0 {
				t.Error("the owner left no mark")
			}
			r.release(m, c.clean(r))
			if n := holds(t, disk, []byte(mark)); n > 0 {
				t.Errorf("after the release the mark is at %d places", n)
			}
		})
	}
}

func undisturbed(*rack) core.Reporter { return nil }

// during cuts the power once the step has begun; with moved, in the middle of its bytes.
func during(step string, moved bool) func(r *rack) core.Reporter {
	return func(r *rack) core.Reporter { return at(step, moved, r.blackout) }
}

// behind cuts the power when the step is done, while that is written down.
func behind(step string) func(r *rack) core.Reporter {
	return func(r *rack) core.Reporter {
		r.store.whileMet(step, r.blackout)
		return nil
	}
}
