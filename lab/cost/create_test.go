//go:build bench

package cost

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/bench"
	"github.com/metalpool/metalpool/lab"
)

// What a BMC by the book is asked for. Each change is a request and a look at what
// became of it; before media is inserted or ejected the slot is looked at.
const (
	bootRequests   = 2 + 3 + 2 + 2                       // off, insert, boot once, on
	parkRequests   = 3 + 1                               // eject; that no override is left
	createRequests = 1 + bootRequests + parkRequests     // first of all, whether it answers
	removeRequests = 2 + bootRequests + 2 + parkRequests // off, and off again after the erase
	// patience is for what takes its time: media that lingers in a slot, power that
	// changes late on a machine that is busy.
	patience = 6
)

// TestBenchCreate shows what a whole create and a whole rm with its clean take: of
// the BMCs with the default manners, and of the processors at both ends.
func TestBenchCreate(t *testing.T) {
	l := startLab(t, "--nodes", fmt.Sprint(len(lab.DefaultVendors)))
	p := benchPool(t)
	try(t, l.fill(t.Context(), p.Engine))

	creates, removes := make([]*meter, len(l.rack.Nodes)), make([]*meter, len(l.rack.Nodes))
	var group errgroup.Group
	for i, n := range l.rack.Nodes {
		group.Go(func() (err error) {
			creates[i], removes[i], err = p.comeAndGo(t, n.ID, func() spent { return l.traffic(i) })
			return err
		})
	}
	try(t, group.Wait())

	const rounds = 5
	began := time.Now()
	clocks := func() spent {
		return spent{commits: p.commits.Load(), wall: time.Since(began), engine: ownCPU(t), lab: l.cpu()}
	}
	var created, removed []*meter
	for i := range rounds {
		c, r, err := p.comeAndGo(t, l.rack.Nodes[i].ID, clocks)
		try(t, err)
		created, removed = append(created, c), append(removed, r)
	}
	image := layImage(t)
	for _, w := range []struct {
		title          string
		counted, timed []*meter
		requests       int
		connections    int
		cpu            float64 // of both ends, in images
	}{
		{"create", creates, created, createRequests, 1, 5},
		{"rm and clean", removes, removed, removeRequests, 1, 3.5},
	} {
		worst, mean := show(t, w.title, w.counted, w.timed)
		against := fmt.Sprintf("the worst of %d vendors' BMCs; by the book it is %d", len(w.counted), w.requests)
		bench.Record(t, bench.Result{Name: w.title + ": requests to the BMC", Value: float64(worst.total()), Op: "<=", Bound: float64(w.requests + patience), Against: against})
		bench.Record(t, bench.Result{Name: w.title + ": TLS connections to the BMC", Value: float64(worst.connections), Op: "<=", Bound: float64(w.connections), Against: "the worst of the same"})
		cpu := mean.engine + mean.lab
		bench.Record(t, bench.Result{
			Name: w.title + ": CPU of both ends", Value: cpu.Seconds() / image.Seconds(), Op: "<=", Bound: w.cpu, Unit: "×",
			Against: fmt.Sprintf("unpacking, checking and writing the image alone (%.0f ms)", image.Seconds()*1000),
		})
	}
}

// comeAndGo creates a machine on a node and removes it.
func (p *pool) comeAndGo(t *testing.T, id core.NodeID, sample func() spent) (create, remove *meter, err error) {
	o := order("web-" + string(id))
	o.Request.Node = id
	create = newMeter("acquire", sample)
	if _, err = p.Create(t.Context(), o, create.report); err != nil {
		return create, remove, err
	}
	create.turn("")
	remove = newMeter("release", sample)
	err = p.Release(t.Context(), o.ID, core.ReleaseOptions{WaitClean: true}, remove.report)
	remove.turn("")
	return create, remove, err
}

// show prints what each step took, and returns the most that one BMC was asked for
// and the mean of the rest.
func show(t *testing.T, title string, counted, timed []*meter) (worst, mean spent) {
	t.Helper()
	for _, m := range counted {
		if s := m.sum(); s.total() > worst.total() {
			worst = s
		}
	}
	out := newTable("A "+title+", by steps", "STEP", "REQUESTS", "OF WHICH", "COMMITS", "TIME", "ENGINE'S CPU", "LAB'S CPU")
	row := func(name string, asked, took spent) {
		out.row(name, asked.total(), verbs(asked.requests), took.commits, took.wall, took.engine, took.lab)
	}
	for _, step := range timed[0].order {
		var asked, took spent
		for _, m := range counted {
			if s := m.steps[step]; s.total() > asked.total() {
				asked = s
			}
		}
		for _, m := range timed {
			took = took.add(spent{}, m.steps[step])
		}
		took = took.over(len(timed))
		mean = mean.add(spent{}, took)
		row(step, asked, took)
	}
	row("all", worst, mean)
	out.show(t)
	return worst, mean
}
