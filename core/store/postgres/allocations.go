package postgres

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
	var version, created, deadline, until, ended int64
	var document string
	err := row.Scan(&a.ID, &a.Owner, &a.Name, &a.State, &a.Reason, &a.Node, &version, &created, &deadline, &until, &ended, &document)
	if err != nil {
		return a, err
	}
	a.Version, a.CreatedAt, a.Deadline, a.Until, a.EndedAt = uint64(version), moment(created), moment(deadline), moment(until), moment(ended)
	var d allocationDocument
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		return a, fmt.Errorf("document of allocation %s: %w", a.ID, err)
	}
	a.Labels, a.Request, a.Order, a.Settled, a.Moves, a.As, a.Access, a.Login = d.Labels, d.Request, d.Order, d.Settled, d.Moves, d.As, d.Access, d.Login
	return a, nil
}

func (t *tx) Allocation(id core.AllocationID) (core.Allocation, error) {
	a, found, err := one(t, "read an allocation", scanAllocation, selectAllocations+" WHERE id = $1"+t.locked(), text(id))
	if err == nil && !found {
		t.lacks(keyOf(id))
		err = &core.Error{Op: "find", Allocation: string(id), Kind: core.NotFound, Err: fmt.Errorf("there is no allocation %q", id), Hint: "see 'metalpool machine list'"}
	}
	return a, err
}

func (t *tx) AllocationNamed(owner, name string) (core.Allocation, error) {
	a, found, err := one(t, "read an allocation", scanAllocation, selectAllocations+" WHERE owner = $1 AND name = $2 AND live"+t.locked(), text(owner), text(name))
	if err == nil && !found {
		t.lacks(nameOf(owner, name))
		err = &core.Error{Op: "find", Allocation: name, Kind: core.NotFound, Err: fmt.Errorf("%s has no machine %q", owner, name), Hint: "see 'metalpool machine list'"}
	}
	return a, err
}

// What may not be there, and then come into being.
func keyOf(id core.AllocationID) string   { return "allocation " + string(id) }
func nameOf(owner, name string) string    { return "machine " + owner + "/" + name }
func documentOf(table, key string) string { return table + " " + key }

func (t *tx) Allocations(f core.AllocationFilter) iter.Seq2[core.Allocation, error] {
	var where conditions
	if f.Owner != "" {
		where.and("owner = $%d", text(f.Owner))
	}
	if f.Pool != "" {
		where.and("pool = $%d", text(f.Pool))
	}
	where.states("state", f.States)
	// The index has only those that are live.
	if f.Live || (len(f.States) > 0 && !slices.ContainsFunc(f.States, core.State.Ended)) {
		where.terms = append(where.terms, "live")
	}
	if !f.EndsBy.IsZero() {
		where.and("live AND until > 0 AND until <= $%d", stamp(f.EndsBy))
	}
	rows := list(t, "list allocations", scanAllocation, selectAllocations+where.String()+" ORDER BY seq", where.args...)
	return func(yield func(core.Allocation, error) bool) {
		if f.Owner != "" {
			if err := t.forOwner(f.Owner); err != nil {
				yield(core.Allocation{}, err)
				return
			}
		}
		rows(yield)
	}
}

func (t *tx) InsertAllocation(a core.Allocation) error {
	document, err := allocationText(a)
	if err != nil {
		return err
	}
	rows, err := t.write("store an allocation", `INSERT INTO allocations (id, owner, name, pool, state, live, reason, node, version, created, deadline, until, ended, document)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING`,
		text(a.ID), text(a.Owner), text(a.Name), text(cmp.Or(a.Request.Pool, core.DefaultPool)), text(a.State), !a.State.Ended(), text(a.Reason), text(a.Node),
		int64(a.Version), stamp(a.CreatedAt), stamp(a.Deadline), stamp(a.Until), stamp(a.EndedAt), document)
	if err == nil && rows == 0 {
		return t.refuseAllocation(a)
	}
	return err
}

// unblocked is that no other live allocation has the name or the node which this one is
// to have. Two that swap at one time are told apart by the unique indexes, and the later
// one is run again.
const unblocked = ` AND NOT EXISTS (SELECT FROM allocations o WHERE o.live AND o.id <> $1 AND o.owner = allocations.owner AND o.name = $3)
	AND NOT EXISTS (SELECT FROM allocations o WHERE o.live AND o.id <> $1 AND o.node = $7 AND o.node <> '')`

func (t *tx) SwapAllocation(a core.Allocation) error {
	const op = "swap an allocation"
	document, err := allocationText(a)
	if err != nil {
		return err
	}
	query := `UPDATE allocations SET name = $3, state = $4, live = $5, reason = $6, node = $7, deadline = $8, until = $9, ended = $10, document = $11, version = version + 1
		WHERE id = $1 AND version = $2`
	if !a.State.Ended() {
		query += unblocked
	}
	rows, err := t.write(op, query, text(a.ID), int64(a.Version), text(a.Name), text(a.State), !a.State.Ended(), text(a.Reason), text(a.Node), stamp(a.Deadline), stamp(a.Until), stamp(a.EndedAt), document)
	if err != nil || rows > 0 {
		return err
	}
	current, err := t.read(op, "SELECT owner FROM allocations WHERE id = $1 AND version = $2", []any{text(a.ID), int64(a.Version)}, &a.Owner)
	if err != nil {
		return err
	}
	if !current || a.State.Ended() {
		return core.ErrConflict
	}
	return t.refuseAllocation(a)
}

// refuseAllocation says which other allocation stands in the way of a; or has the
// function run again where that one was not there when it looked.
func (t *tx) refuseAllocation(a core.Allocation) error {
	const op = "read an allocation"
	refuse := func(hint, format string, args ...any) error {
		return &core.Error{Op: "acquire", Node: a.Node, Allocation: cmp.Or(a.Name, string(a.ID)), Kind: core.Exists, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	var id, name, state string
	found, err := t.read(op, "SELECT id, name, state FROM allocations WHERE owner = $1 AND name = $2 AND live AND id <> $3", []any{text(a.Owner), text(a.Name), text(a.ID)}, &id, &name, &state)
	if err == nil && found {
		err = t.cameIn(nameOf(a.Owner, a.Name))
	}
	if err != nil {
		return err
	}
	if found {
		return refuse("release that one, or choose another name", "%s has a machine %q already: allocation %s is %s", a.Owner, a.Name, id, state)
	}
	found, err = t.read(op, "SELECT id, name, state FROM allocations WHERE node = $1 AND node <> '' AND live AND id <> $2", []any{text(a.Node), text(a.ID)}, &id, &name, &state)
	if err != nil {
		return err
	}
	if found {
		return refuse("try again for another node", "node %s belongs to allocation %s (%s)", a.Node, id, name)
	}
	if err := t.cameIn(keyOf(a.ID)); err != nil {
		return err
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
