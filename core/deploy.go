package core

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// Create takes a node and deploys it, moving on to another where a node fails by
// its own fault.
func (e *Engine) Create(ctx context.Context, o Order, report Reporter) (Machine, error) {
	o, err := e.resolve(ctx, o)
	if err != nil {
		return Machine{}, err
	}
	if o.DeployTimeout <= 0 {
		o.DeployTimeout = DefaultDeployTimeout
	}
	c := &creation{e: e, order: o, report: report}
	if c.deploy, err = e.sealedOrder(o); err != nil {
		return Machine{}, err
	}
	var kept *DeployOrder
	if o.Served {
		kept = &c.deploy
	}
	a, err := e.acquire(ctx, o, kept, report)
	if err != nil {
		return Machine{}, err
	}
	return c.run(ctx, a)
}

// creation is one call of Create, over all the nodes that it tries, or of Deploy,
// which stays on the one that the allocation has.
type creation struct {
	e       *Engine
	order   Order
	deploy  DeployOrder // what is kept of the order, its secrets sealed
	stays   bool        // on the node that it has
	begun   bool        // the order is in the store
	resumes bool        // it goes on for a process that died, and nobody waits for it
	report  Reporter
	// silent are nodes that did not answer us. They are suspect only once another
	// node did, where they did not: until then the fault may be ours, or the image's.
	silent []silence
}

// silence is where a node did not answer: at a step of the deploy, or at none, when
// its BMC was first asked.
type silence struct {
	node NodeID
	step string
}

// run brings an allocation to Deployed, as the order has it.
func (c *creation) run(ctx context.Context, a Allocation) (Machine, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.order.DeployTimeout, errOutOfTime)
	defer cancel()
	id := a.ID
	for {
		switch a.State {
		case Deployed:
			if !c.stays || c.resumes || c.asOrdered(a) {
				return machineOf(a), nil
			}
		case Failed:
			if c.resumes {
				return machineOf(a), nil // somebody else has given it up
			}
		case Allocated, Deploying:
		default:
			return Machine{}, &Error{Op: "create", Allocation: c.order.Name, Kind: Denied, Err: fmt.Errorf("the allocation was given up meanwhile: %s (%s)", a.State, a.Reason), Hint: "make a new ID for a new machine"}
		}
		err := c.onNode(ctx, a)
		switch {
		case err == nil:
			a, err = c.e.allocation(context.WithoutCancel(ctx), a.ID)
		case c.outlasts(ctx, err):
			a, err = c.afterFault(ctx, a.ID, err)
		}
		if err != nil {
			return Machine{}, c.e.remembering(ctx, named(err, c.order.Name), id)
		}
		if c.stays && a.State.Owned() {
			return machineOf(a), nil // what it is by now others may have asked for since
		}
	}
}

// onNode brings the allocation one node further: to Deployed, to another node, or
// to an error.
func (c *creation) onNode(ctx context.Context, a Allocation) error {
	say(c.report, Progress{Node: a.Node, Step: "node", Message: fmt.Sprintf("taking node %s", a.Node)})
	if a.State == Allocated || a.State == Deployed {
		// What runs goes on running where its BMC is not to be reached.
		if err := c.e.contact(ctx, a.Node); err != nil && c.stays {
			return err
		} else if err != nil {
			return c.moveUntouched(ctx, a, err)
		}
	}
	if err := c.answered(ctx, a.Node, func(step string) bool { return step == "" }); err != nil {
		return err
	}
	ctx, w, err := c.startDeploy(ctx, a)
	if errors.Is(err, errBroughtFurther) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.end()
	c.begun = true
	err = w.drive(ctx, w.attempt.plan())
	if blameErr := c.answered(context.WithoutCancel(ctx), w.node.ID, w.met); blameErr != nil {
		c.e.log.Warn("nodes that were silent are not marked as suspect", "error", blameErr)
	}
	if err != nil {
		return c.settle(ctx, w, err)
	}
	return w.deployed(ctx)
}

// contact makes one reading request: nothing is touched by it.
func (e *Engine) contact(ctx context.Context, id NodeID) error {
	n, err := e.Node(ctx, id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, e.timing.Call)
	defer cancel()
	bmc, err := e.connect(ctx, n, nil)
	if err != nil {
		return err
	}
	defer bmc.Close()
	_, err = bmc.Power(ctx)
	return err
}

// errBroughtFurther says that another call of the same create has deployed the
// machine, or moved it, while this one waited for its turn.
var errBroughtFurther = errors.New("another call has brought the machine further")

// beginning is what a deploy begins, or goes on, with.
type beginning struct {
	node    Node
	pool    Pool
	attempt Attempt
	lease   Lease
}

// startDeploy commits Deploying with a lease before the hardware is touched: anew,
// or going on with the attempt of a worker that died.
func (c *creation) startDeploy(ctx context.Context, a Allocation) (context.Context, *work, error) {
	e := c.e
	fresh, err := c.freshAttempt(ctx)
	if err != nil {
		return ctx, nil, err
	}
	var b beginning
	var busy error
	for {
		err = e.store.Update(ctx, func(tx Tx) (err error) {
			b, err = c.begins(ctx, tx, a, fresh)
			return err
		})
		if !Is(err, Busy) || c.resumes {
			break
		}
		if busy == nil {
			sayBusy(c.report, a.Node, err)
		}
		busy = err
		if wait(ctx, e.timing.Queue) != nil {
			return ctx, nil, busy
		}
	}
	if busy != nil && ctx.Err() != nil {
		err = busy // what was waited for says more than that the time is over
	}
	if err != nil {
		return ctx, nil, err
	}
	work, w := e.begin(ctx, b.node, b.pool, b.attempt, b.lease, c.report)
	return work, w, nil
}

// freshAttempt is an attempt with the keys and steps that are its own, on no node yet.
func (c *creation) freshAttempt(ctx context.Context) (Attempt, error) {
	at := Attempt{Job: JobDeploy, WaitFor: c.order.WaitFor}
	private, public, err := c.e.deployer.NewHostKeys()
	if err != nil {
		return at, err
	}
	at.PublicHostKeys = public
	if at.HostKeys, err = c.e.sealJSON(private); err != nil {
		return at, err
	}
	if at.Steps, err = c.e.chosenSteps(ctx, c.order); err != nil {
		return at, err
	}
	if len(c.deploy.PostDeploy) > 0 {
		at.Steps = append(at.Steps, postDeploy())
	}
	at.Login, at.KeepLogin, err = c.e.newLogin(ctx, c.order, at.Steps)
	return at, err
}

// begins takes the lease of the allocation's node, and the attempt that is under way there
// if this deploy goes on with it, else fresh.
func (c *creation) begins(ctx context.Context, tx Tx, a Allocation, fresh Attempt) (b beginning, err error) {
	e := c.e
	var held *Allocation
	if b.node, held, err = heldBy(tx, a.ID); err != nil {
		return b, err
	}
	if err := c.mayGoOn(tx, *held); err != nil {
		return b, err
	}
	if held.State == Deployed && (!c.stays || c.asOrdered(*held)) || held.Node != a.Node {
		return b, errBroughtFurther
	}
	if c.resumes && !c.asLeft(*held) {
		return b, errBroughtFurther
	}
	if b.pool, err = findPool(tx, b.node.Pool); err != nil {
		return b, err
	}
	before, err := tx.Lease(b.node.ID)
	if err != nil {
		return b, err
	}
	if b.lease, err = e.takeLease(tx, b.node.ID, false); err != nil {
		return b, err
	}
	if held.State == Deploying {
		if b.attempt, err = tx.Attempt(b.node.Attempt); err != nil {
			return b, err
		}
		if !c.stays || c.asOrdered(*held) {
			s, _ := (&work{attempt: b.attempt}).firstUnmet(b.attempt.plan())
			return b, tx.AddEvent(e.takes(b.attempt, b.lease, before, s.name, ""))
		}
		if err := e.drop(tx, b.attempt, &b.node, held); err != nil {
			return b, err
		}
	}
	b.attempt = fresh
	b.attempt.ID, b.attempt.Node, b.attempt.Allocation, b.attempt.StartedAt = AttemptID(NewID("d")), b.node.ID, held.ID, tx.Now()
	b.attempt.Steps = stepsFor(b.node, fresh.Steps)
	b.attempt.Image, b.attempt.Model, b.attempt.Pool = c.deploy.Image, b.node.Hardware.fullModel(), b.node.Pool
	if err := tx.PutAttempt(b.attempt); err != nil {
		return b, err
	}
	on := Deploy
	if held.State == Failed || held.State == Deployed {
		on = Redeploy
	}
	if b.node.Spec.Unreachable != "" { // it has just answered
		b.node.Spec.Unreachable = ""
		if err := tx.PutSpec(b.node); err != nil {
			return b, err
		}
	}
	order := c.deploy
	order.By = tx.Now().Add(c.timeLeft(ctx))
	b.node.Attempt, held.Order = b.attempt.ID, &order
	held.Access, held.Login, held.Steps = Access{}, nil, nil
	return b, e.advance(tx, &b.node, held, on, "")
}

// deployed commits the end: how the machine is reached is kept, its secrets are not.
func (w *work) deployed(ctx context.Context) error {
	return w.commit(ctx, func(tx Tx) error {
		n, a, err := heldBy(tx, w.attempt.Allocation)
		if err != nil {
			return err
		}
		image, err := tx.Image(a.Order.Image)
		if err != nil && !Is(err, NotFound) {
			return err
		}
		a.Access = w.access(*a.Order)
		a.Access.Unseen = w.attempt.WaitFor == UntilStarted
		if a.Access.SSHUser == "" {
			a.Access.SSHUser = image.User
		}
		if w.attempt.KeepLogin {
			a.Login = w.attempt.Login
		}
		a.Settled, a.Steps = true, w.attempt.given()
		a.Order.UserData, a.Order.PostDeploy = nil, nil // both are done with
		return w.finish(tx, &n, a, Done, "")
	})
}

// settle decides what becomes of a deploy that failed.
func (c *creation) settle(ctx context.Context, w *work, why error) error {
	if interrupted(ctx) || Is(why, LeaseLost) || ofStore(why) {
		return c.stopped(ctx, w, why)
	}
	ctx = context.WithoutCancel(ctx) // the deploy's own time may be over
	off, cancel := context.WithTimeout(ctx, w.pool.Timeouts.OrDefaults().Power)
	defer cancel()
	stopErr := powerOff(off, w)
	if stopErr == nil {
		if err := ejectMedia(off, w); err != nil {
			// The next boot of the ramdisk ejects it; until then it only shows.
			w.e.log.Warn("the boot media stays inserted", "node", w.node.ID, "error", err)
		}
	}
	if Is(stopErr, LeaseLost) || ofStore(stopErr) {
		return c.stopped(ctx, w, stopErr)
	}
	// A node whose OS was reached has done its part, too.
	unfit, declared := verdict(why)
	ours := declared || Is(why, Invalid, NotFound, Internal, Denied, Busy) || errors.Is(why, errOutOfTime) || w.met(stepSSH) && !unfit
	if ours || stopErr != nil || c.stays || c.order.Request.Node != "" {
		if stopErr != nil && stopErr.Error() != why.Error() {
			why = also(why, "its power could not be read back as Off", stopErr)
		}
		return c.failed(ctx, w, why)
	}
	switch err := c.moveAway(ctx, w, why); {
	case Is(err, LeaseLost), ofStore(err):
		return c.stopped(ctx, w, err)
	case err != nil:
		return c.failed(ctx, w, alone(why, c.e.explained(ctx, err)))
	}
	say(c.report, Progress{Node: w.node.ID, Step: "node", Message: "failed: " + reason(why, "", w.node.ID) + "; moving to another node"})
	w.e.startDetached()
	return nil
}

// stopped tells the caller who goes on with a deploy that was ended from outside.
func (c *creation) stopped(ctx context.Context, w *work, why error) error {
	e := &Error{Op: "deploy", Node: w.node.ID, Kind: KindOf(why), Err: why, Hint: AdviceUnfinished}
	a, err := c.e.allocation(context.WithoutCancel(ctx), w.attempt.Allocation)
	if err == nil && a.State.Ended() {
		e.Err, e.Hint = fmt.Errorf("the machine was given up meanwhile: %s (%s)", a.State, a.Reason), "make a new ID for a new machine"
	}
	return e
}

// failed gives up and says so to the caller.
func (c *creation) failed(ctx context.Context, w *work, why error) error {
	err := c.giveUp(ctx, w, why)
	if err != nil {
		return err
	}
	return &Error{Op: "deploy", Node: w.node.ID, Kind: KindOf(why), Err: why, Hint: c.e.whereToRead(ctx, w.attempt.Allocation) + "; " + AdviceFailed}
}

// whereToRead is the command that tells what happened, to whoever is told that a deploy has
// failed: its machine is off by then, and nodes are an operator's to look at.
func (e *Engine) whereToRead(ctx context.Context, id AllocationID) string {
	a, _ := e.allocation(context.WithoutCancel(ctx), id) // its ID does as well
	return "'metalpool machine logs " + cmp.Or(a.Name, string(id)) + "' tells all of it"
}

// giveUp commits Failed.
func (c *creation) giveUp(ctx context.Context, w *work, why error) error {
	return w.commit(ctx, func(tx Tx) error {
		n, a, err := heldBy(tx, w.attempt.Allocation)
		if err != nil {
			return err
		}
		return w.finish(tx, &n, a, GiveUp, reason(why, "", n.ID))
	})
}

// heldBy reads an allocation with the node that it holds.
func heldBy(tx Tx, id AllocationID) (Node, *Allocation, error) {
	a, err := tx.Allocation(id)
	if err != nil {
		return Node{}, nil, err
	}
	if !a.State.Owned() {
		return Node{}, nil, &Error{Op: "deploy", Allocation: a.Name, Kind: Denied, Err: fmt.Errorf("the allocation was given up meanwhile: %s", a.State), Hint: "make a new ID for a new machine"}
	}
	n, err := tx.Node(a.Node)
	return n, &a, err
}

// deployOrder is what of an order is stored, but for its secrets.
func (e *Engine) deployOrder(o Order) DeployOrder {
	d := DeployOrder{Image: o.Image, Hostname: cmp.Or(o.Hostname, o.Name), SSHUser: o.SSHUser, SSHPort: o.SSHPort, Keys: o.Keys, Digest: e.digest(o), WaitFor: o.WaitFor, Served: o.Served, Profile: o.Profile}
	if len(o.PostDeploy) > 0 {
		d.PostDeployDigest = hex.EncodeToString(e.sealer.Digest(o.PostDeploy))
	}
	return d
}

// sealedOrder is the order as it is stored, its secrets sealed.
func (e *Engine) sealedOrder(o Order) (DeployOrder, error) {
	d := e.deployOrder(o)
	for _, secret := range []struct {
		plain []byte
		to    *Sealed
	}{{o.UserData, &d.UserData}, {o.PostDeploy, &d.PostDeploy}} {
		if len(secret.plain) == 0 {
			continue
		}
		sealed, err := e.sealer.Seal(secret.plain)
		if err != nil {
			return d, err
		}
		*secret.to = sealed
	}
	return d, nil
}

func (e *Engine) sealJSON(v any) (Sealed, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return e.sealer.Seal(plain)
}

// named puts the machine's name into an error that has none.
func named(err error, name string) error {
	if e, ok := outermost(err); ok && e.Allocation == "" {
		c := *e
		c.Allocation = name
		return &c
	}
	return err
}
