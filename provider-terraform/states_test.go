//go:build linux

package main_test

import (
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

// TestEveryState has a machine be in each state that a pool can tell, and in one that only
// a later pool could: a plan says what it makes of it, and no apply waits for a state that
// never comes.
func TestEveryState(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	w := r.newWork(t, machineBlock("web-1"))
	w.apply(t)
	made := r.named(t, "web-1")
	const inPlace, anew = "0 to add, 1 to change, 0 to destroy", "1 to add, 0 to change, 0 to destroy"
	for _, c := range []struct {
		state core.State
		plan  string
		fails bool
	}{
		{core.Deployed, "No changes", false},
		{core.Allocated, inPlace, false},
		{core.Deploying, inPlace, false},
		{core.Failed, inPlace, false},
		{core.Released, anew, false},
		{core.Expired, anew, false},
		{core.Waiting, "The allocation has no node: it is Waiting. What to do: wait until it has one", true},
		{"Haunted", "The allocation has no node: it is Haunted. What to do: create a new one", true},
	} {
		r.force(t, made.ID, c.state)
		if !c.fails {
			says(t, w.run(t, "plan", "-no-color"), c.plan)
			continue
		}
		says(t, w.refuse(t), c.plan)
	}
	r.force(t, made.ID, core.Deployed)
	w.unchanged(t)
	w.destroy(t)
	r.givenBack(t)
}

// force writes a state into the store, which the life of a machine may not allow.
func (r *rig) force(t *testing.T, id core.AllocationID, state core.State) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), r.URL, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	err = store.Update(t.Context(), func(tx core.Tx) error {
		a, err := tx.Allocation(id)
		if err != nil {
			return err
		}
		a.State = state
		return tx.SwapAllocation(a)
	})
	if err != nil {
		t.Fatal(err)
	}
}
