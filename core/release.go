package core

import (
	"context"
	"errors"
	"fmt"
)

// Release gives a machine up; see Service.
func (e *Engine) Release(ctx context.Context, id AllocationID, o ReleaseOptions, report Reporter) error {
	if !idPattern().MatchString(string(id)) {
		return &Error{Op: "release", Allocation: string(id), Kind: Invalid, Err: errors.New("not an allocation ID"), Hint: "see 'metalpool machine list'"}
	}
	if o.Reason == "" {
		o.Reason = "released by " + e.process
	}
	var (
		n      Node
		p      Pool
		l      Lease
		at     Attempt
		driven bool // the clean is ours to start
	)
	err := e.store.Update(ctx, func(tx Tx) error {
		driven = false
		a, err := tx.Allocation(id)
		switch {
		case Is(err, NotFound):
			return e.bury(tx, id, o.Reason)
		case err != nil:
			return err
		case a.State == Waiting:
			a.State, a.EndedAt, a.Reason = Released, tx.Now(), o.Reason
			if err := swapAllocation(tx, &a); err != nil {
				return err
			}
			return tx.AddEvent(Event{Allocation: id, Type: StateChanged, From: Waiting, To: Released, On: Release, Message: o.Reason, By: e.process})
		case a.State == Allocated:
			n, err := tx.Node(a.Node)
			if err != nil {
				return err
			}
			return e.advance(tx, &n, &a, Release, o.Reason)
		case a.State.Ended():
			// A release that died before it read Off back is gone on with.
			n, at, driven, err = e.unfinishedRelease(tx, a)
			if err != nil || !driven {
				return err
			}
			if l, err = e.takeLease(tx, n.ID, false); Is(err, Busy) {
				driven = false
				return nil
			}
		default:
			if n, err = tx.Node(a.Node); err != nil {
				return err
			}
			if l, err = e.takeLease(tx, n.ID, true); err != nil {
				return err
			}
			if err := e.startCleanRecord(tx, &n, a.ID); err != nil {
				return err
			}
			if err := e.advance(tx, &n, &a, Release, o.Reason); err != nil {
				return err
			}
			at, err = tx.Attempt(n.Attempt)
			driven = true
		}
		if err != nil {
			return err
		}
		p, err = findPool(tx, n.Pool)
		return err
	})
	if err != nil {
		return err
	}
	if driven {
		if err := e.switchOff(ctx, n, p, at, l, o.WaitClean, report); err != nil {
			return &Error{Op: "release", Allocation: string(id), Node: n.ID, Kind: KindOf(err), Err: fmt.Errorf("released, and the node is Cleaning, but its power was not read back as Off: %w", err), Hint: "the pool goes on with it; run the same again, or 'metalpool reconcile'"}
		}
	}
	if o.WaitClean {
		return e.awaitClean(ctx, id, report)
	}
	return e.startDetached()
}

// switchOff reads Off back before Release returns and, where the caller waits,
// drives the clean to its end.
func (e *Engine) switchOff(ctx context.Context, n Node, p Pool, at Attempt, l Lease, clean bool, report Reporter) error {
	ctx, w := e.begin(ctx, n, p, at, l, report)
	defer w.end()
	if clean {
		return w.clean(ctx)
	}
	err := w.drive(ctx, cleanSteps[:1])
	if err != nil {
		// What follows is the pool's business, not the caller's.
		if detachErr := e.startDetached(); detachErr != nil {
			err = errors.Join(err, detachErr)
		}
	}
	return err
}

// bury writes a tombstone: a create with this ID may still be on its way, and must
// find it.
func (e *Engine) bury(tx Tx, id AllocationID, reason string) error {
	a := Allocation{ID: id, Name: string(id), State: Released, Reason: "released before it was acquired: " + reason, CreatedAt: tx.Now(), EndedAt: tx.Now()}
	if err := tx.InsertAllocation(a); err != nil {
		return err
	}
	return tx.AddEvent(Event{Allocation: id, Type: StateChanged, To: Released, On: Release, Message: a.Reason, By: e.process})
}

// unfinishedRelease finds the clean of an ended allocation whose Off was never read
// back.
func (e *Engine) unfinishedRelease(tx Tx, a Allocation) (Node, Attempt, bool, error) {
	if a.Node == "" {
		return Node{}, Attempt{}, false, nil
	}
	n, err := tx.Node(a.Node)
	if Is(err, NotFound) {
		return n, Attempt{}, false, nil // retired since
	}
	if err != nil || n.State != Cleaning {
		return n, Attempt{}, false, err
	}
	at, err := tx.Attempt(n.Attempt)
	if err != nil || at.Allocation != a.ID {
		return n, at, false, err
	}
	_, off := at.Met[stepOff]
	return n, at, !off, nil
}

// awaitClean waits until the node that an allocation let go of is at rest.
func (e *Engine) awaitClean(ctx context.Context, id AllocationID, report Reporter) error {
	for {
		var n Node
		err := e.store.View(ctx, func(tx Tx) error {
			a, err := tx.Allocation(id)
			if err != nil || a.Node == "" {
				return err
			}
			if n, err = tx.Node(a.Node); Is(err, NotFound) {
				n, err = Node{}, nil
			}
			if err != nil || n.State != Cleaning {
				return err
			}
			at, err := tx.Attempt(n.Attempt)
			if err == nil && at.Allocation != id {
				n = Node{} // somebody else's clean by now
			}
			return err
		})
		if err != nil {
			return err
		}
		if n.State != Cleaning {
			if n.State == Quarantined {
				say(report, Progress{Node: n.ID, Step: "clean", Message: "quarantined: " + n.Reason})
			}
			return nil
		}
		if _, err := e.reconcileNode(ctx, n.ID, ReconcileOptions{}, report); err != nil && !Is(err, Busy, LeaseLost) {
			return err
		}
		if err := wait(ctx, e.timing.Queue); err != nil {
			return err
		}
	}
}

// startDetached asks for a worker that outlives us. Without one the next command
// on the store finishes what is left.
func (e *Engine) startDetached() error {
	if e.detach == nil {
		return nil
	}
	if err := e.detach(); err != nil {
		e.log.Warn("no worker could be started; the next command goes on", "error", err)
	}
	return nil
}
