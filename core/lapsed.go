package core

import (
	"context"
	"slices"
)

// lapsed is what one survey of the store finds of work that nobody does.
type lapsed struct {
	nodes []NodeID // at work, and nobody works on them
	// orders are served ones that have a node, and were left before anything was begun.
	orders []AllocationID
	held   []NodeID // at work by others, who may die
}

// survey finds what is left to be done, once what was never deployed in time is let go, and
// what was to be kept only so long. It only reads where there is none of that: every
// server asks, all the time.
func (e *Engine) survey(ctx context.Context) (found lapsed, err error) {
	if err := e.expireAll(ctx); err != nil {
		return found, err
	}
	if err := e.endAll(ctx); err != nil {
		return found, err
	}
	err = e.store.View(ctx, func(tx Tx) error {
		found = lapsed{}
		if found.nodes, found.held, err = e.duties(tx); err != nil || !e.serves {
			return err
		}
		allocated, err := collect(tx.Allocations(AllocationFilter{States: []State{Allocated}}))
		if err != nil {
			return err
		}
		for _, a := range allocated {
			n, err := tx.Node(a.Node)
			if err != nil {
				return err
			}
			if stranded(a, n.Since, tx.Now(), e.timing) {
				found.orders = append(found.orders, a.ID)
			}
		}
		return nil
	})
	return found, err
}

// duties are the nodes at whose work nobody is, and those that are to be left to whoever is.
func (e *Engine) duties(tx Tx) (due, held []NodeID, err error) {
	nodes, err := collect(tx.Nodes(NodeFilter{States: workingStates}))
	if err != nil {
		return nil, nil, err
	}
	for _, n := range nodes {
		l, err := tx.Lease(n.ID)
		if err != nil {
			return nil, nil, err
		}
		what, err := e.dutyOf(tx, n, l)
		if err != nil {
			return nil, nil, err
		}
		switch what.job {
		case toLeave:
			held = append(held, n.ID)
		case toServers: // nothing that this process could wait for
		default:
			due = append(due, n.ID)
		}
	}
	return due, held, nil
}

// workingStates are those of work under way.
var workingStates = slices.DeleteFunc(slices.Clone(NodeStates), func(s State) bool { return !s.Working() })
