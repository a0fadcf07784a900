package core

import (
	"cmp"
	"context"
	"fmt"
)

// Allocate takes a node; see Service.
func (e *Engine) Allocate(ctx context.Context, o Order, report Reporter) (Machine, error) {
	a, err := e.Acquire(ctx, o, report)
	return machineOf(a), err
}

// Deploy puts an OS on the node of an allocation; see Service.
func (e *Engine) Deploy(ctx context.Context, o Order, report Reporter) (Machine, error) {
	a, o, err := e.deployable(ctx, o)
	if err != nil {
		return Machine{}, err
	}
	if o.DeployTimeout <= 0 {
		o.DeployTimeout = DefaultDeployTimeout
	}
	c := &creation{e: e, order: o, stays: true, report: report}
	if c.deploy, err = e.sealedOrder(o); err != nil {
		return Machine{}, err
	}
	c.deploy.Stays = true
	return c.run(ctx, a)
}

// Again is the order that deploys a machine again on the same server, as it is but for user
// data and a script of the user's, which nobody keeps. revision is the caller's own name of
// that request: the same again goes on with it. Without one it is new, and refused where
// somebody is deploying: to wait for that and then write over it is what nobody means.
func (m Machine) Again(revision string) (Order, error) {
	o := Order{ID: m.ID, Profile: m.Profile, Revision: cmp.Or(revision, NewID("again"))}
	refuse := func(kind Kind, hint, format string, args ...any) (Order, error) {
		return o, &Error{Op: "redeploy", Allocation: m.Name, Node: m.Node, Kind: kind, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch {
	case m.State == Deployed, m.State == Failed, m.State == Deploying && revision != "":
		return o, nil
	case m.State == Deploying:
		return refuse(Busy, "ask again once that has ended; where nobody goes on with it, it has failed by then", "it is being deployed")
	case m.State.Ended():
		return refuse(Denied, "name one that is there", "the machine was given up: %s, %s", m.State, m.Reason)
	}
	return refuse(Invalid, "have it deployed as it was allocated; or release it", "it is %s: nothing was deployed on it", m.State)
}

// CheckDeploy says what Deploy would refuse; see Service.
func (e *Engine) CheckDeploy(ctx context.Context, o Order) error {
	_, _, err := e.deployable(ctx, o)
	return err
}

// deployable finds the allocation of an order, and fills in what the order leaves out.
func (e *Engine) deployable(ctx context.Context, o Order) (Allocation, Order, error) {
	a, err := e.allocation(ctx, o.ID)
	if err != nil {
		return a, o, err
	}
	if !a.State.Owned() {
		hint := "create a new one"
		if a.State == Waiting {
			hint = "wait until it has one, or give it up: 'metalpool machine release " + string(a.ID) + "'"
		}
		return a, o, &Error{Op: "deploy", Allocation: a.Name, Kind: Invalid, Err: fmt.Errorf("the allocation has no node: it is %s", a.State), Hint: hint}
	}
	o, err = e.resolve(ctx, replacing(a, o))
	if err != nil {
		return a, o, err
	}
	if err := e.runsOn(ctx, o.Image, a.Node); err != nil {
		return a, o, named(err, a.Name)
	}
	// resolve asks for the image's architecture; the allocation was made without.
	o.Request = a.Request
	return a, o, nil
}

// runsOn refuses an image that is for other processors.
func (e *Engine) runsOn(ctx context.Context, image string, node NodeID) error {
	i, err := e.findImage(ctx, image)
	if err != nil {
		return err
	}
	n, err := e.Node(ctx, node)
	if err != nil {
		return err
	}
	if i.Arch != "" && n.Hardware.Arch != "" && i.Arch != n.Hardware.Arch {
		return &Error{Op: "deploy image " + image, Node: n.ID, Kind: Invalid, Err: fmt.Errorf("it is for %s, and the node has %s", i.Arch, n.Hardware.Arch), Hint: "use an image for " + n.Hardware.Arch + ", or take another server"}
	}
	return nil
}

// replacing fills in what an order leaves as it is. An order afresh leaves nothing: a
// deploy with defaults of its own time would be another order when it is gone on with.
func replacing(a Allocation, o Order) Order {
	o.ID, o.Owner, o.Name, o.Request = a.ID, a.Owner, a.Name, a.Request
	if a.Order == nil || o.Afresh {
		return o
	}
	keep := func(to *string, there string) {
		if *to == "" {
			*to = there
		}
	}
	keep(&o.Image, a.Order.Image)
	keep(&o.Hostname, a.Order.Hostname)
	keep(&o.SSHUser, a.Order.SSHUser)
	if o.SSHPort == 0 {
		o.SSHPort = a.Order.SSHPort
	}
	if len(o.Keys) == 0 {
		o.Keys = a.Order.Keys
	}
	return o
}

// asOrdered says whether what is deployed, or being deployed, is what is ordered.
func (c *creation) asOrdered(a Allocation) bool {
	return a.Order != nil && a.Order.Image == c.deploy.Image && len(orderDifferences(*a.Order, c.deploy)) == 0
}

// drop gives up a deploy of another order, whose worker is dead: nobody is going to ask
// for that one again.
func (e *Engine) drop(tx Tx, at Attempt, n *Node, a *Allocation) error {
	if err := endAttempt(tx, at, Redeploy); err != nil {
		return err
	}
	return e.advance(tx, n, a, GiveUp, "its worker died, and another order takes its place")
}
