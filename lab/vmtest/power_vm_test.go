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

// The power is cut in each phase, or right behind it, before it is written down that it
// is done. The deploy goes on, and so does the clean; afterwards a mark is gone.
func TestVMPowerCut(t *testing.T) {
	r := newRack(t, small)
	for _, c := range []struct {
		name      string
		cut       func(r *rack, step string) core.Reporter
		boots     int // of the ramdisk in the deploy
		startedBy core.BootMode
	}{
		// Who loses the power before kexec needs the ramdisk for it once more.
		{"during", (*rack).during, 3, core.Kexec},
		// Who loses it in kexec has the OS on its disk.
		{"behind", (*rack).behind, 2, core.Reboot},
	} {
		r.run(c.name, func(r *rack) {
			t := r.t
			mark, o := newMark(), r.order()
			o.UserData = marked(mark)
			write, boot := c.cut(r, stepWrite), c.cut(r, stepBoot)
			m := r.create(o, func(p core.Progress) {
				write(p)
				boot(p)
			})
			r.startedBy(c.startedBy)
			if n := r.boots(); n != c.boots {
				t.Errorf("the ramdisk was started %d times, not %d", n, c.boots)
			}
			disk := r.node.Disks()[0]
			if holds(t, disk, []byte(mark)) == 0 {
				t.Error("the owner left no mark")
			}
			r.release(m, c.cut(r, stepErase))
			if n := holds(t, disk, []byte(mark)); n > 0 {
				t.Errorf("after the release the mark is at %d places", n)
			}
			if n := r.blackouts.Load(); n != 3 {
				t.Errorf("the power was cut %d times, not 3", n)
			}
		})
	}
}

// during cuts the power in a step: where bytes are moved, while the agent moves them.
func (r *rack) during(step string) core.Reporter {
	if step == stepWrite {
		r.whileWriting(r.blackout)
		return func(core.Progress) {}
	}
	begun := map[string]func(core.Progress) bool{stepErase: counted, stepBoot: atOnce}[step]
	return at(step, begun, r.blackout)
}

// behind cuts the power when the step is done, while that is written down.
func (r *rack) behind(step string) core.Reporter {
	r.store.whileMet(step, r.blackout)
	return func(core.Progress) {}
}
