package core

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// machineOf is what the caller sees of an allocation.
func machineOf(a Allocation) Machine {
	m := Machine{ID: a.ID, Owner: a.Owner, Name: a.Name, State: a.State, Reason: a.Reason, Pool: a.Request.Pool, Node: a.Node, Labels: a.Labels, Request: a.Request, Access: a.Access, Moves: a.Moves, Settled: a.Settled, Steps: a.Steps, Managed: a.State == Deployed && a.Login != nil, CreatedAt: a.CreatedAt, Until: a.Until, EndedAt: a.EndedAt}
	if a.Order != nil {
		m.Image, m.Hostname, m.Profile, m.Keys = a.Order.Image, a.Order.Hostname, a.Order.Profile, a.Order.mayLogIn()
	}
	return m
}

// Untouched reports whether it is known that nothing was done to the machine's node, so
// that nothing is there to be erased.
func (m Machine) Untouched() bool {
	return m.State == Allocated || m.State == Expired || m.State == Released && strings.HasPrefix(m.Reason, untouched)
}

func (e *Engine) allocation(ctx context.Context, id AllocationID) (a Allocation, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		a, err = followed(tx, id)
		return err
	})
	if Is(err, NotFound) {
		err = &Error{Op: "find machine", Allocation: string(id), Kind: NotFound, Err: errors.New("no allocation has this ID"), Hint: "see 'metalpool machine list'"}
	}
	return a, err
}

// Machine finds an allocation by ID, whatever its state.
func (e *Engine) Machine(ctx context.Context, id AllocationID) (Machine, error) {
	a, err := e.allocation(ctx, id)
	return machineOf(a), err
}

// MachineNamed finds an unreleased allocation.
func (e *Engine) MachineNamed(ctx context.Context, owner, name string) (Machine, error) {
	var a Allocation
	err := e.store.View(ctx, func(tx Tx) (err error) {
		a, err = tx.AllocationNamed(owner, name)
		return err
	})
	if Is(err, NotFound) {
		err = &Error{Op: "find machine", Allocation: name, Kind: NotFound, Err: fmt.Errorf("%s has no machine of this name", owner), Hint: "see 'metalpool machine list'"}
	}
	return machineOf(a), err
}

// Machines lists allocations, oldest first. A row that only says which other one an ID
// stands for is no machine, and is found by that ID alone.
func (e *Engine) Machines(ctx context.Context, f AllocationFilter) ([]Machine, error) {
	var list []Machine
	err := e.store.View(ctx, func(tx Tx) error {
		list = nil
		for a, err := range tx.Allocations(f) {
			if err != nil {
				return err
			}
			if a.As == "" {
				list = append(list, machineOf(a))
			}
		}
		seen := map[string]time.Time{}
		for o, err := range tx.Owners() {
			if err != nil {
				return err
			}
			seen[o.Name] = o.Seen
		}
		for i := range list {
			list[i].OwnerSeen = seen[list[i].Owner]
		}
		return nil
	})
	return list, err
}

// ownedNode finds the node of a machine whose power its user may turn.
func ownedNode(tx Tx, id AllocationID, op string) (Node, error) {
	a, err := followed(tx, id)
	if Is(err, NotFound) {
		return Node{}, &Error{Op: op, Allocation: string(id), Kind: NotFound, Err: errors.New("no allocation has this ID"), Hint: "see 'metalpool machine list'"}
	}
	if err != nil {
		return Node{}, err
	}
	if !a.State.Owned() {
		return Node{}, &Error{Op: op, Allocation: a.Name, Kind: Denied, Err: fmt.Errorf("the machine was given up: %s", a.State), Hint: "create a new one"}
	}
	return tx.Node(a.Node)
}

// Power asks the BMC now.
func (e *Engine) Power(ctx context.Context, id AllocationID) (PowerState, error) {
	var n Node
	err := e.store.View(ctx, func(tx Tx) (err error) {
		n, err = ownedNode(tx, id, "read power")
		return err
	})
	if err != nil {
		return PowerUnknown, err
	}
	bmc, err := e.connect(ctx, n, nil)
	if err != nil {
		return PowerUnknown, err
	}
	defer bmc.Close()
	return bmc.Power(ctx)
}

// SetPower turns a machine's power, under a lease like all work on a node.
func (e *Engine) SetPower(ctx context.Context, id AllocationID, verb PowerVerb) error {
	var (
		n Node
		p Pool
		l Lease
	)
	err := e.store.Update(ctx, func(tx Tx) (err error) {
		if n, err = ownedNode(tx, id, "power "+string(verb)); err != nil {
			return err
		}
		if n.State != Deployed {
			return &Error{Op: "power " + string(verb), Node: n.ID, Kind: Busy, Err: fmt.Errorf("the machine is %s", n.State), Hint: "its power is the user's once it is Deployed"}
		}
		if p, err = findPool(tx, n.Pool); err != nil {
			return err
		}
		if l, err = e.takeLease(tx, n.ID, false); err != nil {
			return err
		}
		return tx.AddEvent(Event{Node: n.ID, Allocation: id, Generation: l.Generation, Type: Note, Message: "power " + string(verb), By: e.process})
	})
	if err != nil {
		return err
	}
	ctx, w := e.begin(ctx, n, p, Attempt{Allocation: id}, l, nil)
	defer w.end()
	if err = w.turn(ctx, verb); err != nil {
		w.keepsWords(ctx, w.event(Note, "", "power "+string(verb)+" failed: "+err.Error()))
	}
	return err
}

func (w *work) turn(ctx context.Context, verb PowerVerb) error {
	bmc, err := w.conn(ctx)
	if err != nil {
		return err
	}
	return bmc.SetPower(ctx, verb)
}
