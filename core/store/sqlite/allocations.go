package sqlite

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/metalpool/metalpool/core"
)

// allocationDocument is the part of an allocation that nothing searches.
type allocationDocument struct {
	Labels  map[string]string `json:"labels,omitempty"`
	Request core.Request      `json:"request"`
	Order   *core.DeployOrder `json:"order,omitempty"`
	Settled bool              `json:"settled,omitempty"`
	Moves   []core.NodeID     `json:"moves,omitempty"`
	As      core.AllocationID `json:"as,omitempty"`
	Access  core.Access       `json:"access,omitzero"`
	Login   *core.LoginKey    `json:"login,omitempty"`
}

const selectAllocations = "SELECT id, owner, name, state, reason, node, version, created, deadline, until, ended, document FROM allocations"

func scanAllocation(row scanner) (core.Allocation, error) {
	var a core.Allocation
	var created, deadline, until, ended int64
	var document []byte
	err := row.Scan(&a.ID, &a.Owner, &a.Name, &a.State, &a.Reason, &a.Node, &a.Version, &created, &deadline, &until, &ended, &document)
	if err != nil {
		return a, err
	}
	a.CreatedAt, a.Deadline, a.Until, a.EndedAt = moment(created), moment(deadline), moment(until), moment(ended)
	var d allocationDocument
	if err := json.Unmarshal(document, &d); err != nil {
		return a, fmt.Errorf("document of allocation %s: %w", a.ID, err)
	}
	a.Labels, a.Request, a.Order, a.Settled, a.Moves, a.As, a.Access, a.Login = d.Labels, d.Request, d.Order, d.Settled, d.Moves, d.As, d.Access, d.Login
	return a, nil
}

func (t *tx) Allocation(id core.AllocationID) (core.Allocation, error) {
	for a, err := range list(t, "read an allocation", scanAllocation, selectAllocations+" WHERE id = ?", string(id)) {
		return a, err
	}
	return core.Allocation{}, &core.Error{Op: "find", Allocation: string(id), Kind: core.NotFound, Err: fmt.Errorf("there is no allocation %q", id), Hint: "see 'metalpool machine list'"}
}

func (t *tx) AllocationNamed(owner, name string) (core.Allocation, error) {
	for a, err := range list(t, "read an allocation", scanAllocation, selectAllocations+" WHERE owner = ? AND name = ? AND live = 1", owner, name) {
		return a, err
	}
	return core.Allocation{}, &core.Error{Op: "find", Allocation: name, Kind: core.NotFound, Err: fmt.Errorf("%s has no machine %q", owner, name), Hint: "see 'metalpool machine list'"}
}

func (t *tx) Allocations(f core.AllocationFilter) iter.Seq2[core.Allocation, error] {
	where, args := conditions{}, []any{}
	if f.Owner != "" {
		where.and("owner = ?")
		args = append(args, f.Owner)
	}
	if f.Pool != "" {
		where.and("pool = ?")
		args = append(args, f.Pool)
	}
	// The index has only those that are live.
	if f.Live || (len(f.States) > 0 && !slices.ContainsFunc(f.States, core.State.Ended)) {
		where.and("live = 1")
	}
	if !f.EndsBy.IsZero() {
		where.and("live = 1 AND until > 0 AND until <= ?")
		args = append(args, stamp(f.EndsBy))
	}
	args = where.states("state", f.States, args)
	return list(t, "list allocations", scanAllocation, selectAllocations+where.String()+" ORDER BY seq", args...)
}

func (t *tx) InsertAllocation(a core.Allocation) error {
	document, err := allocationText(a)
	if err != nil {
		return err
	}
	_, err = t.write("store an allocation", "INSERT INTO allocations (id, owner, name, pool, state, live, reason, node, version, created, deadline, until, ended, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		string(a.ID), a.Owner, a.Name, cmp.Or(a.Request.Pool, core.DefaultPool), string(a.State), !a.State.Ended(), a.Reason, string(a.Node), int64(a.Version), stamp(a.CreatedAt), stamp(a.Deadline), stamp(a.Until), stamp(a.EndedAt), document)
	if duplicate(err) {
		return t.refuseAllocation(a)
	}
	return err
}

func (t *tx) SwapAllocation(a core.Allocation) error {
	document, err := allocationText(a)
	if err != nil {
		return err
	}
	err = t.swap("swap an allocation", "UPDATE allocations SET name = ?, state = ?, live = ?, reason = ?, node = ?, deadline = ?, until = ?, ended = ?, document = ?, version = version + 1 WHERE id = ? AND version = ?",
		a.Name, string(a.State), !a.State.Ended(), a.Reason, string(a.Node), stamp(a.Deadline), stamp(a.Until), stamp(a.EndedAt), document, string(a.ID), int64(a.Version))
	if duplicate(err) {
		return t.refuseAllocation(a)
	}
	return err
}

// refuseAllocation says which other allocation stands in the way of a.
func (t *tx) refuseAllocation(a core.Allocation) error {
	const op = "read an allocation"
	refuse := func(hint, format string, args ...any) error {
		return &core.Error{Op: "acquire", Node: a.Node, Allocation: cmp.Or(a.Name, string(a.ID)), Kind: core.Exists, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	var id, name, state string
	found, err := t.read(op, "SELECT id, name, state FROM allocations WHERE owner = ? AND name = ? AND live = 1 AND id <> ?", []any{a.Owner, a.Name, string(a.ID)}, &id, &name, &state)
	if err != nil {
		return err
	}
	if found {
		return refuse("release that one, or choose another name", "%s has a machine %q already: allocation %s is %s", a.Owner, a.Name, id, state)
	}
	found, err = t.read(op, "SELECT id, name, state FROM allocations WHERE node = ? AND live = 1 AND id <> ?", []any{string(a.Node), string(a.ID)}, &id, &name, &state)
	if err != nil {
		return err
	}
	if a.Node != "" && found {
		return refuse("try again for another node", "node %s belongs to allocation %s (%s)", a.Node, id, name)
	}
	return refuse("make a new ID for a new allocation", "allocation %s is there already", a.ID)
}

func allocationText(a core.Allocation) (string, error) {
	text, err := json.Marshal(allocationDocument{Labels: a.Labels, Request: a.Request, Order: a.Order, Settled: a.Settled, Moves: a.Moves, As: a.As, Access: a.Access, Login: a.Login})
	if err != nil {
		return "", broken("store an allocation", err)
	}
	return string(text), nil
}
