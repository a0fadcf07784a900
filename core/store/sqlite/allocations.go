package sqlite

import (
	"iter"
	"slices"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

const selectAllocations = "SELECT " + record.AllocationColumns + " FROM allocations"

func (t *tx) Allocation(id core.AllocationID) (core.Allocation, error) {
	for a, err := range list(t, "read an allocation", record.Allocation, selectAllocations+" WHERE id = ?", string(id)) {
		return a, err
	}
	return core.Allocation{}, record.NoAllocation(id)
}

func (t *tx) AllocationNamed(owner, name string) (core.Allocation, error) {
	for a, err := range list(t, "read an allocation", record.Allocation, selectAllocations+" WHERE owner = ? AND name = ? AND live = 1", owner, name) {
		return a, err
	}
	return core.Allocation{}, record.NoMachine(owner, name)
}

func (t *tx) Allocations(f core.AllocationFilter) iter.Seq2[core.Allocation, error] {
	var where record.Where
	if f.Owner != "" {
		where.And("owner = ?%d", f.Owner)
	}
	if f.Pool != "" {
		where.And("pool = ?%d", f.Pool)
	}
	// The index has only those that are live.
	if f.Live || (len(f.States) > 0 && !slices.ContainsFunc(f.States, core.State.Ended)) {
		where.Is("live = 1")
	}
	if !f.EndsBy.IsZero() {
		where.And("live = 1 AND until > 0 AND until <= ?%d", record.Stamp(f.EndsBy))
	}
	states(&where, "state", f.States)
	return list(t, "list allocations", record.Allocation, selectAllocations+where.String()+" ORDER BY seq", where.Args...)
}

func (t *tx) InsertAllocation(a core.Allocation) error {
	document, err := record.Details(a)
	if err != nil {
		return err
	}
	_, err = t.write("store an allocation", "INSERT INTO allocations (id, owner, name, pool, state, live, reason, node, version, created, deadline, until, ended, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		string(a.ID), a.Owner, a.Name, record.PoolOf(a), string(a.State), !a.State.Ended(), a.Reason, string(a.Node), int64(a.Version), record.Stamp(a.CreatedAt), record.Stamp(a.Deadline), record.Stamp(a.Until), record.Stamp(a.EndedAt), document)
	if duplicate(err) {
		return t.refuseAllocation(a)
	}
	return err
}

func (t *tx) SwapAllocation(a core.Allocation) error {
	document, err := record.Details(a)
	if err != nil {
		return err
	}
	err = t.swap("swap an allocation", "UPDATE allocations SET name = ?, state = ?, live = ?, reason = ?, node = ?, deadline = ?, until = ?, ended = ?, document = ?, version = version + 1 WHERE id = ? AND version = ?",
		a.Name, string(a.State), !a.State.Ended(), a.Reason, string(a.Node), record.Stamp(a.Deadline), record.Stamp(a.Until), record.Stamp(a.EndedAt), document, string(a.ID), int64(a.Version))
	if duplicate(err) {
		return t.refuseAllocation(a)
	}
	return err
}

// refuseAllocation says which other allocation stands in the way of a.
func (t *tx) refuseAllocation(a core.Allocation) error {
	const op = "read an allocation"
	var id, name, state string
	found, err := t.read(op, "SELECT id, name, state FROM allocations WHERE owner = ? AND name = ? AND live = 1 AND id <> ?", []any{a.Owner, a.Name, string(a.ID)}, &id, &name, &state)
	if err != nil {
		return err
	}
	if found {
		return record.NameTaken(a, id, state)
	}
	found, err = t.read(op, "SELECT id, name, state FROM allocations WHERE node = ? AND live = 1 AND id <> ?", []any{string(a.Node), string(a.ID)}, &id, &name, &state)
	if err != nil {
		return err
	}
	if a.Node != "" && found {
		return record.NodeTaken(a, id, name)
	}
	return record.AllocationExists(a)
}
