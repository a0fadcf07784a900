package record

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/metalpool/metalpool/core"
)

// AllocationColumns are what Allocation reads.
const AllocationColumns = "id, owner, name, state, reason, node, version, created, deadline, until, ended, document"

// details is the part of an allocation that nothing searches.
type details struct {
	Labels  map[string]string `json:"labels,omitempty"`
	Request core.Request      `json:"request"`
	Order   *core.DeployOrder `json:"order,omitempty"`
	Settled bool              `json:"settled,omitempty"`
	Moves   []core.NodeID     `json:"moves,omitempty"`
	As      core.AllocationID `json:"as,omitempty"`
	Access  core.Access       `json:"access,omitzero"`
	Login   *core.LoginKey    `json:"login,omitempty"`
	Steps   []string          `json:"steps,omitempty"`
}

// Allocation reads a row of AllocationColumns.
func Allocation(row Row) (core.Allocation, error) {
	var a core.Allocation
	var version, created, deadline, until, ended int64
	var document []byte
	err := row.Scan(&a.ID, &a.Owner, &a.Name, &a.State, &a.Reason, &a.Node, &version, &created, &deadline, &until, &ended, &document)
	if err != nil {
		return a, err
	}
	a.Version, a.CreatedAt, a.Deadline, a.Until, a.EndedAt = uint64(version), Moment(created), Moment(deadline), Moment(until), Moment(ended)
	var d details
	if err := json.Unmarshal(document, &d); err != nil {
		return a, fmt.Errorf("document of allocation %s: %w", a.ID, err)
	}
	a.Labels, a.Request, a.Order, a.Settled, a.Moves, a.As, a.Access, a.Login, a.Steps = d.Labels, d.Request, d.Order, d.Settled, d.Moves, d.As, d.Access, d.Login, d.Steps
	return a, nil
}

// Details is an allocation's document.
func Details(a core.Allocation) (string, error) {
	document, err := json.Marshal(details{Labels: a.Labels, Request: a.Request, Order: a.Order, Settled: a.Settled, Moves: a.Moves, As: a.As, Access: a.Access, Login: a.Login, Steps: a.Steps})
	if err != nil {
		return "", Broken("store an allocation", err)
	}
	return string(document), nil
}

// PoolOf is the pool that an allocation is found by.
func PoolOf(a core.Allocation) string { return cmp.Or(a.Request.Pool, core.DefaultPool) }

// NoAllocation says that there is none with that ID.
func NoAllocation(id core.AllocationID) error {
	return &core.Error{Op: "find", Allocation: string(id), Kind: core.NotFound, Err: fmt.Errorf("there is no allocation %q", id), Hint: "see 'metalpool machine list'"}
}

// NoMachine says that the owner has none of that name.
func NoMachine(owner, name string) error {
	return &core.Error{Op: "find", Allocation: name, Kind: core.NotFound, Err: fmt.Errorf("%s has no machine %q", owner, name), Hint: "see 'metalpool machine list'"}
}

// NameTaken refuses a, since its owner has the allocation other under that name.
func NameTaken(a core.Allocation, other, state string) error {
	return refuse(a, "release that one, or choose another name", "%s has a machine %q already: allocation %s is %s", a.Owner, a.Name, other, state)
}

// NodeTaken refuses a, since its node belongs to the allocation other.
func NodeTaken(a core.Allocation, other, name string) error {
	return refuse(a, "try again for another node", "node %s belongs to allocation %s (%s)", a.Node, other, name)
}

// AllocationExists refuses a, since its ID was used before.
func AllocationExists(a core.Allocation) error {
	return refuse(a, "make a new ID for a new allocation", "allocation %s is there already", a.ID)
}

func refuse(a core.Allocation, hint, format string, args ...any) error {
	return &core.Error{Op: "acquire", Node: a.Node, Allocation: cmp.Or(a.Name, string(a.ID)), Kind: core.Exists, Err: fmt.Errorf(format, args...), Hint: hint}
}
