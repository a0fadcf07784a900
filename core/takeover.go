package core

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Work whose worker died is taken over by the next process that comes by, under the next
// generation. A clean is anybody's: all that it takes is in the store. A deploy is gone on
// with by servers alone, and only where a server took the order: its worker was one of
// them, so that another has the same images and reaches the same BMCs, and whoever asked
// was told that the pool brings it to its end. A deploy of an embedded engine is its
// caller's own, who may have stopped it on purpose, whose image may be a file of his, and
// who goes on with it by asking again: it is given up once the grace is over.

// job is what is to be done about a node at work.
type job int

const (
	toLeave   job = iota // to whoever works on it, or to its caller, until due
	toServers            // with a deploy that a server took: the next one goes on, until due
	toClean              // to its end
	toGoOn               // with a deploy, from the first step that is not met
	toAbandon            // a deploy that nobody goes on with
)

// duty is what a process that comes by has to do about a node at work.
type duty struct {
	job job
	due time.Time // of toLeave and toServers: when to look again, by the store's clock
	// late is that the order's own time is over.
	late bool
}

func (d duty) why() error {
	if d.late {
		return errTooLate
	}
	return errDeserted
}

// decide says what is to be done about a node at work. order is that of its allocation,
// and nil where it has none; serves is whether a server asks.
func decide(n Node, l Lease, order *DeployOrder, now time.Time, t Timing, serves bool) duty {
	switch {
	case !l.Free(now, t.Call):
		return duty{job: toLeave, due: l.Expires.Add(t.Call)}
	case n.State != Deploying:
		return duty{job: toClean}
	case order != nil && order.Served && serves && now.Before(order.By):
		return duty{job: toGoOn}
	case order != nil && order.Served && now.Before(order.By):
		return duty{job: toServers, due: order.By}
	case order != nil && order.Served:
		return duty{job: toAbandon, late: true}
	case now.Before(l.Expires.Add(t.Grace)):
		return duty{job: toLeave, due: l.Expires.Add(t.Grace)}
	}
	return duty{job: toAbandon}
}

// dutyOf reads what decide needs. An allocation is read only where that decides.
func (e *Engine) dutyOf(tx Tx, n Node, l Lease) (duty, error) {
	var order *DeployOrder
	if n.State == Deploying && l.Free(tx.Now(), e.timing.Call) {
		a, err := tx.Allocation(n.Allocation)
		if err != nil {
			return duty{}, err
		}
		order = a.Order
	}
	return decide(n, l, order, tx.Now(), e.timing, e.serves), nil
}

// stranded reports whether a served order that was given a node was left before anything
// was committed to be done there. It has no lease that could lapse; but whoever lives would
// have asked the node's BMC by now, and begun.
func stranded(a Allocation, given, now time.Time, t Timing) bool {
	return a.State == Allocated && a.Order != nil && a.Order.Served && !now.Before(given.Add(t.Lease+t.Call))
}

// resume goes on with a served order, as its first worker would have.
func (e *Engine) resume(ctx context.Context, id AllocationID, report Reporter) error {
	var (
		a       Allocation
		now     time.Time
		started bool // the ramdisk
	)
	err := e.store.View(ctx, func(tx Tx) (err error) {
		now, started = tx.Now(), false
		if a, err = tx.Allocation(id); err != nil || a.State != Deploying {
			return err
		}
		n, err := tx.Node(a.Node)
		if err != nil {
			return err
		}
		at, err := tx.Attempt(n.Attempt)
		_, started = at.Met[stepRamdisk]
		return err
	})
	if err != nil {
		return err
	}
	if bad := e.CheckRamdisk(); bad != nil && !started {
		return bad // it is left to a server that has a good one
	}
	if a.Order == nil {
		return &Error{Op: "go on with", Allocation: a.Name, Kind: Internal, Err: errors.New("the allocation has no order")}
	}
	d := *a.Order
	c := &creation{e: e, deploy: d, stays: d.Stays, resumes: true, report: report, order: Order{
		ID: a.ID, Owner: a.Owner, Name: a.Name, Request: a.Request, Image: d.Image, WaitFor: d.WaitFor, Profile: d.Profile,
		DeployTimeout: d.By.Sub(now), Served: true,
	}}
	if _, err = c.run(ctx, a); err == nil {
		return nil
	}
	ended, readErr := e.allocation(context.WithoutCancel(ctx), id)
	if readErr == nil && !c.asLeft(ended) {
		e.log.Info("a deploy that was gone on with has ended", "allocation", id, "state", ended.State, "why", err)
		return nil // its end is in the store
	}
	return err
}

// asLeft reports whether an allocation is still as the one was that died: being deployed,
// as it was ordered.
func (c *creation) asLeft(a Allocation) bool {
	return (a.State == Allocated || a.State == Deploying) && c.asOrdered(a)
}

// timeLeft is how long the whole deploy may still take.
func (c *creation) timeLeft(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return time.Until(end)
	}
	return c.order.DeployTimeout
}

// outlasts reports whether a server goes on with an order by itself where its worker was
// cut off by what is nobody's fault: a store that was away longer than the lease lasts.
// Whoever resumes leaves that to the next look.
func (c *creation) outlasts(ctx context.Context, err error) bool {
	return c.order.Served && !c.resumes && ctx.Err() == nil && (Is(err, LeaseLost) || ofStore(err))
}

// afterFault reads what became of the order meanwhile, once the store answers again. The
// error is why there is nothing to go on with.
func (c *creation) afterFault(ctx context.Context, id AllocationID, why error) (Allocation, error) {
	say(c.report, Progress{Step: "wait", Message: fmt.Sprintf("to go on with it: %v", why)})
	for {
		if err := wait(ctx, c.e.timing.Retry); err != nil {
			return Allocation{}, why
		}
		a, err := c.e.allocation(ctx, id)
		switch {
		case err != nil && ctx.Err() == nil && ofStore(err):
			continue
		case err != nil:
			return a, err
		case a.State == Failed && c.begun:
			return a, &Error{Op: "deploy", Node: a.Node, Kind: KindOf(why), Err: fmt.Errorf("it was given up meanwhile: %s", a.Reason), Hint: c.e.whereToRead(ctx, id) + "; " + AdviceFailed}
		case c.begun && !c.asOrdered(a):
			return a, why // another order has taken its place
		}
		return a, nil
	}
}
