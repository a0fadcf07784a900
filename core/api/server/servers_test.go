package server_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

// Several servers of one pool share its nodes and its work: none is given twice, none is
// lost, and who queues at one is given what is released at another.
func TestServersShareAPool(t *testing.T) {
	const nodes, orders = 4, 12
	r := newRig(t, nodes)
	servers := []*running{r.serve(""), r.serve("")}
	secret := r.operator()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		held = map[core.NodeID]core.AllocationID{}
	)
	for i := range orders {
		makes, gives := servers[i%2].client(secret), servers[(i+1)%2].client(secret)
		wg.Go(func() {
			o := order(fmt.Sprintf("w%d", i))
			o.Wait = time.Hour
			m, err := makes.Create(ctx, o, nil)
			if err != nil {
				t.Errorf("%s: %v", o.ID, err)
				return
			}
			mu.Lock()
			if other, taken := held[m.Node]; taken {
				t.Errorf("%s has %s, which is %s's", m.ID, m.Node, other)
			}
			held[m.Node] = m.ID
			mu.Unlock()
			if events, err := gives.Events(ctx, core.EventFilter{Allocation: m.ID}); err != nil || len(events) == 0 {
				t.Errorf("the other server knows %d events of %s, %v", len(events), m.ID, err)
			}
			mu.Lock()
			delete(held, m.Node)
			mu.Unlock()
			if err := gives.Release(ctx, m.ID, core.ReleaseOptions{WaitClean: true}, nil); err != nil {
				t.Errorf("release of %s: %v", m.ID, err)
			}
		})
	}
	wg.Wait()
	if broken, err := servers[0].engine.Verify(ctx); err != nil || len(broken) > 0 {
		t.Errorf("broken: %v, %v", broken, err)
	}
	all, err := servers[1].engine.Nodes(ctx, core.NodeFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if n.State != core.Available {
			t.Errorf("%s is %s: %s", n.ID, n.State, n.Reason)
		}
	}
}

// The same order at two servers is one machine: the second waits for the first, is told
// what happens there, and ends with the same answer.
func TestOneOrderAtTwoServers(t *testing.T) {
	r := newRig(t, 2)
	one, two := r.serve(""), r.serve("")
	secret := r.operator()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	type result struct {
		m   core.Machine
		err error
	}
	create := func(s *running, report core.Reporter) <-chan result {
		ended := make(chan result, 1)
		go func() {
			m, err := s.client(secret).Create(ctx, order("web-1"), report)
			ended <- result{m, err}
		}()
		return ended
	}
	one.host.FreezeIn("agent write", enginetest.Before)
	first := create(one, nil)
	<-one.host.Frozen()
	told := make(chan core.Progress, 1000)
	second := create(two, func(p core.Progress) { told <- p })
	awaitStep(t, told, "wait")
	r.happens(core.Event{Node: "n1", Allocation: "m-web-1", Type: core.StepMoves, Step: "write image", Message: "40%"})
	awaitStep(t, told, "write image")
	one.host.Thaw()
	a, b := <-first, <-second
	if a.err != nil || b.err != nil || a.m.ID != b.m.ID || a.m.Node != b.m.Node || b.m.State != core.Deployed {
		t.Errorf("%+v, %v\nand %+v, %v", a.m, a.err, b.m, b.err)
	}
	if events, err := two.engine.Events(ctx, core.EventFilter{Allocation: a.m.ID}); err != nil || count(events, core.StateChanged) != 3 {
		t.Errorf("it was not one deploy: %+v, %v", events, err)
	}
}

// happens writes an event down as another process does.
func (r *rig) happens(e core.Event) {
	r.t.Helper()
	store, err := sqlite.Open(r.t.Context(), filepath.Join(r.dir, "pool.db"), sqlite.Options{})
	if err == nil {
		err = errors.Join(store.Update(r.t.Context(), func(tx core.Tx) error { return tx.AddEvent(e) }), store.Close())
	}
	if err != nil {
		r.t.Fatal(err)
	}
}
