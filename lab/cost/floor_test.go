//go:build bench && vm

package cost

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/metalpool/metalpool/internal/installed"
	"github.com/metalpool/metalpool/internal/needs"
)

// floor is what the example image takes by itself on a virtual machine: what a create
// is held against.
type floor struct {
	first time.Duration // from the kernel's start to SSH, at the first boot
	again time.Duration // from power on to SSH, firmware included, of a machine that has its OS
	off   time.Duration // from the power button to off
}

// measureFloor takes two boots of a fresh disk of that kind of QEMU's devices.
func measureFloor(ctx context.Context, t *testing.T, image, device string) (f floor) {
	t.Helper()
	m := installed.New(t, image, device)
	boot := func(from installed.From) time.Duration {
		start := time.Now()
		m.Start(from)
		c := m.SSH(ctx)
		took := time.Since(start)
		// What still starts would be in the way of what is measured next.
		installed.Run(t, c, "systemctl is-system-running --wait || true", nil)
		return took
	}
	turnOff := func() time.Duration {
		start := time.Now()
		m.PressPower()
		select {
		case <-m.Off():
		case <-ctx.Done():
			t.Fatal("the machine ignores its power button")
		}
		return time.Since(start)
	}
	f.first = boot(installed.Kernel)
	f.off = turnOff()
	f.again = boot(installed.Firmware)
	turnOff()
	return f
}

// TestBenchVMFloor shows the floor; it has no bound, since no part of metalpool is in
// it. Copying the disk is not in it either.
func TestBenchVMFloor(t *testing.T) {
	image := needs.DebianDocker(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	const runs = 3
	var first, again, off []time.Duration
	for range runs {
		f := measureFloor(ctx, t, image, "virtio-blk-pci")
		first, again, off = append(first, f.first), append(again, f.again), append(off, f.off)
	}
	out := newTable(fmt.Sprintf("Debian with Docker Engine by itself on a virtual machine, median of %d", runs), "FROM", "TO", "TIME")
	out.row("kernel, first boot", "SSH", median(first))
	out.row("power on, second boot", "SSH", median(again))
	out.row("power button", "off", median(off))
	out.show(t)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
