package campaign

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is what a campaign came to.
type Report struct {
	ended      map[Verb]map[outcome]int
	faults     map[Kind]*faultCount
	Violations []Found
	marked     int
	read       int
	took       time.Duration
}

// Found is a violation, and where it was found.
type Found struct {
	Violation
	Setting string
	Seed    uint64 // of the burst
	Ops     int    // that it has
}

// faultCount is what is known of all faults of a kind.
type faultCount struct {
	planted int
	took    []time.Duration // to recover, where that is known
}

func newReport() *Report {
	return &Report{ended: map[Verb]map[outcome]int{}, faults: map[Kind]*faultCount{}}
}

func (r *Report) add(setting string, b *burst, took time.Duration) {
	for verb, ends := range b.ended {
		for end, n := range ends {
			r.count(verb, end, n)
		}
	}
	for _, s := range b.struck {
		f := r.fault(s.kind)
		f.planted++
		if took, known := recovery(s, b.samples, b.ops); known {
			f.took = append(f.took, took)
		}
	}
	for _, v := range b.violations {
		r.Violations = append(r.Violations, Found{Violation: v, Setting: setting, Seed: b.plan.Seed, Ops: b.plan.ops()})
	}
	r.marked += b.marked
	r.read += b.read
	r.took += took
}

func (r *Report) count(verb Verb, end outcome, n int) {
	if r.ended[verb] == nil {
		r.ended[verb] = map[outcome]int{}
	}
	r.ended[verb][end] += n
}

func (r *Report) fault(kind Kind) *faultCount {
	if r.faults[kind] == nil {
		r.faults[kind] = &faultCount{}
	}
	return r.faults[kind]
}

// Add puts the report of another setting to this one.
func (r *Report) Add(other *Report) {
	for verb, ends := range other.ended {
		for end, n := range ends {
			r.count(verb, end, n)
		}
	}
	for kind, f := range other.faults {
		ours := r.fault(kind)
		ours.planted += f.planted
		ours.took = append(ours.took, f.took...)
	}
	r.Violations = append(r.Violations, other.Violations...)
	r.marked += other.marked
	r.read += other.read
	r.took += other.took
}

// NewReport is one with nothing in it, to be added to.
func NewReport() *Report { return newReport() }

// Operations is how many there were, and Faults how many were planted.
func (r *Report) Operations() (n int) {
	for _, ends := range r.ended {
		for _, count := range ends {
			n += count
		}
	}
	return n
}

// Faults is said at Operations.
func (r *Report) Faults() (n int) {
	for _, f := range r.faults {
		n += f.planted
	}
	return n
}

// Marked is how often a machine's own mark was found on its disks: a campaign that finds
// none would find none of a former machine, either.
func (r *Report) Marked() int { return r.marked }

// Read is how often whoever logged in read the mark of the machine that he meant.
func (r *Report) Read() int { return r.read }

// Print writes the report as tables for people.
func (r *Report) Print(to io.Writer) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	ends := []outcome{went, refused, failed, died, defected}
	fmt.Fprint(t, "OPERATION\t")
	for _, end := range ends {
		fmt.Fprintf(t, "%s\t", end)
	}
	fmt.Fprintln(t)
	sums := map[outcome]int{}
	for _, verb := range slices.Sorted(maps.Keys(r.ended)) {
		fmt.Fprintf(t, "%s\t", verb)
		for _, end := range ends {
			fmt.Fprintf(t, "%d\t", r.ended[verb][end])
			sums[end] += r.ended[verb][end]
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintf(t, "all %d\t", r.Operations())
	for _, end := range ends {
		fmt.Fprintf(t, "%d\t", sums[end])
	}
	fmt.Fprint(t, "\n\t\nFAULT\tplanted\trecovered, median\tworst\t\n")
	for _, kind := range slices.SortedFunc(maps.Keys(r.faults), func(a, b Kind) int { return cmp.Compare(a, b) }) {
		f := r.faults[kind]
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t\n", kind, f.planted, seconds(f.took, median), seconds(f.took, slices.Max[[]time.Duration]))
	}
	fmt.Fprintf(t, "all\t%d\t\t\t\n", r.Faults())
	if err := t.Flush(); err != nil {
		return err
	}
	rate := float64(r.Operations()) / max(r.took.Seconds(), 1)
	_, err := fmt.Fprintf(to, "\n%d operations and %d faults in %s (%.1f operations a second, the rests included)\n%d times a machine's own mark was found on its disks, and %d times read by logging in\n%d violations\n", r.Operations(), r.Faults(), r.took.Round(time.Second), rate, r.Marked(), r.Read(), len(r.Violations))
	for _, v := range r.Violations {
		if err == nil {
			_, err = fmt.Fprintf(to, "  %s, seed %d: %s: %s\n", v.Setting, v.Seed, v.Invariant, v.What)
		}
	}
	return err
}

func median(of []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

func seconds(of []time.Duration, which func([]time.Duration) time.Duration) string {
	if len(of) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f s", which(of).Seconds())
}
