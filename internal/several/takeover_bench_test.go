//go:build bench

package several_test

import (
	"context"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/bench"
)

// lease is how long one lasts where nobody says otherwise.
const lease = time.Minute

// TestBenchTakeover kills one of two servers while it deploys one node and cleans another,
// and takes the time until each is at work again at the other server.
func TestBenchTakeover(t *testing.T) {
	s := newSite(t, usual, 2, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := s.servers[0]
	m, err := s.client().Create(ctx, order("given-back"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range s.lab.Nodes() {
		s.hangs(n.ID())
	}
	go func() { _, _ = s.client().Create(ctx, order("made"), nil) }()
	deploying := s.nodeOf("m-made")
	if err := s.client().Release(ctx, m.ID, core.ReleaseOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	for _, node := range []core.NodeID{deploying, m.Node} {
		s.working(node)
	}
	s.serve("host")
	first.kill()
	killed := time.Now()
	for what, node := range map[string]core.NodeID{"deploy": deploying, "clean": m.Node} {
		var at time.Time
		s.until("it is at work again", func() bool {
			events, err := s.client().Events(ctx, core.EventFilter{Node: node, Limit: 20})
			for _, ev := range events {
				if ev.Type == core.WorkTaken {
					at = ev.At
				}
			}
			return err == nil && !at.IsZero()
		})
		bench.Record(t, bench.Result{Name: "a killed worker's " + what + " is at work again", Value: at.Sub(killed).Seconds() / lease.Seconds(), Op: "<=", Bound: 2, Unit: "leases", Against: "a lease of a minute"})
	}
}
