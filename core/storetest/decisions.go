package storetest

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/metalpool/metalpool/core"
)

// decisions: what is written rests on what was read, whoever else decides at one time.
func (s suite) decisions(t *testing.T) {
	t.Run("one request, asked twice", s.sameRequest)
	t.Run("one request, asked twice, for the last there is", s.sameRequestForTheLast)
	t.Run("a quota", s.quota)
	t.Run("a policy", s.policy)
	t.Run("the last node of a pool", s.lastNode)
}

// racersAtOnce runs fn for each racer, on two openings of one store.
func (s suite) racersAtOnce(t *testing.T, prepare func(store core.Store), racers int, fn func(racer int, store core.Store) error) core.Store {
	t.Helper()
	address := s.fresh(t)
	stores := [openings]core.Store{s.at(t, address), s.at(t, address)}
	prepare(stores[0])
	var group errgroup.Group
	for racer := range racers {
		group.Go(func() error { return fn(racer, stores[racer%openings]) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return stores[0]
}

func leaveEmpty(core.Store) {}

// sameRequest: whoever looks for an allocation, and makes it where it is not there, finds
// the one that another has just made. None is refused, and none makes a second one.
func (s suite) sameRequest(t *testing.T) {
	for round := range 5 {
		found := make([]core.AllocationID, 6)
		store := s.racersAtOnce(t, leaveEmpty, len(found), func(racer int, store core.Store) error {
			id := core.AllocationID("a")
			if round%2 == 1 {
				id = core.AllocationID(fmt.Sprintf("a%d", racer)) // one name under IDs of their own
			}
			return store.Update(t.Context(), func(tx core.Tx) error {
				a, err := tx.Allocation(id)
				if core.Is(err, core.NotFound) {
					a, err = tx.AllocationNamed("o", "web")
				}
				if core.Is(err, core.NotFound) {
					a = core.Allocation{ID: id, Owner: "o", Name: "web"}
					err = tx.InsertAllocation(a)
				}
				found[racer] = a.ID
				return err
			})
		})
		all := read(t, store, func(tx core.Tx) ([]core.Allocation, error) { return drain(tx.Allocations(core.AllocationFilter{})) })
		if len(all) != 1 {
			t.Fatalf("there are %+v, want one", all)
		}
		for _, id := range found {
			if id != all[0].ID {
				t.Errorf("found %s, and %s was made", id, all[0].ID)
			}
		}
	}
}

// sameRequestForTheLast: who asks again, elsewhere, while his request is being decided
// upon, is given what it is given. He is not told that his quota, or the pool, was used up:
// it was, by himself.
func (s suite) sameRequestForTheLast(t *testing.T) {
	for round := range 4 {
		o := core.Order{ID: "a", Owner: "o", Name: "web", AcquireTimeout: time.Hour}
		prepare := func(store core.Store) {
			p := core.Pool{Name: core.DefaultPool}
			if round%2 == 1 {
				p.Quota = 1
			}
			stock(t, store, 1)
			update(t, store, func(tx core.Tx) error { return tx.PutPool(p) })
		}
		s.racersAtOnce(t, prepare, 6, func(_ int, store core.Store) error {
			a, err := core.New(core.Config{Store: store}).Acquire(t.Context(), o, nil)
			if err == nil && (a.ID != o.ID || a.Node != server(0).ID) {
				err = fmt.Errorf("it is %s on %s", a.ID, a.Node)
			}
			return err
		})
	}
}

// quota: who counts an owner's allocations before he adds one never comes over a limit.
func (s suite) quota(t *testing.T) {
	const limit, racers = 3, 12
	store := s.racersAtOnce(t, leaveEmpty, racers, func(racer int, store core.Store) error {
		return store.Update(t.Context(), func(tx core.Tx) error {
			have, err := drain(tx.Allocations(core.AllocationFilter{Owner: "o", Live: true}))
			if err != nil || len(have) >= limit {
				return err
			}
			return tx.InsertAllocation(core.Allocation{ID: core.AllocationID(fmt.Sprint(racer)), Owner: "o", Name: fmt.Sprint(racer)})
		})
	})
	all := read(t, store, func(tx core.Tx) ([]core.Allocation, error) { return drain(tx.Allocations(core.AllocationFilter{})) })
	if len(all) != limit {
		t.Errorf("%d allocations where %d are allowed", len(all), limit)
	}
}

// policy: what is read and written back loses nobody's change.
func (s suite) policy(t *testing.T) {
	const racers, rounds = 4, 2
	store := s.racersAtOnce(t, leaveEmpty, racers, func(_ int, store core.Store) error {
		for range rounds {
			err := store.Update(t.Context(), func(tx core.Tx) error {
				p, err := tx.Pool("p")
				if err != nil && !core.Is(err, core.NotFound) {
					return err
				}
				p.Name = "p"
				p.Quota++
				return tx.PutPool(p)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	p := read(t, store, func(tx core.Tx) (core.Pool, error) { return tx.Pool("p") })
	if p.Quota != racers*rounds {
		t.Errorf("%d of %d changes are left", p.Quota, racers*rounds)
	}
}

// lastNode: a pool is removed only while it is empty, and a node goes only to a pool
// that is there.
func (s suite) lastNode(t *testing.T) {
	for range 5 {
		prepare := func(store core.Store) {
			update(t, store, func(tx core.Tx) error { return tx.PutPool(core.Pool{Name: "p"}) })
		}
		store := s.racersAtOnce(t, prepare, 4, func(racer int, store core.Store) error {
			err := store.Update(t.Context(), func(tx core.Tx) error {
				if racer%2 == 1 {
					if _, err := tx.Pool("p"); err != nil {
						return err
					}
					n := server(racer)
					n.Pool = "p"
					return tx.InsertNode(n)
				}
				nodes, err := drain(tx.Nodes(core.NodeFilter{Pool: "p"}))
				if err != nil || len(nodes) > 0 {
					return err
				}
				return tx.DeletePool("p")
			})
			if core.Is(err, core.NotFound) {
				return nil
			}
			return err
		})
		view(t, store, func(tx core.Tx) error {
			nodes, err := drain(tx.Nodes(core.NodeFilter{}))
			if err != nil {
				return err
			}
			if _, err := tx.Pool("p"); err != nil && len(nodes) > 0 {
				t.Errorf("%d nodes are in a pool that was removed: %v", len(nodes), err)
			}
			return nil
		})
	}
}

// follow: who reads events after the last one that he has seen misses none, though
// writers overtake each other.
func (s suite) follow(t *testing.T) {
	const writers, each, perWrite = 4, 40, 2
	address := s.fresh(t)
	reader := s.at(t, address)
	group, ctx := errgroup.WithContext(t.Context())
	for writer := range writers {
		store := s.at(t, address)
		group.Go(func() error {
			for i := range each {
				err := store.Update(ctx, func(tx core.Tx) error {
					for range perWrite {
						if err := tx.AddEvent(core.Event{Step: fmt.Sprint(writer), Message: fmt.Sprint(i)}); err != nil {
							return err
						}
					}
					_, err := tx.Lease("nobody's") // a while for others to overtake
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	var last int64
	seen := map[int64]bool{}
	follow := func() {
		const page = 3
		for told := page; told == page; {
			events := read(t, reader, func(tx core.Tx) ([]core.Event, error) {
				return drain(tx.Events(core.EventFilter{After: last, First: page}))
			})
			for _, ev := range events {
				if ev.Seq <= last {
					t.Fatalf("event %d after event %d", ev.Seq, last)
				}
				last = ev.Seq
				seen[ev.Seq] = true
			}
			told = len(events)
		}
	}
	// A store may tell of the last ones a while after they were committed.
	var all []core.Event
	for len(all) < writers*each*perWrite && ctx.Err() == nil {
		follow()
		all = read(t, reader, func(tx core.Tx) ([]core.Event, error) { return drain(tx.Events(core.EventFilter{})) })
	}
	follow()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, ev := range all {
		if !seen[ev.Seq] {
			t.Errorf("event %d of writer %s, %s, was never seen by who follows", ev.Seq, ev.Step, ev.Message)
		}
	}
}

// anyText: BMCs say what is no text, and what they said must not keep a change from
// being committed.
func (s suite) anyText(t *testing.T) {
	const odd = "a\x00b\xffc"
	store := s.make(t)
	n := server(0)
	n.Reason, n.Spec.Labels["odd"] = odd, odd
	update(t, store, func(tx core.Tx) error {
		if err := tx.InsertNode(n); err != nil {
			return err
		}
		n.State = core.Cleaning
		if err := tx.SwapNode(n); err != nil {
			return err
		}
		_, err := tx.Node(odd)
		wantKind(t, err, core.NotFound)
		return tx.AddEvent(core.Event{Node: n.ID, Message: odd, Step: odd})
	})
	view(t, store, func(tx core.Tx) error {
		events, err := drain(tx.Events(core.EventFilter{Node: n.ID}))
		if err != nil || len(events) != 1 || len(events[0].Message) < len("abc") {
			t.Errorf("events %+v, %v", events, err)
		}
		n, err := tx.Node(n.ID)
		if n.State != core.Cleaning || n.Reason == "" {
			t.Errorf("node %+v", n)
		}
		return err
	})
}
