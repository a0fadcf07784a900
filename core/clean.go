package core

import (
	"context"
	"errors"
	"fmt"
)

// startCleanRecord gives a node a new attempt at a clean, in the transaction that
// moves it to Cleaning. by is the allocation that let go of it, if one did. What was
// under way on the node ends here, by on.
func (e *Engine) startCleanRecord(tx Tx, n *Node, by AllocationID, on Trigger) error {
	var before Attempt
	var err error
	if n.Attempt != "" {
		if before, err = tx.Attempt(n.Attempt); err != nil {
			return err
		}
		if before.EndedAt.IsZero() {
			if err := endAttempt(tx, before, on); err != nil {
				return err
			}
		}
	}
	at := Attempt{ID: AttemptID(NewID("c")), Node: n.ID, Allocation: by, Job: JobClean, StartedAt: tx.Now(), Model: n.Hardware.fullModel(), Pool: n.Pool}
	if at.Steps, err = e.stepsOfClean(tx, *n, before, by); err != nil {
		return err
	}
	if by != "" && n.State == Deployed {
		a, err := tx.Allocation(by)
		if err != nil {
			return err
		}
		at.Ran = true
		if logsIn(at.Steps, PhaseRelease) {
			at.Login = a.Login
		}
	}
	n.Attempt = at.ID
	return tx.PutAttempt(at)
}

// clean drives a clean, or a preparation, to its end: Available, or Quarantined, with the
// reason. An error means that the node is still at work and somebody else goes on.
func (w *work) clean(ctx context.Context) error {
	err := w.drive(ctx, w.attempt.plan())
	if err == nil {
		return w.cleaned(ctx)
	}
	if interrupted(ctx) || Is(err, LeaseLost) {
		return err
	}
	if Is(err, Busy) || ofStore(err) {
		return err // the store would not take it; the node did nothing wrong
	}
	if bad := w.e.CheckRamdisk(); bad != nil && !w.met(stepRamdisk) {
		return bad // of this host; the node did nothing wrong, and others may have a good one
	}
	if w.isUnchanged(err) {
		return w.leaveAsWas(context.WithoutCancel(ctx), err)
	}
	if Is(err, Transient) && w.boots < maxBoots {
		// Nobody answered: that may be our own network. Others may reach it.
		w.note(context.WithoutCancel(ctx), Note, stepOff, "unreachable from "+w.e.process+": "+err.Error())
		return err
	}
	return w.quarantine(context.WithoutCancel(ctx), err)
}

func (w *work) cleaned(ctx context.Context) error {
	return w.commit(ctx, func(tx Tx) error {
		n, err := tx.Node(w.node.ID)
		if err != nil {
			return err
		}
		if w.attempt.Job == JobClean {
			n.Erases++
		}
		if n.Spec.Unreachable != "" { // its BMC has answered all through the clean
			n.Spec.Unreachable = ""
			if err := tx.PutSpec(n); err != nil {
				return err
			}
		}
		if n.Suspect {
			return w.finish(tx, &n, nil, DoneSuspect, "suspect: "+n.Reason)
		}
		return w.finish(tx, &n, nil, Done, "")
	})
}

// quarantine keeps a node out that could not be cleaned. It is switched off first
// where it still listens.
func (w *work) quarantine(ctx context.Context, why error) error {
	off, cancel := context.WithTimeout(ctx, 2*w.e.timing.Call) // the first may pass in waiting; see powerOff
	defer cancel()
	if err := park(off, w); err != nil {
		why = also(why, "it could not be switched off", err)
	}
	return w.commit(ctx, func(tx Tx) error {
		n, err := tx.Node(w.node.ID)
		if err != nil {
			return err
		}
		text := reason(why, "", n.ID)
		if w.attempt.Job == JobPrepare {
			text += "; " + fmt.Sprintf(hintAgain, n.ID)
		}
		return w.finish(tx, &n, nil, GiveUp, text)
	})
}

// finish ends an attempt: its record, the state of the node, and the lease, all in
// one transaction, so that no node at rest stays leased to a worker that died.
func (w *work) finish(tx Tx, n *Node, a *Allocation, on Trigger, reason string) error {
	if err := endAttempt(tx, w.attempt, on); err != nil {
		return err
	}
	if err := w.e.advance(tx, n, a, on, reason); err != nil {
		return err
	}
	if n.Spec.Unreachable != "" && (on == Done || on == DoneSuspect) { // it was reached by now
		n.Spec.Unreachable = ""
		if err := tx.PutSpec(*n); err != nil {
			return err
		}
	}
	return w.free(tx)
}

// endAttempt writes the last of an attempt's record. Its secrets go: the keys of
// its boot and of its host open nothing any more that we want opened.
func endAttempt(tx Tx, at Attempt, on Trigger) error {
	if at.Outcome = on; on != Done && on != DoneSuspect {
		at.StoppedAt = at.firstUnmet()
	}
	steps := later(at.Steps)
	if at.Job != JobDeploy {
		steps = nil
	}
	at.EndedAt, at.Boot, at.HostKeys, at.Login, at.Steps, at.Settings, at.Fragments = tx.Now(), nil, nil, nil, steps, nil, nil
	return tx.PutAttempt(at)
}

// ReconcileOptions say what to finish.
type ReconcileOptions struct {
	// AbandonDeploys gives up deploys of dead workers at once, not after the grace
	// period in which their caller may come back.
	AbandonDeploys bool
	// Wait also waits for the nodes that others work on, until none is at work.
	Wait bool
}

// Outcome is what reconcile did about one node.
type Outcome struct {
	Node NodeID `json:"node"`
	From State  `json:"from"`
	To   State  `json:"to"`
	Note string `json:"note,omitempty"`
}

// reconcileNode finishes the work on one node whose worker is gone.
func (e *Engine) reconcileNode(ctx context.Context, id NodeID, o ReconcileOptions, report Reporter) (Outcome, error) {
	var (
		n    Node
		p    Pool
		at   Attempt
		l    Lease
		what duty
	)
	err := e.store.Update(ctx, func(tx Tx) (err error) {
		if n, err = tx.Node(id); err != nil {
			return err
		}
		if !n.State.Working() {
			return &Error{Op: "reconcile", Node: id, Kind: Busy, Err: fmt.Errorf("it is %s by now", n.State)}
		}
		old, err := tx.Lease(id)
		if err != nil {
			return err
		}
		if what, err = e.dutyOf(tx, n, old); err != nil {
			return err
		}
		switch {
		case what.job == toGoOn && !o.AbandonDeploys:
			return nil // it takes the lease itself
		case what.job == toServers && !o.AbandonDeploys:
			return &Error{Op: "reconcile", Node: id, Kind: Busy, Err: fmt.Errorf("its deploy is gone on with by a server of the pool, until %s", what.due.UTC().Format("2006-01-02 15:04:05 MST")), Hint: "start 'metalpool serve', or release it: metalpool machine release " + string(n.Allocation)}
		case what.job == toLeave && n.State == Deploying && !o.AbandonDeploys:
			return &Error{Op: "reconcile", Node: id, Kind: Busy, Err: fmt.Errorf("its deploy may be gone on with by its caller until %s", what.due.UTC().Format("15:04:05 MST")), Hint: "or release it: metalpool machine release " + string(n.Allocation)}
		}
		if p, err = findPool(tx, n.Pool); err != nil {
			return err
		}
		if l, err = e.takeLease(tx, id, false); err != nil {
			return err
		}
		if at, err = tx.Attempt(n.Attempt); err != nil {
			return err
		}
		switch {
		case n.State == Deploying:
			return tx.AddEvent(e.takes(at, l, old, stepOff, ", to end it: "+what.why().Error()))
		case old.Holder != "": // one that gave it back has handed it on
			s, _ := (&work{attempt: at}).firstUnmet(at.plan())
			return tx.AddEvent(e.takes(at, l, old, s.name, ""))
		}
		return nil
	})
	out := Outcome{Node: id, From: n.State, To: n.State}
	if err != nil {
		return out, err
	}
	if what.job == toGoOn && l.Holder == "" {
		err = e.resume(ctx, n.Allocation, report)
	} else {
		err = e.finishOn(ctx, n, p, at, l, what, report)
	}
	if now, readErr := e.Node(context.WithoutCancel(ctx), id); readErr == nil {
		out.To, out.Note = now.State, now.Reason
	}
	return out, err
}

// finishOn ends the work on a node whose lease was just taken: a clean, or a deploy that
// nobody is to go on with.
func (e *Engine) finishOn(ctx context.Context, n Node, p Pool, at Attempt, l Lease, what duty, report Reporter) error {
	ctx, w := e.begin(ctx, n, p, at, l, report)
	defer w.end()
	if n.State == Deploying {
		return (&creation{e: e, report: report}).abandon(ctx, w, what.why())
	}
	return w.clean(ctx)
}

// abandon ends a deploy that nobody goes on with.
func (c *creation) abandon(ctx context.Context, w *work, why error) error {
	if err := w.drive(ctx, abandonSteps); err != nil {
		return err
	}
	return c.giveUp(ctx, w, why)
}

var (
	errDeserted = errors.New("its worker died and its caller did not come back")
	errTooLate  = errors.New("its worker died, and the time for the whole deploy was over before another could go on")
)
