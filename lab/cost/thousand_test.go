//go:build bench

package cost

import (
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/bench"
)

// TestBenchThousand deploys 1,000 machines, all but a few of them at once, on the
// nodes of one lab.
func TestBenchThousand(t *testing.T) {
	const nodes, alone = 1000, 5
	enoughFiles(t)
	l := startLab(t, "--nodes", fmt.Sprint(nodes))
	idle := l.memory("VmRSS")
	l.listens(t)
	p := benchPool(t)

	out := newTable("1,000 nodes in one lab", "", "TIME", "ENGINE'S CPU", "LAB'S CPU", "EACH", "LAB'S MEMORY")
	phase := func(name string, n int, do func() error) (each time.Duration) {
		t.Helper()
		began, ours, theirs := time.Now(), ownCPU(t), l.cpu()
		try(t, do())
		wall, ours, theirs := time.Since(began), ownCPU(t)-ours, l.cpu()-theirs
		each = (ours + theirs) / time.Duration(n)
		out.row(name, wall.Round(time.Millisecond).String(), ours.Round(time.Millisecond).String(), theirs.Round(time.Millisecond).String(), each, fmt.Sprintf("%.0f MiB", l.memory("VmRSS")))
		return each
	}
	out.row("start", l.took.Round(time.Millisecond).String(), "", l.cpu().Round(time.Millisecond).String(), "", fmt.Sprintf("%.0f MiB", idle))
	phase("enroll, erase", nodes, func() error { return l.fill(t.Context(), p.Engine) })
	one := phase(fmt.Sprintf("%d creates, one by one", alone), alone, func() error {
		for i := range alone {
			if _, err := p.Create(t.Context(), order(fmt.Sprintf("one-%d", i)), nil); err != nil {
				return err
			}
		}
		return nil
	})
	all := phase(fmt.Sprintf("%d creates at once", nodes-alone), nodes-alone, func() error {
		var group errgroup.Group
		for i := range nodes - alone {
			group.Go(func() error {
				_, err := p.Create(t.Context(), order(fmt.Sprintf("web-%d", i)), nil)
				return err
			})
		}
		return group.Wait()
	})
	peak := l.memory("VmHWM")
	out.row("peak", "", "", "", "", fmt.Sprintf("%.0f MiB", peak))
	out.show(t)
	p.allDeployed(t, nodes)

	bench.Record(t, bench.Result{Name: "lab of 1,000 nodes: every BMC listens", Value: l.took.Seconds(), Op: "<=", Bound: 10, Unit: "s", Against: "its start, identities and certificates made"})
	bench.Record(t, bench.Result{Name: "lab of 1,000 nodes: memory, idle", Value: idle, Op: "<=", Bound: 100, Unit: "MiB", Against: "the process as the kernel counts it"})
	bench.Record(t, bench.Result{Name: "lab of 1,000 nodes: memory, peak of 1,000 deploys", Value: peak, Op: "<=", Bound: 512, Unit: "MiB", Against: "the process as the kernel counts it"})
	bench.Record(t, bench.Result{Name: "create: CPU of both ends, 1,000 at once", Value: all.Seconds() / one.Seconds(), Op: "<=", Bound: 1.5, Unit: "×", Against: fmt.Sprintf("the same one by one (%.0f ms)", one.Seconds()*1000)})
}

// enoughFiles says so at once where the limit is too low. Go raises the soft one by
// itself.
func enoughFiles(t *testing.T) {
	t.Helper()
	const need = 12_000 // some 8 for each node, in the lab
	var limit unix.Rlimit
	try(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	if limit.Max < need {
		t.Fatalf("1,000 nodes need some %d open files, and the hard limit is %d: raise it (ulimit -Hn)", need, limit.Max)
	}
}

// listens fails unless every BMC takes a connection.
func (p *labProcess) listens(t *testing.T) {
	t.Helper()
	for _, n := range p.rack.Nodes {
		u, err := url.Parse(n.BMC.URL)
		try(t, err)
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", u.Host)
		if err != nil {
			t.Fatalf("node %s: %v", n.ID, err)
		}
		try(t, conn.Close())
	}
}

// allDeployed fails unless each node has a machine of its own, and all invariants
// hold.
func (p pool) allDeployed(t *testing.T, want int) {
	t.Helper()
	machines, err := p.Machines(t.Context(), core.AllocationFilter{Live: true})
	try(t, err)
	taken := map[core.NodeID]bool{}
	for _, m := range machines {
		if m.State != core.Deployed || taken[m.Node] {
			t.Errorf("%s is %s on %s", m.Name, m.State, m.Node)
		}
		taken[m.Node] = true
	}
	if len(machines) != want {
		t.Errorf("%d machines are there, want %d", len(machines), want)
	}
	broken, err := p.Verify(t.Context())
	try(t, err)
	if len(broken) > 0 {
		t.Errorf("%d invariants are broken: %+v", len(broken), broken[0])
	}
}
