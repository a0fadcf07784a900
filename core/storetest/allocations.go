package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/filled"
)

func (s suite) allocations(t *testing.T) {
	store := s.make(t)
	full, bare := filled.Value[core.Allocation](t), core.Allocation{ID: "tombstone-1", State: core.Released}
	update(t, store, func(tx core.Tx) error {
		return errors.Join(tx.InsertAllocation(full), tx.InsertAllocation(bare), tx.InsertAllocation(core.Allocation{ID: "tombstone-2", State: core.Released}))
	})
	allocation := func(id core.AllocationID) core.Allocation {
		t.Helper()
		return read(t, store, func(tx core.Tx) (core.Allocation, error) { return tx.Allocation(id) })
	}

	t.Run("read back whole", func(t *testing.T) {
		same(t, "full", allocation(full.ID), full)
		same(t, "bare", allocation(bare.ID), bare)
		same(t, "by name", read(t, store, func(tx core.Tx) (core.Allocation, error) { return tx.AllocationNamed(full.Owner, full.Name) }), full)
	})

	t.Run("what is not there", func(t *testing.T) {
		update(t, store, func(tx core.Tx) error {
			_, err := tx.Allocation("nobody")
			wantKind(t, err, core.NotFound)
			_, err = tx.AllocationNamed(full.Owner, "nobody")
			wantKind(t, err, core.NotFound)
			_, err = tx.AllocationNamed("nobody", full.Name)
			wantKind(t, err, core.NotFound)
			_, err = tx.AllocationNamed("", "") // tombstones have no name to be found by
			wantKind(t, err, core.NotFound)
			wantConflict(t, tx.SwapAllocation(core.Allocation{ID: "nobody"}))
			return nil
		})
	})

	t.Run("swap", func(t *testing.T) {
		change := full
		change.State, change.Reason, change.Node = core.Deployed, "", ""
		change.Order, change.Moves, change.Access = nil, nil, core.Access{Address: "10.0.0.1"}
		change.Deadline, change.EndedAt = time.Time{}, time.Time{}
		want := change
		want.Version++
		update(t, store, func(tx core.Tx) error { return tx.SwapAllocation(change) })
		same(t, "swapped", allocation(full.ID), want)
		update(t, store, func(tx core.Tx) error {
			wantConflict(t, tx.SwapAllocation(full))
			later := want
			later.Version++
			wantConflict(t, tx.SwapAllocation(later))
			return nil
		})
		same(t, "after lost swaps", allocation(full.ID), want)
	})

	t.Run("large user data", func(t *testing.T) {
		a := core.Allocation{ID: "large", Owner: "o", Name: "large", Order: &core.DeployOrder{UserData: []byte(strings.Repeat("\x00\xff", 1<<19))}}
		update(t, store, func(tx core.Tx) error { return tx.InsertAllocation(a) })
		same(t, "large", allocation(a.ID), a)
	})

	t.Run("list", s.listAllocations)
	t.Run("names", s.names)
}

func (s suite) listAllocations(t *testing.T) {
	store := s.make(t)
	update(t, store, func(tx core.Tx) error {
		for _, a := range []core.Allocation{
			{ID: "e", Owner: "ann", State: core.Deployed, Name: "1"},
			{ID: "d", Owner: "ann", State: core.Waiting, Name: "2", Request: core.Request{Pool: "q"}},
			{ID: "c", Owner: "bob", State: core.Released, Name: "1"},
			{ID: "b", Owner: "bob", State: core.Expired, Name: "1", Request: core.Request{Pool: "q"}},
			{ID: "a", Owner: "bob", State: core.Waiting, Name: "1", Request: core.Request{Pool: core.DefaultPool}},
		} {
			if err := tx.InsertAllocation(a); err != nil {
				return err
			}
		}
		return nil
	})
	for _, c := range []struct {
		filter core.AllocationFilter
		want   string
	}{
		{core.AllocationFilter{}, "e d c b a"}, // first come, first served
		{core.AllocationFilter{Owner: "bob"}, "c b a"},
		{core.AllocationFilter{Pool: "q"}, "d b"},
		{core.AllocationFilter{Pool: core.DefaultPool}, "e c a"}, // the one that is meant where none is named
		{core.AllocationFilter{Live: true}, "e d a"},
		{core.AllocationFilter{States: []core.State{core.Waiting}}, "d a"},
		{core.AllocationFilter{States: []core.State{core.Expired, core.Deployed}}, "e b"},
		{core.AllocationFilter{Owner: "bob", Live: true, Pool: "q", States: []core.State{core.Expired}}, ""},
	} {
		all := read(t, store, func(tx core.Tx) ([]core.Allocation, error) { return drain(tx.Allocations(c.filter)) })
		var ids []string
		for _, a := range all {
			ids = append(ids, string(a.ID))
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.filter, got, c.want)
		}
	}
}

// names: an ID is for ever, an owner's name until the release.
func (s suite) names(t *testing.T) {
	store := s.make(t)
	first := core.Allocation{ID: "first", Owner: "ann", Name: "web", State: core.Deployed}
	second := core.Allocation{ID: "second", Owner: "ann", Name: "web", State: core.Allocated}
	update(t, store, func(tx core.Tx) error {
		if err := tx.InsertAllocation(first); err != nil {
			return err
		}
		wantKind(t, tx.InsertAllocation(first), core.Exists)
		wantKind(t, tx.InsertAllocation(core.Allocation{ID: "first", Owner: "bob", Name: "db"}), core.Exists)
		err := tx.InsertAllocation(second)
		wantKind(t, err, core.Exists)
		if err == nil || !strings.Contains(err.Error(), "first") {
			t.Errorf("%v does not name the allocation that has the name", err)
		}
		return tx.InsertAllocation(core.Allocation{ID: "other", Owner: "bob", Name: "web"})
	})
	for _, end := range []core.State{core.Released, core.Expired} {
		first.State = end
		update(t, store, func(tx core.Tx) error {
			if err := tx.SwapAllocation(first); err != nil {
				return err
			}
			_, err := tx.AllocationNamed("ann", "web")
			wantKind(t, err, core.NotFound)
			wantKind(t, tx.InsertAllocation(core.Allocation{ID: "first", Owner: "ann", Name: "web"}), core.Exists)
			if err := tx.InsertAllocation(second); err != nil {
				return err
			}
			got, err := tx.AllocationNamed("ann", "web")
			same(t, "the name's new holder", got, second)
			return err
		})
		first, second = second, core.Allocation{ID: "third", Owner: "ann", Name: "web", State: core.Allocated}
	}
}

// oneOwner: whatever the engine does, a node belongs to at most one allocation.
func (s suite) oneOwner(t *testing.T) {
	store := s.make(t)
	stock(t, store, 2)
	node, other := server(0).ID, server(1).ID
	a := core.Allocation{ID: "a", Owner: "o", Name: "a", State: core.Deployed, Node: node}
	b := core.Allocation{ID: "b", Owner: "o", Name: "b", State: core.Waiting}
	update(t, store, func(tx core.Tx) error {
		if err := errors.Join(tx.InsertAllocation(a), tx.InsertAllocation(b)); err != nil {
			return err
		}
		c := core.Allocation{ID: "c", Owner: "o", Name: "c", State: core.Allocated, Node: node}
		err := tx.InsertAllocation(c)
		wantKind(t, err, core.Exists)
		if err == nil || !strings.Contains(err.Error(), string(node)) {
			t.Errorf("%v does not name the node", err)
		}
		taken := b
		taken.State, taken.Node = core.Allocated, node
		wantKind(t, tx.SwapAllocation(taken), core.Exists)
		return nil
	})
	update(t, store, func(tx core.Tx) error {
		ended := a
		ended.State = core.Released // and still names the node it had
		if err := tx.SwapAllocation(ended); err != nil {
			return err
		}
		b.State, b.Node = core.Allocated, node
		return tx.SwapAllocation(b)
	})
	update(t, store, func(tx core.Tx) error {
		b.Version, b.Node = 1, other
		if err := tx.SwapAllocation(b); err != nil {
			return err
		}
		return tx.InsertAllocation(core.Allocation{ID: "d", Owner: "o", Name: "d", State: core.Allocated, Node: node})
	})
}
