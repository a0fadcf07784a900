package several_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// nodeOf is the node that an allocation is given, as soon as it works there.
func (s *site) nodeOf(id core.AllocationID) (node core.NodeID) {
	s.t.Helper()
	s.until(fmt.Sprintf("%s has a node", id), func() bool {
		m, err := s.client().Machine(s.t.Context(), id)
		node = m.Node
		return err == nil && node != "" && m.State == core.Deploying
	})
	return node
}

// A server that is killed in the middle of a create, or of a clean, leaves nothing undone:
// another goes on, whether the client is still there or not.
func TestAServerIsKilled(t *testing.T) {
	s := newSite(t, quick, 3, 3)
	for _, n := range s.lab.Nodes() {
		s.hangs(n.ID())
	}
	ctx := t.Context()
	var wg sync.WaitGroup
	create := func(ctx context.Context, name string, want bool) {
		wg.Go(func() {
			if m, err := s.client().Create(ctx, order(name), nil); want && (err != nil || m.State != core.Deployed) {
				t.Errorf("create of %s: %+v, %v", name, m, err)
			}
		})
	}
	// One whose client stays, and one whose client goes.
	leaves, leave := context.WithCancel(ctx)
	create(ctx, "stays", true)
	create(leaves, "leaves", false)
	killed := map[*served]bool{}
	for _, name := range []core.AllocationID{"m-stays", "m-leaves"} {
		killed[s.working(s.nodeOf(name))] = true
	}
	leave()
	for p := range killed {
		p.kill()
	}
	s.until("both are deployed", func() bool {
		for _, id := range []core.AllocationID{"m-stays", "m-leaves"} {
			if m, err := s.client().Machine(ctx, id); err != nil || m.State != core.Deployed {
				return false
			}
		}
		return true
	})
	wg.Wait()
	for p := range killed {
		if err := p.again(); err != nil {
			t.Fatal(err)
		}
	}
	// The same in the middle of what follows a release.
	var cleaned []core.NodeID
	for _, id := range []core.AllocationID{"m-stays", "m-leaves"} {
		m, err := s.client().Machine(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		s.hangs(m.Node)
		cleaned = append(cleaned, m.Node)
		wg.Go(func() {
			if err := s.client().Release(ctx, id, core.ReleaseOptions{WaitClean: true}, nil); err != nil {
				t.Errorf("release of %s: %v", id, err)
			}
		})
	}
	killed = map[*served]bool{}
	for _, node := range cleaned {
		killed[s.working(node)] = true
	}
	for p := range killed { // two of three at most
		p.kill()
	}
	wg.Wait()
	s.sound(map[core.State]int{core.Available: 3})
}

// Servers that are stopped and started one after the other, as for an upgrade, fail no
// client.
func TestRollingRestart(t *testing.T) {
	s := newSite(t, quick, 4, 3)
	var (
		wg   sync.WaitGroup
		done = make(chan struct{})
		all  sync.Mutex
		made int
	)
	for i := range 4 {
		c := s.client()
		wg.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-done:
					return
				default:
				}
				m, err := c.Create(t.Context(), order(fmt.Sprintf("c%d-%d", i, round)), nil)
				if err == nil {
					err = c.Release(t.Context(), m.ID, core.ReleaseOptions{WaitClean: true}, nil)
				}
				if err != nil {
					t.Errorf("client %d, round %d: %v", i, round, err)
					return
				}
				all.Lock()
				made++
				all.Unlock()
			}
		})
	}
	for range 2 {
		for _, p := range s.servers {
			if err := p.drain(); err != nil {
				t.Errorf("a drained server ends with %v", err)
			}
			if err := p.again(); err != nil {
				t.Fatal(err)
			}
			all.Lock()
			before := made
			all.Unlock()
			s.until("another machine was made and given back", func() bool {
				all.Lock()
				defer all.Unlock()
				return made > before || t.Failed()
			})
		}
	}
	close(done)
	wg.Wait()
	if made == 0 {
		t.Error("no machine was made")
	}
	s.sound(map[core.State]int{core.Available: 4})
}
