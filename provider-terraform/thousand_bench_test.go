//go:build bench && linux

package main_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/metalpool/metalpool/internal/bench"
	"github.com/metalpool/metalpool/lab"
)

const (
	benchMachines = 1000
	benchRounds   = 3
	// parallel is what a fleet is applied with: the default of 10 is for clouds, whose
	// machines come in seconds.
	parallel = 100
	// phase is how long each phase of a server takes, where it takes any time.
	phase = 2 * time.Second
)

// TestBenchThousand applies and plans 1,000 machines: on a rack that takes no time,
// against a provider that only answers; and on one whose phases take their time,
// against the longest chain of them.
func TestBenchThousand(t *testing.T) {
	n := benchCount(t)
	r := newBenchRack(t, n)
	name := fmt.Sprintf("terraform, %d machines", n)

	ours, theirs := built.Dir(t), bareDir(t)
	var applies, plans [2][]spent // of the bare provider, and of ours
	for i := range benchRounds {
		for who, dir := range []string{theirs, ours} {
			w := r.newBenchWork(t, dir, fmt.Sprintf("round-%d-%d", i, who))
			applies[who] = append(applies[who], w.terraformed("apply", "-auto-approve", fmt.Sprintf("-parallelism=%d", parallel)))
			plans[who] = append(plans[who], w.terraformed("plan", "-detailed-exitcode"))
			w.checkState(n)
			r.turnOff()
		}
	}
	w := r.restarted(t, lab.Times{On: phase, Off: phase, POST: phase, Ramdisk: phase, OS: phase, Shutdown: phase}).newBenchWork(t, ours, "slow")
	slow := w.terraformed("apply", "-auto-approve", fmt.Sprintf("-parallelism=%d", parallel))
	w.checkState(n)

	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(&out, "%s, each run:\n", name)
	fmt.Fprintln(table, "  \tPROVIDER\tTIME\tCPU OF BOTH\tCPU OF THE RACK\tPROVIDER'S MEMORY")
	for i := range benchRounds {
		for who, label := range []string{"that only answers", "metalpool"} {
			fmt.Fprintf(table, "  apply\t%s\t%v\n", label, applies[who][i])
			fmt.Fprintf(table, "  plan\t%s\t%v\n", label, plans[who][i])
		}
	}
	fmt.Fprintf(table, "  apply, %s a phase\tmetalpool\t%v\n", phase, slow)
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	bench.Tell(t, out.String())

	ratio := func(verb string, all [2][]spent, bound float64) {
		bare := median(all[0], spent.seconds)
		bench.Record(t, bench.Result{
			Name: name + ": " + verb, Value: median(all[1], spent.seconds) / bare, Op: "<=", Bound: bound, Unit: "×",
			Against: fmt.Sprintf("a provider of the same schema that only answers (%.1f s)", bare),
		})
		bare = median(all[0], spent.work)
		bench.Record(t, bench.Result{
			Name: name + ": " + verb + ", CPU of terraform and the provider", Value: median(all[1], spent.work) / bare, Op: "<=", Bound: bound, Unit: "×",
			Against: fmt.Sprintf("the same (%.1f s)", bare),
		})
	}
	ratio("apply", applies, 1.5)
	ratio("plan with refresh", plans, 1.5)
	peak := slow.peak
	for _, s := range append(applies[1], plans[1]...) {
		peak = max(peak, s.peak)
	}
	bench.Record(t, bench.Result{Name: name + ": memory of the provider, peak", Value: peak, Op: "<=", Bound: 300, Unit: "MiB", Against: "the process as the kernel counts it"})
	chain := time.Duration((n+parallel-1)/parallel) * 4 * phase // power on, firmware, ramdisk, system
	bench.Record(t, bench.Result{
		Name: fmt.Sprintf("%s: apply, %s a phase, %d at a time", name, phase, parallel), Value: slow.wall.Seconds() / chain.Seconds(), Op: "<=", Bound: 1.3, Unit: "×",
		Against: fmt.Sprintf("the longest chain of phases (%s)", chain),
	})
}

// benchCount is how many machines there are to be; fewer while one looks for what takes
// long.
func benchCount(t *testing.T) int {
	t.Helper()
	text := os.Getenv("METALPOOL_BENCH_MACHINES")
	if text == "" {
		return benchMachines
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("METALPOOL_BENCH_MACHINES is no number: %v", err)
	}
	return n
}

// spent is what one run took.
type spent struct {
	wall     time.Duration
	cpu, lab time.Duration // of terraform and its provider; of the rack
	peak     float64       // memory of the provider, in MiB
}

func (s spent) seconds() float64 { return s.wall.Seconds() }
func (s spent) work() float64    { return s.cpu.Seconds() }

func (s spent) String() string {
	return fmt.Sprintf("%.1f s\t%.1f s\t%.1f s\t%.0f MiB", s.wall.Seconds(), s.cpu.Seconds(), s.lab.Seconds(), s.peak)
}

func median(of []spent, value func(spent) float64) float64 {
	var values []float64
	for _, s := range of {
		values = append(values, value(s))
	}
	return bench.Median(values)
}
