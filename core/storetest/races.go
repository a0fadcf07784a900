package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/metalpool/metalpool/core"
)

// fairShare is the least part of the mean that the slowest of several writers must
// have got: a queue gives each nearly as much, chance alone starves some.
const fairShare = 0.25

func wantFair(t *testing.T, counts []int) {
	t.Helper()
	total := 0
	for _, n := range counts {
		total += n
	}
	mean := float64(total) / float64(len(counts))
	if least := float64(slices.Min(counts)); least < fairShare*mean {
		t.Errorf("writers made %v commits: the slowest starves", counts)
	}
}

// wantDistinct checks every claim against the store: no node twice, none left, and
// each with the allocation and the event that were written with it.
func wantDistinct(t *testing.T, store core.Store, claims map[core.AllocationID]core.NodeID, nodes int) {
	t.Helper()
	if len(claims) != nodes {
		t.Errorf("%d claims of %d nodes", len(claims), nodes)
	}
	owners := map[core.NodeID]core.AllocationID{}
	for id, node := range claims {
		if other, taken := owners[node]; taken {
			t.Errorf("%s and %s both got %s", id, other, node)
		}
		owners[node] = id
	}
	view(t, store, func(tx core.Tx) error {
		all, err := drain(tx.Nodes(core.NodeFilter{}))
		if err != nil {
			return err
		}
		for _, n := range all {
			if n.State != core.Allocated || n.Version != 1 || n.Allocation != owners[n.ID] {
				t.Errorf("node %+v, claimed by %s", n, owners[n.ID])
			}
			a, err := tx.Allocation(n.Allocation)
			if err != nil || a.Node != n.ID {
				t.Errorf("allocation %+v of node %s: %v", a, n.ID, err)
			}
			events, err := drain(tx.Events(core.EventFilter{Node: n.ID}))
			if err != nil || len(events) != 1 || events[0].Allocation != n.Allocation {
				t.Errorf("events of node %s: %+v, %v", n.ID, events, err)
			}
		}
		return nil
	})
}

func (s suite) racingGoroutines(t *testing.T) {
	t.Run("for nodes", s.raceForNodes)
	t.Run("for a name", s.raceForName)
	t.Run("for a lease", s.raceForLease)
	t.Run("to make the store", s.raceToMake)
}

// openings are what racers share: some a Store, all the address.
const openings = 2

func (s suite) raceForNodes(t *testing.T) {
	const racers, nodes = 8, 160
	address := s.fresh(t)
	var stores [openings]core.Store
	for i := range stores {
		stores[i] = s.at(t, address)
	}
	stock(t, stores[0], nodes)
	results := make([]map[core.AllocationID]core.NodeID, racers)
	var group errgroup.Group
	for racer := range racers {
		group.Go(func() error {
			var err error
			results[racer], err = claimAll(t.Context(), stores[racer%openings], fmt.Sprintf("racer-%d", racer))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	claims, counts := map[core.AllocationID]core.NodeID{}, []int{}
	for _, result := range results {
		counts = append(counts, len(result))
		for id, node := range result {
			claims[id] = node
		}
	}
	wantDistinct(t, stores[0], claims, nodes)
	if slices.Contains(s.promises, Queued) {
		wantFair(t, counts)
	}
}

// claimAll claims one node after the other until none is left.
func claimAll(ctx context.Context, store core.Store, owner string) (map[core.AllocationID]core.NodeID, error) {
	claims := map[core.AllocationID]core.NodeID{}
	for {
		id := core.AllocationID(fmt.Sprintf("%s-%d", owner, len(claims)))
		var node core.NodeID
		err := store.Update(ctx, func(tx core.Tx) (err error) {
			node, err = claim(tx, id, owner)
			return err
		})
		if core.Is(err, core.NoCapacity) {
			return claims, nil
		}
		if err != nil {
			return claims, err
		}
		claims[id] = node
	}
}

func (s suite) raceForName(t *testing.T) {
	store := s.make(t)
	var won, lost atomic.Int32
	var group errgroup.Group
	for racer := range 8 {
		group.Go(func() error {
			err := store.Update(t.Context(), func(tx core.Tx) error {
				return tx.InsertAllocation(core.Allocation{ID: core.AllocationID(fmt.Sprint(racer)), Owner: "o", Name: "web"})
			})
			switch {
			case err == nil:
				won.Add(1)
			case core.Is(err, core.Exists):
				lost.Add(1)
			default:
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil || won.Load() != 1 || lost.Load() != 7 {
		t.Errorf("%d won and %d lost, %v; want 1 and 7", won.Load(), lost.Load(), err)
	}
}

func (s suite) raceForLease(t *testing.T) {
	const racers, rounds = 8, 10
	address := s.fresh(t)
	var group errgroup.Group
	for racer := range racers {
		store := s.at(t, address)
		group.Go(func() error {
			for range rounds {
				err := store.Update(t.Context(), func(tx core.Tx) error {
					l, err := tx.Lease("n")
					if err != nil {
						return err
					}
					return tx.SwapLease(core.Lease{Node: "n", Holder: fmt.Sprint(racer), Generation: l.Generation + 1}, l.Generation)
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	l := read(t, s.at(t, address), func(tx core.Tx) (core.Lease, error) { return tx.Lease("n") })
	if l.Generation != racers*rounds {
		t.Errorf("generation %d after %d takeovers", l.Generation, racers*rounds)
	}
}

// raceToMake: who opens a store that is just being made gets the same one.
func (s suite) raceToMake(t *testing.T) {
	address := s.fresh(t)
	const racers = 6
	ids := make([]string, racers)
	var group errgroup.Group
	for racer := range racers {
		group.Go(func() error {
			store, err := s.open(t.Context(), address)
			if err != nil {
				return err
			}
			ids[racer] = store.Info().PoolID
			return errors.Join(
				store.Update(t.Context(), func(tx core.Tx) error { return tx.InsertNode(server(racer)) }),
				store.Close(),
			)
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if unique := slices.Compact(ids); len(unique) != 1 {
		t.Errorf("one store has the pool IDs %v", unique)
	}
	if n := count(t, s.at(t, address)); n != racers {
		t.Errorf("there are %d nodes, want %d", n, racers)
	}
}
