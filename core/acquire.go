package core

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Acquire takes a node for an allocation, without touching its hardware, waiting in
// the queue for up to o.Wait. The same ID again is the same answer.
func (e *Engine) Acquire(ctx context.Context, o Order, report Reporter) (Allocation, error) {
	return e.acquire(ctx, o, nil, report)
}

// acquire is Acquire where the allocation keeps from when it has a node what is to be
// deployed there; nil keeps nothing yet.
func (e *Engine) acquire(ctx context.Context, o Order, kept *DeployOrder, report Reporter) (Allocation, error) {
	o = o.withDefaults()
	if err := validate(o); err != nil {
		return Allocation{}, err
	}
	e.Seen(ctx, o.Owner)
	began, waiting := time.Now(), false
	for {
		a, err := e.acquireOnce(ctx, o, kept, waiting)
		if err == nil || o.Wait <= 0 {
			return a, err
		}
		why, passes := mayPass(err)
		if !passes && Is(err, NoCapacity) {
			return a, e.leaveQueue(ctx, o.ID, err) // no node of this pool is going to fit
		}
		if !passes && waiting && ctx.Err() != nil {
			return a, e.cutOff(ctx, o, err) // the end came in the middle of a look
		}
		if !passes {
			return a, err
		}
		left := o.Wait - time.Since(began)
		if left <= 0 {
			return a, e.leaveQueue(ctx, o.ID, waited(err))
		}
		if !waiting {
			say(report, Progress{Step: StepQueue, Message: "waiting for a node: " + why.Error()})
			waiting = true
			continue // enter the queue at once
		}
		select {
		case <-ctx.Done():
			return a, e.cutOff(ctx, o, err)
		case <-time.After(min(left, e.timing.Queue)):
		}
	}
}

// waited is a refusal to somebody who has waited for as long as he wanted to: that he could
// wait is no news to him.
func waited(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	told := *e
	told.Hint = strings.Replace(e.Hint, "wait for one "+AdviceWait, "wait longer", 1)
	return &told
}

// StepQueue is the step that progress names while an order waits for a node, and holds
// none.
const StepQueue = "queue"

// mayPass finds what the caller can wait out in a refusal: nodes that are taken or being
// cleaned, or a quota that the owner himself has used up.
func mayPass(err error) (why error, passes bool) {
	var s *ShortageError
	var q *quotaError
	switch {
	case errors.As(err, &s):
		return s, s.May > 0
	case errors.As(err, &q):
		return q, true
	}
	return err, false
}

// quotaError is a pool's limit that an owner has come to.
type quotaError struct {
	owner, pool string // pool is empty for the limit of the owner's token
	have, limit int
}

func (q *quotaError) Error() string {
	if q.pool == "" {
		return fmt.Sprintf("%s has %d of the %d machines that its token allows", q.owner, q.have, q.limit)
	}
	return fmt.Sprintf("%s has %d of the %d machines that pool %q allows each owner", q.owner, q.have, q.limit, q.pool)
}

// acquireOnce looks once. queue makes or renews the place in the queue when there
// is no node.
func (e *Engine) acquireOnce(ctx context.Context, o Order, kept *DeployOrder, queue bool) (a Allocation, err error) {
	var missed error
	err = e.store.Update(ctx, func(tx Tx) error {
		missed = nil
		stored, n, err := e.look(tx, o, &a)
		if Is(err, NoCapacity, Exists, Denied) {
			expired, expireErr := e.expireStale(tx, a.ID)
			if expireErr != nil {
				return expireErr
			}
			if expired > 0 {
				stored, n, err = e.look(tx, o, &a)
			}
		}
		switch {
		case Is(err, NoCapacity) && queue:
			missed = err
			return e.enqueue(tx, a, stored)
		case Is(err, NoCapacity):
			missed = err // what has expired stays so
			return nil
		case err != nil || a.State != Waiting:
			return err
		}
		if kept != nil {
			order := *kept
			order.By = tx.Now().Add(o.DeployTimeout)
			a.Order = &order
		}
		return e.claim(tx, &a, stored, n, o)
	})
	if err == nil {
		err = e.explained(ctx, missed)
	}
	return a, err
}

// look finds what the order stands for already or, where a is Waiting, the node that
// it may claim now.
func (e *Engine) look(tx Tx, o Order, a *Allocation) (stored bool, n Node, err error) {
	if *a, err = e.existing(tx, o); err != nil {
		return false, n, err
	}
	stored = a.ID != ""
	if stored && a.State != Waiting {
		return stored, n, nil
	}
	pool, err := findPool(tx, o.Request.Pool)
	if err != nil {
		return stored, n, err
	}
	if !stored {
		if err := e.admit(tx, pool, o); err != nil {
			return false, n, err
		}
		*a = Allocation{ID: o.ID, Owner: o.Owner, Name: o.Name, State: Waiting, Labels: o.Labels, Request: o.Request}
	}
	n, err = choose(tx, pool, *a)
	return stored, n, err
}

// claim gives the node to the allocation in the same transaction that looked.
func (e *Engine) claim(tx Tx, a *Allocation, stored bool, n Node, o Order) error {
	timeout := o.AcquireTimeout
	if timeout <= 0 {
		timeout = DefaultAcquireTimeout
	}
	n.Allocation, n.Attempt = a.ID, ""
	to, err := e.move(tx, &n, Claim, "")
	if err != nil {
		return err
	}
	now := tx.Now()
	a.Until = o.lifetime(*a, now)
	a.Node, a.State, a.Deadline, a.Reason = n.ID, to, now.Add(timeout), ""
	if stored {
		return swapAllocation(tx, a)
	}
	a.CreatedAt = now
	return tx.InsertAllocation(*a)
}

func (e *Engine) enqueue(tx Tx, a Allocation, stored bool) error {
	a.Deadline = tx.Now().Add(e.timing.Place)
	if stored {
		return swapAllocation(tx, &a)
	}
	a.CreatedAt = tx.Now()
	if err := tx.InsertAllocation(a); err != nil {
		return err
	}
	return tx.AddEvent(Event{Allocation: a.ID, Type: StateChanged, To: Waiting, Message: a.Owner + "/" + a.Name + " queues", By: e.process})
}

// cutOff ends a wait that its caller did not. Where somebody else may queue in the same
// place by now, it is not ours to give up.
func (e *Engine) cutOff(ctx context.Context, o Order, why error) error {
	if o.KeepsPlace {
		return why
	}
	return e.leaveQueue(ctx, o.ID, why)
}

// leaveQueue gives the order's own place in the queue up and returns why. One that
// was found under another ID is its maker's to leave.
func (e *Engine) leaveQueue(ctx context.Context, id AllocationID, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.timing.Call)
	defer cancel()
	err := e.store.Update(ctx, func(tx Tx) error {
		a, err := tx.Allocation(id)
		if Is(err, NotFound) || err == nil && a.State != Waiting {
			return nil
		}
		if err != nil {
			return err
		}
		a.Deadline = tx.Now()
		return e.expire(tx, a)
	})
	if err != nil {
		e.log.Warn("the place in the queue was not given up; it lapses", "allocation", id, "error", err)
	}
	return why
}

// existing finds what the order's ID, or its owner and name, already stand for. A
// zero allocation means: nothing, go on.
func (e *Engine) existing(tx Tx, o Order) (Allocation, error) {
	refuse := func(hint, format string, args ...any) (Allocation, error) {
		return Allocation{}, &Error{Op: "acquire", Allocation: o.Name, Kind: Exists, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	a, err := followed(tx, o.ID)
	switch {
	case err == nil && a.State.Ended():
		return refuse("make a new ID for a new machine",
			"the allocation %s has ended (%s: %s) and never acquires again", o.ID, a.State, a.Reason)
	case err == nil:
		if diff := e.difference(a, o); diff != "" {
			return refuse("ask with the same request, or release it first: metalpool machine release "+string(a.ID),
				"the allocation %s is there with another request (%s)", o.ID, diff)
		}
		return a, nil
	case !Is(err, NotFound):
		return Allocation{}, err
	}
	a, err = tx.AllocationNamed(o.Owner, o.Name)
	switch {
	case Is(err, NotFound):
		return Allocation{}, nil
	case err != nil:
		return Allocation{}, err
	}
	release := fmt.Sprintf("release it with 'metalpool machine release %s'", a.ID)
	if diff := e.difference(a, o); diff != "" {
		return refuse("choose another name, or "+release,
			"%s/%s is there as %s (%s) with another request (%s)", o.Owner, o.Name, a.ID, a.State, diff)
	}
	if a.State != Deployed {
		return a, nil // adopted: the caller lost its first answer
	}
	return refuse("use it as it is, choose another name, or "+release,
		"%s/%s is there as %s (%s, node %s)", o.Owner, o.Name, a.ID, a.State, a.Node)
}

// digest tells user data apart, and revisions, without keeping them open. It is made
// with the store's key: a plain digest of a short secret in a known text would be found
// by trying.
func (e *Engine) digest(o Order) string {
	b, _ := json.Marshal([]any{o.UserData, o.Revision})
	return hex.EncodeToString(e.sealer.Digest(b))
}

// admit refuses an order that the pool's policy does not allow.
func (e *Engine) admit(tx Tx, p Pool, o Order) error {
	if err := withinQuota(tx, o, "", o.Quota); err != nil {
		return err
	}
	if err := withinQuota(tx, o, p.Name, p.Quota); err != nil {
		return err
	}
	// After the quota, as a claim comes after it: an owner's orders wait for each other
	// there, and in another order they would wait in a circle.
	return nodeAsked(tx, o)
}

// nodeAsked refuses a node that the order's pool does not have.
func nodeAsked(tx Tx, o Order) error {
	if o.Request.Node == "" {
		return nil
	}
	n, err := tx.Node(o.Request.Node)
	if Is(err, NotFound) {
		err = noSuchNode(tx, "acquire", o.Request.Node)
	}
	if err != nil {
		return named(err, o.Name)
	}
	if n.Pool != o.Request.Pool {
		return &Error{Op: "acquire", Allocation: o.Name, Node: n.ID, Kind: Invalid, Err: fmt.Errorf("the node is in pool %q, not %q", n.Pool, o.Request.Pool), Hint: "name that pool"}
	}
	return nil
}

// withinQuota counts what the owner has, in one pool or in all.
func withinQuota(tx Tx, o Order, pool string, limit int) error {
	if limit == 0 {
		return nil
	}
	have := 0
	for _, err := range tx.Allocations(AllocationFilter{Owner: o.Owner, Pool: pool, Live: true}) {
		if err != nil {
			return err
		}
		have++
	}
	if have >= limit {
		return &Error{Op: "acquire", Allocation: o.Name, Kind: Denied, Err: &quotaError{o.Owner, pool, have, limit}, Hint: "release one, wait until one is released " + AdviceWait + ", or have the quota raised"}
	}
	return nil
}

// findPool reads a pool; the default one needs no making.
func findPool(tx Tx, name string) (Pool, error) {
	p, err := tx.Pool(name)
	if Is(err, NotFound) {
		if name == DefaultPool {
			return Pool{Name: DefaultPool}, nil
		}
		pools, err := collect(tx.Pools())
		if err != nil {
			return p, err
		}
		if !slices.ContainsFunc(pools, func(p Pool) bool { return p.Name == DefaultPool }) {
			pools = append([]Pool{{Name: DefaultPool}}, pools...)
		}
		hint := thereAre(name, pools, func(p Pool) string { return p.Name }, "metalpool pool list")
		return p, &Error{Op: "find pool " + name, Kind: NotFound, Err: errors.New("no such pool"), Hint: hint}
	}
	return p, err
}
