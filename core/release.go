package core

import (
	"context"
	"errors"
	"slices"
)

// Release gives a machine up; see Service.
func (e *Engine) Release(ctx context.Context, id AllocationID, o ReleaseOptions, report Reporter) error {
	if !idPattern().MatchString(string(id)) {
		return &Error{Op: "release", Allocation: string(id), Kind: Invalid, Err: errors.New("not an allocation ID"), Hint: "see 'metalpool machine list'"}
	}
	if o.Reason == "" {
		o.Reason = "released by " + e.process
	}
	// A lease is taken by force once. If somebody else then takes it from us, that is
	// the same release again, and one of the two is enough.
	for force := true; ; force = false {
		r, err := e.letGo(ctx, id, o.Reason, force, nil)
		switch {
		case err == nil && r.off && o.WaitClean:
			return e.awaitClean(ctx, id, report)
		case err == nil && r.off:
			if r.cleaning {
				e.startDetached()
			}
			return nil
		case err == nil:
			e.depose(r.lease)
			err = e.switchOff(ctx, r, o.WaitClean, report)
		case !r.cleaning && force:
			return err // nothing was begun
		}
		if err == nil {
			continue
		}
		if !Is(err, Busy, LeaseLost) || wait(ctx, e.timing.Queue) != nil {
			return e.remembering(ctx, e.handOn(&Error{Op: "release", Allocation: string(id), Node: r.node.ID, Kind: KindOf(err), Err: err, Hint: "it is given back all the same, and nobody gets the node before it is off and erased: the pool goes on with that; to see it done, run the same again, or 'metalpool reconcile'"}), id)
		}
	}
}

// letting is how far an allocation has been let go of.
type letting struct {
	cleaning bool // its node is being cleaned on its account
	off      bool // and is Off, or nothing of the allocation runs anywhere

	node    Node
	pool    Pool
	attempt Attempt
	lease   Lease // ours, to read Off back under; where not off
}

// letGo commits that the allocation has ended, and takes the lease on a node that is
// to be switched off, from whoever has it. Where an earlier release has come as far as
// that, its lease is taken only where force says so; else Busy. Where judge is given, it
// says in the same transaction why it is let go of, or that it is not.
func (e *Engine) letGo(ctx context.Context, id AllocationID, reason string, force bool, judge func(tx Tx, a Allocation) (reason string, err error)) (r letting, err error) {
	begun := false // by this very transaction
	err = e.store.Update(ctx, func(tx Tx) error {
		r, begun = letting{off: true}, false
		forced := true
		a, err := followed(tx, id)
		if err == nil && judge != nil {
			if reason, err = judge(tx, a); err != nil {
				return err
			}
		}
		switch {
		case Is(err, NotFound):
			return e.bury(tx, id, reason)
		case err != nil:
			return err
		case a.State == Waiting:
			a.State, a.EndedAt, a.Reason = Released, tx.Now(), reason
			if err := swapAllocation(tx, &a); err != nil {
				return err
			}
			return tx.AddEvent(Event{Allocation: a.ID, Type: StateChanged, From: Waiting, To: Released, On: Release, Message: reason, By: e.process})
		case a.State == Allocated:
			n, err := tx.Node(a.Node)
			if err != nil {
				return err
			}
			return e.advance(tx, &n, &a, Release, reason)
		case a.State.Ended():
			// A release that died before it read Off back is gone on with.
			forced = force
			if r.node, r.attempt, r.cleaning, err = releasedBy(tx, a); err != nil || !r.cleaning {
				return err
			}
			if _, r.off = r.attempt.Met[stepOff]; r.off {
				return nil
			}
		default:
			r.cleaning, r.off, begun = true, false, true
			if r.node, err = tx.Node(a.Node); err != nil {
				return err
			}
			if err := e.startCleanRecord(tx, &r.node, a.ID, Release); err != nil {
				return err
			}
			if err := e.advance(tx, &r.node, &a, Release, reason); err != nil {
				return err
			}
			if r.attempt, err = tx.Attempt(r.node.Attempt); err != nil {
				return err
			}
		}
		if r.pool, err = findPool(tx, r.node.Pool); err != nil {
			return err
		}
		return e.takeToSwitchOff(tx, &r, forced)
	})
	r.cleaning = r.cleaning && (err == nil || !begun)
	return r, err
}

// takeToSwitchOff takes the node's lease, from a living worker too where force says
// so. A call of that worker may still be on its way: the clean outlasts it.
func (e *Engine) takeToSwitchOff(tx Tx, r *letting, force bool) error {
	before, err := tx.Lease(r.node.ID)
	if err != nil {
		return err
	}
	if r.lease, err = e.takeLease(tx, r.node.ID, force); err != nil || before.Free(tx.Now(), e.timing.Call) {
		return err
	}
	r.attempt.Quiet = tx.Now().Add(e.timing.Call)
	return tx.PutAttempt(r.attempt)
}

// switchOff reads Off back before Release returns and, where the caller waits,
// drives the clean to its end.
func (e *Engine) switchOff(ctx context.Context, r letting, clean bool, report Reporter) error {
	ctx, w := e.begin(ctx, r.node, r.pool, r.attempt, r.lease, report)
	defer w.end()
	if clean {
		return w.clean(ctx)
	}
	plan := w.attempt.plan()
	off := slices.IndexFunc(plan, func(s step) bool { return s.name == stepOff })
	return w.drive(ctx, plan[:off+1])
}

// handOn has a clean gone on with whose caller is told why it is not waited for: what
// follows is the pool's business, not his.
func (e *Engine) handOn(why error) error {
	if why != nil {
		e.startDetached()
	}
	return why
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

// releasedBy finds the clean that follows the release of an allocation, while it is
// under way.
func releasedBy(tx Tx, a Allocation) (n Node, at Attempt, cleaning bool, err error) {
	if a.Node == "" {
		return n, at, false, nil
	}
	n, err = tx.Node(a.Node)
	if Is(err, NotFound) {
		return n, at, false, nil // retired since
	}
	if err != nil || n.State != Cleaning {
		return n, at, false, err
	}
	at, err = tx.Attempt(n.Attempt)
	return n, at, err == nil && at.Allocation == a.ID, err
}

// awaitClean waits until the node that an allocation let go of is at rest.
func (e *Engine) awaitClean(ctx context.Context, id AllocationID, report Reporter) error {
	told := false
	for {
		var (
			n        Node
			cleaning bool
		)
		err := e.store.View(ctx, func(tx Tx) error {
			a, err := followed(tx, id)
			if err == nil {
				n, _, cleaning, err = releasedBy(tx, a)
			}
			return err
		})
		if err != nil {
			return e.handOn(err)
		}
		if !cleaning {
			if n.State == Quarantined {
				say(report, Progress{Node: n.ID, Step: "clean", Message: "quarantined: " + Brief(n.Reason)})
			}
			return nil
		}
		if told, err = e.helpAlong(ctx, n.ID, told, report); err != nil {
			return err
		}
	}
}

// AwaitRest waits until nobody cleans or prepares a node, and does that work itself
// where its worker is gone. A node that has an owner is at rest.
func (e *Engine) AwaitRest(ctx context.Context, id NodeID, report Reporter) (Node, error) {
	told := false
	for {
		var n Node
		err := e.store.View(ctx, func(tx Tx) (err error) {
			n, err = reach(ctx, tx, "find", id)
			return err
		})
		if err != nil || n.State.Owned() || !n.State.Working() {
			return n, err
		}
		if told, err = e.helpAlong(ctx, id, told, report); err != nil {
			return n, err
		}
	}
}

// helpAlong does work on a node that nobody does, or waits a while for whoever does it:
// that is told once.
func (e *Engine) helpAlong(ctx context.Context, id NodeID, told bool, report Reporter) (bool, error) {
	_, err := e.reconcileNode(ctx, id, ReconcileOptions{}, report)
	if err != nil && !Is(err, Busy, LeaseLost) {
		return told, e.handOn(err)
	}
	if !told && Is(err, Busy) {
		told = true
		sayBusy(report, id, err)
	}
	return told, e.handOn(wait(ctx, e.timing.Queue))
}

// startDetached asks for a worker that outlives us. Without one the next command
// on the store finishes what is left.
func (e *Engine) startDetached() (started bool) {
	if e.detach == nil {
		return false
	}
	started, err := e.detach()
	if err != nil {
		e.log.Warn("no worker could be started; the next command goes on", "error", err)
	}
	return started
}
