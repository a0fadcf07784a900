//go:build bench && vm

package cost

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/bench"
	"github.com/metalpool/metalpool/internal/needs"
)

// smallest is the memory of the node. One that is too small fails the create.
const smallest = core.GiB

// TestBenchVMCold holds a create on a server that is off against what its parts take
// without metalpool: the OS by itself, firmware and kernel until the ramdisk's first
// program, and the image.
func TestBenchVMCold(t *testing.T) {
	image := needs.DebianDocker(t)
	ctx, cancel := context.WithTimeout(t.Context(), 80*time.Minute)
	defer cancel()
	r := newVMRack(t, image, smallest)

	const runs = 3
	var against, installed, peaks []float64
	var floors, installs, offs, inits, totals []time.Duration
	steps := map[string][]time.Duration{}
	var names []string
	for i := range runs {
		f, c := measureFloor(ctx, t, image, "virtio-blk-pci"), r.create(ctx, fmt.Sprintf("cold-%d", i))
		write := c.steps.steps["write image"].wall
		floors, installs, offs = append(floors, f.first), append(installs, f.again), append(offs, f.off)
		inits, totals, names = append(inits, c.init), append(totals, c.all), c.steps.order
		for _, name := range names {
			steps[name] = append(steps[name], c.steps.steps[name].wall)
		}
		const slack = 1.3
		against = append(against, c.all.Seconds()/(f.first.Seconds()+slack*(c.init+write).Seconds()))
		installed = append(installed, c.all.Seconds()/f.again.Seconds())
		t.Logf("run %d: create %s, of it power on to /init %s, write image %s; without metalpool: kernel to SSH %s, power on to SSH %s", i+1, seconds(c.all), seconds(c.init), seconds(write), seconds(f.first), seconds(f.again))
		peak, err := strconv.ParseFloat(c.peak, 64)
		try(t, err)
		peaks = append(peaks, peak)
	}

	out := newTable(fmt.Sprintf("A cold create on a virtual machine of %s, Debian with Docker Engine, median of %d", smallest, runs), "STEP", "TIME")
	for _, name := range names {
		out.row(name, seconds(median(steps[name])))
	}
	out.row("all", seconds(median(totals)))
	out.row("", "")
	out.row("of boot ramdisk: power on to /init", seconds(median(inits)))
	out.row("without metalpool: kernel to SSH, first boot", seconds(median(floors)))
	out.row("without metalpool: power on to SSH, second boot", seconds(median(installs)))
	out.row("without metalpool: power button to off", seconds(median(offs)))
	out.row("of that server's power on to SSH", fmt.Sprintf("%.2f ×", bench.Median(installed)))
	out.show(t)
	bench.Record(t, bench.Result{Name: "cold create to SSH", Value: bench.Median(against), Op: "<=", Bound: 1, Unit: "×", Against: "kernel to SSH of the same OS + 1.3 × (power on to /init + write image)"})
	bench.Record(t, bench.Result{Name: "agent's memory, peak of a create", Value: max(peaks[0], peaks[1], peaks[2]), Op: "<=", Bound: 256, Unit: "MiB", Against: "the ramdisk's only process as the kernel counts it"})
	bench.Record(t, bench.Result{Name: "memory of a node that was deployed", Value: float64(smallest) / float64(core.MiB), Op: "<=", Bound: 1024, Unit: "MiB", Against: "what a node has to have"})
}
