package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// SetUp brings an Available node back to what its pool's profile sets up. Until that is
// done it is Preparing, and nobody is given it. Whoever cleans nodes does the work, and
// goes on with it where its worker dies; see AwaitRest. What the server will not have
// leaves it Available as it was, and only what was changed and is not in force then
// quarantines it. From there it is tried again without an erase: nobody had it meanwhile.
func (e *Engine) SetUp(ctx context.Context, id NodeID, reason string) (n Node, err error) {
	err = e.store.Update(ctx, func(tx Tx) error {
		if n, err = reach(ctx, tx, "set up", id); err != nil {
			return err
		}
		on := Prepare
		if again, err := preparedInVain(tx, n); err != nil {
			return err
		} else if again {
			on = PrepareAgain
		}
		if _, err := Next(n.State, on); err != nil {
			return withNode(err, id)
		}
		profile, steps, err := wantedOf(tx, n)
		if err != nil {
			return err
		}
		// One that has failed is brought back also where the steps it failed at are gone.
		if len(steps) == 0 && on == Prepare {
			why := fmt.Errorf("the profile %q of pool %q sets nothing up on it", profile, n.Pool)
			if profile == "" {
				why = fmt.Errorf("pool %q has no profile", n.Pool)
			}
			return &Error{Op: "set up", Node: id, Kind: Invalid, Err: why, Hint: "see 'metalpool help steps' for steps of the kinds bios, raid, boot-order and secure-boot"}
		}
		at := Attempt{ID: AttemptID(NewID("p")), Node: id, Job: JobPrepare, StartedAt: tx.Now(), Model: n.Hardware.fullModel(), Pool: n.Pool, Steps: steps, Again: on == PrepareAgain}
		n.Attempt = at.ID
		if err := tx.PutAttempt(at); err != nil {
			return err
		}
		return e.advance(tx, &n, nil, on, reason)
	})
	if err != nil {
		return n, err
	}
	e.startDetached()
	return n, nil
}

// preparedInVain reports whether a node is Quarantined for nothing but that it could not be
// set up: it was Available before, and is as clean as it was then.
func preparedInVain(tx Tx, n Node) (bool, error) {
	if n.State != Quarantined || n.Attempt == "" {
		return false, nil
	}
	at, err := tx.Attempt(n.Attempt)
	return err == nil && at.Job == JobPrepare && at.Outcome == GiveUp, err
}

// hintAgain is the way out for such a node.
const hintAgain = "'metalpool node drift %s --repair' tries it again, without an erase"

// preparation are the steps that set a node up which nobody owns. Where all is as wanted
// it is not started.
func (a Attempt) preparation() []step {
	on := func(a Attempt) bool { return a.Boot != nil || a.Again } // one given up may not have been switched off
	boot := step{name: stepRamdisk, timeout: Timeouts.boot, do: bootRamdisk, needed: func(a Attempt) bool { return len(a.unset()) > 0 }}
	park := step{name: stepPark, timeout: Timeouts.boot, do: park, needed: on}
	return slices.Concat([]step{a.setUp(), boot}, a.settings(), []step{park})
}

// unchangedError is a setting that was refused before anything of it was changed.
type unchangedError struct{ error }

func (u *unchangedError) Unwrap() error { return u.error }

// unchanged marks the verdict of a step. One that its operator wants the node to answer for
// stays that.
func unchanged(err error) error {
	e, ok := outermost(err)
	if onNode, _ := verdict(err); !ok || onNode {
		return err
	}
	told := *e
	told.Err = &unchangedError{e.Err}
	return &told
}

// isUnchanged reports whether a preparation ended without harm to its node.
func (w *work) isUnchanged(err error) bool {
	_, unchanged := errors.AsType[*unchangedError](err)
	return unchanged && w.attempt.Job == JobPrepare
}

// refused begins the reason of a node that would not have what its profile sets up.
const refused = "not set up: "

// Refused reports whether the node would not have what its profile sets up, when that was
// tried last, and is Available as it was before.
func (n Node) Refused() bool { return n.State == Available && strings.HasPrefix(n.Reason, refused) }

// leaveAsWas ends a preparation that was refused: the node is where it was before.
func (w *work) leaveAsWas(ctx context.Context, why error) error {
	if w.attempt.Boot != nil {
		off, cancel := context.WithTimeout(ctx, 2*w.e.timing.Call)
		defer cancel()
		if err := park(off, w); err != nil {
			return w.quarantine(ctx, why)
		}
	}
	on, text := Refuse, refused+reason(why, "", w.node.ID)
	if w.attempt.Again {
		on, text = GiveUp, reason(why, "", w.node.ID)
	}
	return w.commit(ctx, func(tx Tx) error {
		n, err := tx.Node(w.node.ID)
		if err != nil {
			return err
		}
		return w.finish(tx, &n, nil, on, text)
	})
}
