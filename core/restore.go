package core

import (
	"context"
	"fmt"
	"time"
)

// generationLeap is what every generation grows by when a store is put back: more than
// could have been taken since the backup, and a number that people recognise.
const generationLeap = 1_000_000

// Restored is what Distrust made of a store.
type Restored struct {
	// Quarantined were free, or being cleaned. Failed are machines that were being made.
	Quarantined []NodeID `json:"quarantined,omitempty"`
	Failed      []string `json:"failed,omitempty"` // as OWNER/NAME
	// Kept are machines that were in use, or Failed, and still count as their owners'.
	Kept []string `json:"kept,omitempty"` // as OWNER/NAME
	// KeptOut are nodes that were so already, and are still.
	KeptOut []NodeID `json:"kept_out,omitempty"`
	// Revoked are tokens by ID: one that was revoked since would be good again.
	Revoked []string `json:"revoked,omitempty"`
}

// Distrust makes a store usable that was put back to an earlier time. The servers went
// on meanwhile, and nobody knows how: a node that was free then may be somebody's now,
// and an erase that was under way may be over, and the node given out. So nothing that
// could touch a disk goes on by itself: free nodes and those at work are Quarantined,
// machines that were being made are Failed, until somebody has looked. Machines in use
// stay their owners'. Every lease is void, and its generation leaps, so that neither a
// worker from before nor an agent that heard a higher one is mistaken for today's. A
// token that was revoked since would let its holder in again: all are revoked, unless
// keepTokens.
//
// It runs on the copy, before that takes the place of the store. Run twice it changes
// nothing but generations.
func (e *Engine) Distrust(ctx context.Context, taken time.Time, keepTokens bool) (r Restored, err error) {
	since := "the store was restored from a backup of " + taken.UTC().Format("2006-01-02 15:04 MST")
	err = e.store.Update(ctx, func(tx Tx) error {
		r = Restored{}
		if err := leap(tx); err != nil {
			return err
		}
		nodes, err := collect(tx.Nodes(NodeFilter{}))
		if err != nil {
			return err
		}
		for _, listed := range nodes {
			n, a, err := held(tx, listed.ID)
			if err != nil {
				return err
			}
			if err := e.distrust(tx, n, a, since, &r); err != nil {
				return withNode(err, n.ID)
			}
		}
		if !keepTokens {
			if r.Revoked, err = revokeAll(tx); err != nil {
				return err
			}
		}
		return tx.AddEvent(Event{Type: Note, Message: since, By: e.process})
	})
	return r, err
}

func revokeAll(tx Tx) (revoked []string, err error) {
	tokens, err := collect(tx.Tokens())
	if err != nil {
		return nil, err
	}
	for _, t := range tokens {
		if t.usable(tx.Now()) != nil {
			continue
		}
		t.RevokedAt = tx.Now()
		if err := tx.PutToken(t); err != nil {
			return nil, err
		}
		revoked = append(revoked, t.ID)
	}
	return revoked, nil
}

// leap voids all leases. They count as held, so that a call that is still on its way
// ends before anybody begins.
func leap(tx Tx) error {
	leases := map[NodeID]Lease{}
	for n, err := range tx.Nodes(NodeFilter{}) {
		if err != nil {
			return err
		}
		leases[n.ID] = Lease{Node: n.ID}
	}
	for l, err := range tx.Leases() { // those of retired nodes, too: they may have come back
		if err != nil {
			return err
		}
		leases[l.Node] = l
	}
	for _, l := range leases {
		before := l.Generation
		l.Holder, l.Generation, l.Expires = "restore", before+generationLeap, tx.Now()
		if err := tx.SwapLease(l, before); err != nil {
			return err
		}
	}
	return nil
}

// distrustPreparation has a node that could not be set up not be tried again without an
// erase.
func distrustPreparation(tx Tx, n Node) error {
	again, err := preparedInVain(tx, n)
	if err != nil || !again {
		return err
	}
	at, err := tx.Attempt(n.Attempt)
	if err != nil {
		return err
	}
	at.Outcome = Restore
	return tx.PutAttempt(at)
}

func (e *Engine) distrust(tx Tx, n Node, a *Allocation, since string, r *Restored) error {
	const unknown = "who has it by now is not known, and its disks may be somebody's"
	look := fmt.Sprintf("see what runs on it ('metalpool node console %s')", n.ID)
	if n.State.Working() {
		at, err := tx.Attempt(n.Attempt)
		if err != nil {
			return err
		}
		if err := endAttempt(tx, at, Restore); err != nil {
			return err
		}
	}
	switch n.State {
	case Available, Cleaning, Preparing:
		r.Quarantined = append(r.Quarantined, n.ID)
		return e.advance(tx, &n, nil, Restore, fmt.Sprintf("%s, when it was %s: %s; %s, then 'metalpool node repair %s', which erases it", since, n.State, unknown, look, n.ID))
	case Allocated, Deploying:
		r.Failed = append(r.Failed, a.Owner+"/"+a.Name)
		return e.advance(tx, &n, a, Restore, fmt.Sprintf("%s, when it was %s: %s; %s before it is deployed again or released, which erases it", since, n.State, unknown, look))
	case Quarantined, Maintenance:
		r.KeptOut = append(r.KeptOut, n.ID)
		if err := distrustPreparation(tx, n); err != nil {
			return err
		}
		n.Reason = fmt.Sprintf("%s: %s; %s before it is put to use, which erases it. Before that: %s", since, unknown, look, n.Reason)
		if err := swapNode(tx, &n); err != nil {
			return err
		}
	default:
		r.Kept = append(r.Kept, a.Owner+"/"+a.Name)
	}
	return tx.AddEvent(Event{Node: n.ID, Allocation: n.Allocation, Type: Note, Message: since + "; what has happened since is not in it", By: e.process})
}
