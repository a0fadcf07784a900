package core

import (
	"context"
	"fmt"
	"time"
)

// Owner is somebody who has, or had, machines.
type Owner struct {
	Name string    `json:"name"`
	Seen time.Time `json:"seen,omitzero"` // last; zero: never
}

// seenEvery is how often at most it is written down that an owner is there.
const seenEvery = time.Minute

// Seen notes that an owner is there: that he has asked for something, himself or through
// a program of his. It costs a read at most once a minute in each process, and a write at
// most once a minute in all of them. Nothing depends on it but how long ago Machines says
// it was, so that no failure of it is one of what he asked for.
func (e *Engine) Seen(ctx context.Context, owner string) {
	now := time.Now()
	if last, ok := e.seen.Load(owner); owner == "" || ok && now.Sub(last.(time.Time)) < seenEvery {
		return
	}
	e.seen.Store(owner, now)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), seenPatience)
	defer cancel()
	known := false
	fresh := func(tx Tx) error {
		o, err := tx.Owner(owner)
		known = err == nil && tx.Now().Sub(o.Seen) < seenEvery
		return err
	}
	err := e.store.View(ctx, fresh)
	if err == nil && !known {
		err = e.store.Update(ctx, func(tx Tx) error {
			if err := fresh(tx); err != nil || known {
				return err
			}
			return tx.PutOwner(Owner{owner, tx.Now()})
		})
	}
	if err != nil {
		e.log.Debug("that the owner was seen is not kept", "owner", owner, "error", err)
	}
}

// seenPatience is how long somebody waits for it to be written down that he is there.
const seenPatience = 2 * time.Second

// OrphansOf selects the machines that hold a node, or wait for one, and whose owners have
// not been seen for that long. A machine that was made since counts as its owner's sign.
func OrphansOf(machines []Machine, now time.Time, unseen time.Duration) (orphans []Machine) {
	for _, m := range machines {
		if !m.State.Ended() && now.Sub(m.LastSign()) >= unseen {
			orphans = append(orphans, m)
		}
	}
	return orphans
}

// LastSign is when something was last heard of the machine's owner.
func (m Machine) LastSign() time.Time {
	if m.OwnerSeen.After(m.CreatedAt) {
		return m.OwnerSeen
	}
	return m.CreatedAt
}

// ending lists machines whose time is over.
func (e *Engine) ending(ctx context.Context) (due []Allocation, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		due, err = collect(tx.Allocations(AllocationFilter{EndsBy: tx.Now()}))
		return err
	})
	return due, err
}

// endAll gives up the machines whose time is over. What is to be done to their nodes is
// left to whoever reconciles: they are Cleaning then, and nobody's.
func (e *Engine) endAll(ctx context.Context) error {
	due, err := e.ending(ctx)
	if err != nil {
		return err
	}
	for _, a := range due {
		if err := e.end(ctx, a.ID); err != nil && !Is(err, Busy, LeaseLost) {
			return err
		}
	}
	return nil
}

func (e *Engine) end(ctx context.Context, id AllocationID) error {
	r, err := e.letGo(ctx, id, "", true, func(tx Tx, a Allocation) (reason string, err error) {
		if a.State.Ended() || a.Until.IsZero() || tx.Now().Before(a.Until) {
			return "", &Error{Op: "end", Allocation: a.Name, Kind: Busy, Err: fmt.Errorf("it is %s, until %s", a.State, a.Until.UTC().Format(time.RFC3339))}
		}
		return "the time that was asked for was over at " + a.Until.UTC().Format(time.RFC3339), nil
	})
	if err != nil || r.off {
		return err
	}
	e.depose(r.lease)
	return e.store.Update(ctx, func(tx Tx) error {
		return tx.SwapLease(Lease{Node: r.node.ID, Generation: r.lease.Generation, Expires: tx.Now()}, r.lease.Generation)
	})
}

// lifetime is until when an allocation of an order is, that gets its first node now.
func (o Order) lifetime(a Allocation, now time.Time) time.Time {
	if o.TTL <= 0 || a.State != Waiting || !a.Until.IsZero() {
		return a.Until
	}
	return now.Add(o.TTL)
}

// untilNote tells of another end than before.
func untilNote(before, after time.Time) string {
	if before.Equal(after) {
		return ""
	}
	if after.IsZero() {
		return "it ends when it is released, and not by itself"
	}
	return "it is given up at " + after.UTC().Format(time.RFC3339)
}
