package core

import (
	"context"
	"fmt"
)

// Violation is a broken invariant that Verify found in a live store.
type Violation struct {
	Invariant  string       `json:"invariant"`
	Node       NodeID       `json:"node,omitempty"`
	Allocation AllocationID `json:"allocation,omitempty"`
	What       string       `json:"what"`
}

// Verify looks whether the invariants hold in one consistent view of the store. It
// changes nothing, and may run beside everything else.
func (e *Engine) Verify(ctx context.Context) ([]Violation, error) {
	var found []Violation
	err := e.store.View(ctx, func(tx Tx) error {
		nodes, err := collect(tx.Nodes(NodeFilter{}))
		if err != nil {
			return err
		}
		live, err := collect(tx.Allocations(AllocationFilter{Live: true}))
		if err != nil {
			return err
		}
		found = append(ownership(nodes, live), names(live)...)
		for _, n := range nodes {
			if n.State.Working() {
				at, err := tx.Attempt(n.Attempt)
				switch {
				case Is(err, NotFound):
					found = append(found, Violation{"NothingLost", n.ID, n.Allocation, fmt.Sprintf("is %s without an attempt that somebody could go on with", n.State)})
				case err != nil:
					return err
				case at.Node != n.ID || !at.EndedAt.IsZero():
					found = append(found, Violation{"NothingLost", n.ID, n.Allocation, fmt.Sprintf("is %s under the attempt %s, which ended or is another node's", n.State, at.ID)})
				}
			}
			events, err := collect(tx.Events(EventFilter{Node: n.ID}))
			if err != nil {
				return err
			}
			if why := dirty(events); why != "" && (n.State == Available || n.State == Allocated) {
				found = append(found, Violation{"CleanBeforeAvailable", n.ID, n.Allocation, why})
			}
		}
		return nil
	})
	return found, err
}

// ownership checks OneOwner: nodes and live allocations point at each other, and
// agree about the state.
func ownership(nodes []Node, live []Allocation) []Violation {
	var found []Violation
	byID := map[AllocationID]Allocation{}
	for _, a := range live {
		byID[a.ID] = a
	}
	holder := map[AllocationID]NodeID{}
	for _, n := range nodes {
		bad := func(format string, args ...any) {
			found = append(found, Violation{"OneOwner", n.ID, n.Allocation, fmt.Sprintf(format, args...)})
		}
		if n.State.Owned() != (n.Allocation != "") {
			bad("is %s with allocation %q", n.State, n.Allocation)
			continue
		}
		if n.Allocation == "" {
			continue
		}
		a, ok := byID[n.Allocation]
		switch {
		case !ok:
			bad("belongs to an allocation that is not there or has ended")
		case a.Node != n.ID:
			bad("belongs to an allocation that holds %q", a.Node)
		case a.State != n.State:
			bad("is %s while its allocation is %s", n.State, a.State)
		case holder[a.ID] != "":
			bad("belongs to an allocation that %s belongs to as well", holder[a.ID])
		}
		holder[n.Allocation] = n.ID
	}
	for _, a := range live {
		if a.State != Waiting && holder[a.ID] == "" {
			found = append(found, Violation{"NothingLost", a.Node, a.ID, fmt.Sprintf("is %s, and no node belongs to it", a.State)})
		}
	}
	return found
}

func names(live []Allocation) []Violation {
	var found []Violation
	seen := map[[2]string]AllocationID{}
	for _, a := range live {
		key := [2]string{a.Owner, a.Name}
		if other, taken := seen[key]; taken {
			found = append(found, Violation{"NothingLost", a.Node, a.ID, fmt.Sprintf("%s/%s is %s as well", a.Owner, a.Name, other)})
		}
		seen[key] = a.ID
	}
	return found
}

// dirty replays a node's story and says why it may not be handed on: it was touched
// after the last clean whose verification passed.
func dirty(events []Event) string {
	touched, erased := "", false
	for _, ev := range events {
		switch {
		case ev.Type == Erased:
			erased = true
		case ev.Type != StateChanged:
		case ev.To == Deploying, ev.From == Unborn, ev.To == Maintenance:
			touched = fmt.Sprintf("%s at event %d", ev.On, ev.Seq)
		case ev.To == Cleaning:
			erased = false
		case ev.From == Cleaning && ev.To == Available && erased:
			touched = ""
		}
	}
	if touched == "" {
		return ""
	}
	return "was touched (" + touched + ") and not verifiably erased since"
}
