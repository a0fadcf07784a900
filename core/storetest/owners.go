package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/filled"
)

func (s suite) owners(t *testing.T) {
	store := s.make(t)
	owner := func(name string) core.Owner {
		t.Helper()
		return read(t, store, func(tx core.Tx) (core.Owner, error) { return tx.Owner(name) })
	}
	same(t, "never seen", owner("ann"), core.Owner{Name: "ann"})
	full := filled.Value[core.Owner](t)
	ann := core.Owner{Name: "ann", Seen: full.Seen.Add(time.Minute)}
	update(t, store, func(tx core.Tx) error { return errors.Join(tx.PutOwner(full), tx.PutOwner(ann)) })
	same(t, "read back", owner(full.Name), full)
	ann.Seen = ann.Seen.Add(time.Hour)
	update(t, store, func(tx core.Tx) error { return tx.PutOwner(ann) })
	same(t, "put again", owner("ann"), ann)
	all := read(t, store, func(tx core.Tx) ([]core.Owner, error) { return drain(tx.Owners()) })
	same(t, "list", all, []core.Owner{ann, full})
}

// ends lists what is to end by a time.
func (s suite) ends(t *testing.T) {
	store := s.make(t)
	end := time.Date(2031, 5, 4, 3, 2, 1, 0, time.UTC)
	allocation := func(id core.AllocationID, owner string, state core.State, until time.Time) core.Allocation {
		return core.Allocation{ID: id, Owner: owner, Name: string(id), State: state, Until: until}
	}
	update(t, store, func(tx core.Tx) error {
		return errors.Join(
			tx.InsertAllocation(allocation("now", "ann", core.Deployed, end)),
			tx.InsertAllocation(allocation("before", "bob", core.Failed, end.Add(-time.Hour))),
			tx.InsertAllocation(allocation("later", "ann", core.Deployed, end.Add(time.Microsecond))),
			tx.InsertAllocation(allocation("never", "ann", core.Deployed, time.Time{})),
			tx.InsertAllocation(allocation("ended", "ann", core.Released, end)),
		)
	})
	for _, c := range []struct {
		name   string
		filter core.AllocationFilter
		want   string
	}{
		{"by then", core.AllocationFilter{EndsBy: end}, "now before "},
		{"of one owner", core.AllocationFilter{EndsBy: end, Owner: "ann"}, "now "},
		{"in one state", core.AllocationFilter{EndsBy: end, States: []core.State{core.Failed}}, "before "},
		{"sooner", core.AllocationFilter{EndsBy: end.Add(-2 * time.Hour)}, ""},
		{"live", core.AllocationFilter{Live: true}, "now before later never "},
	} {
		got := ""
		for _, a := range read(t, store, func(tx core.Tx) ([]core.Allocation, error) { return drain(tx.Allocations(c.filter)) }) {
			got += string(a.ID) + " "
		}
		same(t, c.name, got, c.want)
	}
	update(t, store, func(tx core.Tx) error {
		a, err := tx.Allocation("now")
		a.Until = end.Add(time.Hour)
		return errors.Join(err, tx.SwapAllocation(a))
	})
	a := read(t, store, func(tx core.Tx) (core.Allocation, error) { return tx.Allocation("now") })
	same(t, "swapped", a.Until, end.Add(time.Hour))
}
