//go:build bench && vm

package cost

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/metalpool/metalpool/internal/installed"
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

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
