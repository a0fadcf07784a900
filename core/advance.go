package core

import "fmt"

// advance moves a node, and the allocation that holds it, along the tables.
//
// a is the allocation that holds n, or nil. When the node leaves the owner's side
// it is detached; what then becomes of the allocation follows from the trigger,
// but for NodeFault, where the caller claims another node for it.
func (e *Engine) advance(tx Tx, n *Node, a *Allocation, on Trigger, reason string) error {
	if (a != nil) != n.State.Owned() || (a != nil && a.ID != n.Allocation) {
		return &Error{Op: string(on), Node: n.ID, Kind: Internal, Err: fmt.Errorf("node is %s with allocation %q", n.State, n.Allocation)}
	}
	to, err := e.move(tx, n, on, reason)
	if err != nil || a == nil {
		return err
	}
	a.Reason = reason
	switch {
	case to.Owned():
		a.State = to
	case on == Release:
		a.State, a.EndedAt = Released, tx.Now()
	case on == Expire:
		a.State, a.EndedAt = Expired, tx.Now()
	case on == NodeFault:
		return nil
	}
	if a.State.Ended() { // its row stays for ever, its secrets need not
		a.Login = nil
		if a.Order != nil {
			a.Order.UserData, a.Order.PostDeploy = nil, nil
		}
	}
	return swapAllocation(tx, a)
}

// move writes a node's next state with its event. No other line of metalpool writes
// a node's state. A node that leaves the owner's side leaves its allocation.
func (e *Engine) move(tx Tx, n *Node, on Trigger, reason string) (State, error) {
	to, err := Next(n.State, on)
	if err != nil {
		return to, withNode(err, n.ID)
	}
	of, err := storyOf(tx, *n)
	if err != nil {
		return to, err
	}
	ev := Event{Node: n.ID, Allocation: of, Attempt: n.Attempt, Type: StateChanged, From: n.State, To: to, On: on, Message: reason, By: e.process}
	n.State, n.Reason, n.Since = to, reason, tx.Now()
	if !to.Owned() {
		n.Allocation = ""
	}
	if to == Available || to == Quarantined || to == Maintenance {
		n.Suspect = false
	}
	if err := swapNode(tx, n); err != nil {
		return to, err
	}
	return to, tx.AddEvent(ev)
}

// storyOf is the allocation of whose story a node's next state is: that which has it, or
// whose clean ends with it.
func storyOf(tx Tx, n Node) (AllocationID, error) {
	if n.Allocation != "" || n.State != Cleaning {
		return n.Allocation, nil
	}
	at, err := tx.Attempt(n.Attempt)
	if Is(err, NotFound) {
		return "", nil // Verify tells of it
	}
	return at.Allocation, err
}

// swapNode and swapAllocation keep the caller's copy at the stored version, so that
// it can be swapped again in the same transaction.
func swapNode(tx Tx, n *Node) error {
	if err := tx.SwapNode(*n); err != nil {
		return err
	}
	n.Version++
	return nil
}

func swapAllocation(tx Tx, a *Allocation) error {
	if err := tx.SwapAllocation(*a); err != nil {
		return err
	}
	a.Version++
	return nil
}

// held reads a node with the allocation that holds it, if one does.
func held(tx Tx, id NodeID) (Node, *Allocation, error) {
	n, err := tx.Node(id)
	if err != nil || n.Allocation == "" {
		return n, nil, err
	}
	a, err := tx.Allocation(n.Allocation)
	if err != nil {
		return n, nil, err
	}
	return n, &a, nil
}

func withNode(err error, id NodeID) error {
	if e, ok := outermost(err); ok && e.Node == "" {
		c := *e
		c.Node = id
		return &c
	}
	return err
}
