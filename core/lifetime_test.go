package core_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
	"github.com/metalpool/metalpool/core/placetest"
)

func TestMachinesThatEndByThemselves(t *testing.T) { placetest.Each(t, machinesThatEndByThemselves) }

func machinesThatEndByThemselves(t *testing.T, at placetest.Place) {
	const ttl = 8 * time.Hour
	short := func(o core.Order) core.Order {
		o.TTL = ttl
		return o
	}
	over := func(t *testing.T, p *pool, id core.AllocationID, state core.State) {
		t.Helper()
		m := p.machine(id)
		if m.State != state || state.Ended() && !strings.Contains(m.Reason, "the time that was asked for was over at ") {
			t.Errorf("%s is %s: %s\n%s", id, m.State, m.Reason, p.story())
		}
	}
	story := func(name string, servers int, run func(t *testing.T, p *pool, e *core.Engine)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPoolAt(t, at, servers)
				e, _ := p.engine()
				run(t, p, e)
				p.reconcile()
				p.sound()
			})
		})
	}
	story("deployed", 2, func(t *testing.T, p *pool, e *core.Engine) {
		m, err := e.Create(t.Context(), short(order("a-1", "web-1")), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Create(t.Context(), order("a-2", "web-2"), nil); err != nil {
			t.Fatal(err)
		}
		if began := m.Until.Add(-ttl); began.Before(m.CreatedAt) || time.Now().Before(began) {
			t.Errorf("made at %s, it ends at %s", m.CreatedAt, m.Until)
		}
		pass(time.Until(m.Until) - time.Second)
		p.reconcile()
		over(t, p, "a-1", core.Deployed)
		if left, err := e.Unattended(t.Context()); err != nil || len(left) > 0 {
			t.Errorf("nothing is to be done yet: %v, %v", left, err)
		}
		pass(time.Second)
		if left, err := e.Unattended(t.Context()); err != nil || len(left) != 1 || left[0] != m.Node {
			t.Errorf("the next command is to see it: %v, %v", left, err)
		}
		p.reconcile()
		over(t, p, "a-1", core.Released)
		over(t, p, "a-2", core.Deployed)
		if n := p.node(m.Node); n.State != core.Available || n.Erases != 2 {
			t.Errorf("its node is %s after %d erases", n.State, n.Erases)
		}
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); !core.Is(err, core.Exists) {
			t.Errorf("an ID that has ended: %v", err)
		}
	})
	story("allocated", 1, func(t *testing.T, p *pool, e *core.Engine) {
		o := complete(order("a-1", "web-1"))
		o.TTL, o.AcquireTimeout = time.Minute, time.Hour
		if _, err := e.Acquire(t.Context(), o, nil); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		p.reconcile()
		over(t, p, "a-1", core.Released)
		if n := p.node("n1"); n.State != core.Available || n.Erases != 1 {
			t.Errorf("untouched, its node is %s after %d erases", n.State, n.Erases)
		}
	})
	story("in the middle of its deploy", 1, func(t *testing.T, p *pool, e *core.Engine) {
		p.rack.Server("n1").Fail(enginetest.Fault{Op: "boot disk", Err: enginetest.ErrBroken, Times: -1}) // it waits for SSH
		o := short(order("a-1", "web-1"))
		o.TTL = 5 * time.Minute
		ended := make(chan error, 1)
		go func() {
			_, err := e.Create(t.Context(), o, nil)
			ended <- err
		}()
		pass(6 * time.Minute)
		over(t, p, "a-1", core.Deploying)
		p.reconcile()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "given up meanwhile") {
			t.Errorf("its create says %v", err)
		}
		over(t, p, "a-1", core.Released)
	})
	story("by a worker", 1, func(t *testing.T, p *pool, e *core.Engine) {
		m, err := e.Create(t.Context(), short(order("a-1", "web-1")), nil)
		if err != nil {
			t.Fatal(err)
		}
		pass(time.Until(m.Until))
		worker, _ := p.engine()
		if _, err := worker.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		over(t, p, "a-1", core.Released)
		p.wantStates("n1 Available")
	})
	story("kept longer, and for ever", 1, func(t *testing.T, p *pool, e *core.Engine) {
		m, err := e.Create(t.Context(), short(order("a-1", "web-1")), nil)
		if err != nil {
			t.Fatal(err)
		}
		change := func(ttl time.Duration) core.Machine {
			m, err := e.Change(t.Context(), "a-1", core.MachineChange{TTL: &ttl})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		pass(time.Until(m.Until) - time.Minute)
		if m = change(time.Hour); !m.Until.Equal(time.Now().UTC().Add(time.Hour)) {
			t.Errorf("it ends at %s", m.Until)
		}
		pass(2 * time.Minute)
		p.reconcile()
		over(t, p, "a-1", core.Deployed)
		if m = change(0); !m.Until.IsZero() {
			t.Errorf("it ends at %s", m.Until)
		}
		pass(100 * time.Hour)
		p.reconcile()
		over(t, p, "a-1", core.Deployed)
		before := -time.Hour
		if _, err := e.Change(t.Context(), "a-1", core.MachineChange{TTL: &before}); !core.Is(err, core.Invalid) {
			t.Errorf("an end in the past: %v", err)
		}
		o := short(order("a-2", "web-2"))
		o.TTL = before
		if _, err := e.Create(t.Context(), o, nil); !core.Is(err, core.Invalid) {
			t.Errorf("a machine that ends before it begins: %v", err)
		}
	})
	story("moved to another node it keeps its end", 2, func(t *testing.T, p *pool, e *core.Engine) {
		for _, s := range p.rack.Servers() {
			s.Fail(enginetest.Fault{Op: "write", Err: enginetest.ErrBroken, Times: 1, Unless: func(r *enginetest.Rack) bool { return r.Hits("write") > 0 }})
		}
		began := time.Now()
		m, err := e.Create(t.Context(), short(order("a-1", "web-1")), nil)
		if err != nil || len(m.Moves) != 1 || m.Until.Sub(began) > ttl+time.Second {
			t.Errorf("%+v, %v", m, err)
		}
	})
}

// TestAReleaseOfWhatEndsIsCutShort freezes whoever ends a machine in each of its calls.
func TestAReleaseOfWhatEndsIsCutShort(t *testing.T) { placetest.Each(t, aReleaseOfWhatEndsIsCutShort) }

func aReleaseOfWhatEndsIsCutShort(t *testing.T, at placetest.Place) {
	begin := makePreset(t, at, 1, func(p *pool) {
		e, _ := p.engine()
		o := order("a-1", "web-1")
		o.TTL = time.Hour
		if _, err := e.Create(p.t.Context(), o, nil); err != nil {
			p.t.Fatal(err)
		}
	})
	for at, more := 1, true; more && !t.Failed(); at++ {
		for _, when := range []enginetest.When{enginetest.Before, enginetest.After} {
			synctest.Test(t, func(t *testing.T) {
				p := begin.pool(t)
				pass(2 * time.Hour)
				victim, host := p.engine()
				host.Freeze(at, when)
				ended := make(chan error, 1)
				go func() {
					_, err := victim.Reconcile(t.Context(), core.ReconcileOptions{}, nil)
					ended <- err
				}()
				select {
				case <-host.Frozen():
					synctest.Wait()
				case err := <-ended:
					if more = false; err != nil || at < 10 {
						t.Errorf("it was swept over %d calls: %v", at-1, err)
					}
					return
				}
				p.reconcile()
				host.Thaw()
				t.Logf("woken up, it ended: %v", <-ended)
				p.reconcile()
				p.sound()
				p.wantStates("n1 Available")
				if m := p.machine("a-1"); m.State != core.Released {
					t.Errorf("frozen %s call %d, it is %s", when, at, m.State)
				}
			})
		}
	}
}

func TestOwnersAreSeen(t *testing.T) { placetest.Each(t, ownersAreSeen) }

func ownersAreSeen(t *testing.T, at placetest.Place) {
	synctest.Test(t, func(t *testing.T) {
		p := newPoolAt(t, at, 2)
		var writes atomic.Int64
		counting := countedStore{p.store, &writes}
		host := p.rack.Host()
		process := func() *core.Engine { return p.engineOn(host, counting, cloak{}, nil) }
		e := process()
		seen := func(owner string) time.Time {
			t.Helper()
			machines, err := e.Machines(t.Context(), core.AllocationFilter{Owner: owner})
			if err != nil || len(machines) != 1 {
				t.Fatalf("%+v, %v", machines, err)
			}
			return machines[0].OwnerSeen
		}
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatal(err)
		}
		first := seen("ann")
		if first.IsZero() {
			t.Error("who creates a machine is not seen")
		}
		pass(time.Hour)
		writes.Store(0)
		for range 100 {
			e.Seen(t.Context(), "ann")
			process().Seen(t.Context(), "ann") // docker-machine is one for each machine
		}
		if now := seen("ann"); writes.Load() != 1 || now.Sub(first) < time.Hour {
			t.Errorf("%d writes; seen at %s", writes.Load(), now)
		}
		pass(time.Minute)
		if e.Seen(t.Context(), "ann"); writes.Load() != 2 {
			t.Errorf("%d writes, a minute later", writes.Load())
		}
		e.Seen(t.Context(), "")
		full := p.engineOn(host, failingStore{p.store}, cloak{}, nil)
		full.Seen(t.Context(), "bob") // nobody is told
		if now, err := e.Machine(t.Context(), "a-1"); err != nil || now.State != core.Deployed {
			t.Errorf("%+v, %v", now, err)
		}
	})
}

type countedStore struct {
	core.Store
	updates *atomic.Int64
}

func (s countedStore) Update(ctx context.Context, fn func(tx core.Tx) error) error {
	s.updates.Add(1)
	return s.Store.Update(ctx, fn)
}

type failingStore struct{ core.Store }

func (failingStore) Update(context.Context, func(core.Tx) error) error {
	return errors.New("the disk is full")
}

func TestOrphansOf(t *testing.T) {
	now := time.Date(2031, 5, 4, 12, 0, 0, 0, time.UTC)
	week := 7 * 24 * time.Hour
	machines := []core.Machine{
		{ID: "here", State: core.Deployed, CreatedAt: now.Add(-9 * week), OwnerSeen: now.Add(-week + time.Second)},
		{ID: "gone", State: core.Deployed, CreatedAt: now.Add(-9 * week), OwnerSeen: now.Add(-week)},
		{ID: "failed", State: core.Failed, CreatedAt: now.Add(-9 * week)},
		{ID: "new", State: core.Deployed, CreatedAt: now.Add(-week + time.Second)},
		{ID: "ended", State: core.Released, CreatedAt: now.Add(-9 * week)},
	}
	var got []string
	for _, m := range core.OrphansOf(machines, now, week) {
		got = append(got, string(m.ID))
	}
	if strings.Join(got, " ") != "gone failed" {
		t.Errorf("orphans are %v", got)
	}
}
