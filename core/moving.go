package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// untouched begins the reason of a release before anything was done to the hardware.
const untouched = "untouched: "

// maxMoves is how many nodes may fail one allocation before it is Failed.
const maxMoves = 2

// moveUntouched takes the allocation to another node before anything was done to
// this one, which goes back as it is: marked where we could not reach it, kept out
// where its own BMC said no.
func (c *creation) moveUntouched(ctx context.Context, a Allocation, why error) error {
	if interrupted(ctx) || !Is(why, Transient, Timeout, Backend, Denied) {
		return why
	}
	answered := Is(why, Backend, Denied)
	say(c.report, Progress{Node: a.Node, Step: "node", Message: fmt.Sprintf("cannot use it: %v", why)})
	err := c.e.store.Update(ctx, func(tx Tx) error {
		n, held, err := held(tx, a.Node)
		if err != nil {
			return err
		}
		if held == nil || held.ID != a.ID || n.State != Allocated {
			return ErrConflict
		}
		if !answered {
			if err := c.e.markUnreachable(tx, n, why); err != nil {
				return err
			}
		}
		next, err := nextNode(tx, *held)
		if err != nil {
			return err
		}
		// Not by advance: the allocation does not end, it goes on with the next node.
		if _, err := c.e.move(tx, &n, Release, untouched+reason(why, "", n.ID)); err != nil {
			return err
		}
		if answered {
			if err := c.e.advance(tx, &n, nil, Unhealthy, reason(why, "", n.ID)); err != nil {
				return err
			}
		}
		held.Moves = append(held.Moves, n.ID)
		return c.e.claim(tx, held, true, next, c.order)
	})
	if errors.Is(err, ErrConflict) {
		return nil // another call of the same create has brought it further
	}
	if interrupted(ctx) {
		return why // the same request goes on with it
	}
	if err != nil {
		err = alone(why, c.e.explained(ctx, err))
		if releaseErr := c.e.releaseUntouched(ctx, a, why, answered); releaseErr != nil {
			err = also(err, "it could not be released", releaseErr)
		}
		return &Error{Op: "create", Node: a.Node, Kind: KindOf(why), Err: err}
	}
	if !answered {
		c.silent = append(c.silent, silence{node: a.Node})
	}
	return nil
}

// markUnreachable keeps who could not reach a node's BMC, until somebody does.
func (e *Engine) markUnreachable(tx Tx, n Node, why error) error {
	n.Spec.Unreachable = fmt.Sprintf("from %s at %s: %v", e.process, tx.Now().UTC().Format(time.RFC3339), why)
	return tx.PutSpec(n)
}

// releaseUntouched ends an allocation that found no node it could reach. The node
// goes back, marked; where its own BMC refused, it is kept out.
func (e *Engine) releaseUntouched(ctx context.Context, tried Allocation, why error, answered bool) error {
	return e.store.Update(context.WithoutCancel(ctx), func(tx Tx) error {
		a, err := tx.Allocation(tried.ID)
		if err != nil || a.State != Allocated || a.Node != tried.Node {
			return err
		}
		n, err := tx.Node(a.Node)
		if err != nil {
			return err
		}
		if err := e.advance(tx, &n, &a, Release, untouched+reason(why, "", n.ID)); err != nil {
			return err
		}
		if !answered {
			return e.markUnreachable(tx, n, why)
		}
		return e.advance(tx, &n, nil, Unhealthy, reason(why, "", n.ID))
	})
}

// answered makes those suspect that were silent where this node spoke. Three nodes on
// which no SSH answers have one image in common, and stay in the pool.
func (c *creation) answered(ctx context.Context, id NodeID, spoke func(step string) bool) error {
	var still []silence
	for _, s := range c.silent {
		if !spoke(s.step) {
			still = append(still, s)
			continue
		}
		err := c.e.store.Update(ctx, func(tx Tx) error {
			n, err := tx.Node(s.node)
			if err != nil {
				return err
			}
			why := fmt.Sprintf("did not answer %s, while %s did", c.e.process, id)
			if s.step != "" {
				why = fmt.Sprintf("did not get past %q for %s, while %s did", s.step, c.e.process, id)
			}
			if n.Reason != "" {
				why += ": " + n.Reason
			}
			switch n.State {
			case Available:
				return c.e.advance(tx, &n, nil, Unhealthy, why)
			case Cleaning:
				n.Suspect, n.Reason = true, why
				return swapNode(tx, &n)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	c.silent = still
	return nil
}

// moveAway hands the node to a clean and the allocation to another node, in one
// transaction, after Off was read back.
func (c *creation) moveAway(ctx context.Context, w *work, why error) error {
	suspect := Is(why, Backend)
	err := w.commit(ctx, func(tx Tx) error {
		n, a, err := heldBy(tx, w.attempt.Allocation)
		if err != nil {
			return err
		}
		next, err := nextNode(tx, *a)
		if err != nil {
			return err
		}
		n.Suspect = suspect
		if err := w.e.startCleanRecord(tx, &n, "", NodeFault); err != nil {
			return err
		}
		if err := w.e.advance(tx, &n, a, NodeFault, reason(why, "", n.ID)); err != nil {
			return err
		}
		a.Moves = append(a.Moves, n.ID)
		if err := w.e.claim(tx, a, true, next, c.order); err != nil {
			return err
		}
		return w.free(tx)
	})
	if err == nil && !suspect {
		at, _ := w.firstUnmet(w.attempt.plan())
		c.silent = append(c.silent, silence{w.node.ID, at.name})
	}
	return err
}

// alone is why a node failed a machine, and why that could not go to another one.
func alone(why, other error) error {
	return fmt.Errorf("%w (no other node could be taken: %s)", why, cause(other))
}

// nextNode chooses another node for an allocation that one has failed.
func nextNode(tx Tx, a Allocation) (Node, error) {
	if a.Settled {
		return Node{}, &Error{Op: "move", Allocation: a.Name, Kind: NoCapacity, Err: fmt.Errorf("it was deployed on node %s before, whose other disks may hold data that a move would erase", a.Node)}
	}
	if len(a.Moves) >= maxMoves {
		return Node{}, &Error{Op: "move", Allocation: a.Name, Kind: NoCapacity, Err: fmt.Errorf("%d nodes have failed it (%s)", len(a.Moves)+1, join(append(slices.Clone(a.Moves), a.Node), ", "))}
	}
	if a.Request.Node != "" {
		return Node{}, &Error{Op: "move", Allocation: a.Name, Kind: NoCapacity, Err: fmt.Errorf("node %s was asked for by name", a.Request.Node)}
	}
	pool, err := findPool(tx, a.Request.Pool)
	if err != nil {
		return Node{}, err
	}
	a.Moves = append(slices.Clone(a.Moves), a.Node)
	return choose(tx, pool, a)
}
