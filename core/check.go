package core

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// picture is all that the invariants are about, as it stood at one moment.
type picture struct {
	now         time.Time
	nodes       []Node
	live        []Allocation // neither released nor expired
	ended       []Allocation // those of them that keep secrets
	authorities []Authority
	leases      map[NodeID]Lease
	attempts    map[AttemptID]Attempt // not ended, a node's last one, or one that keeps secrets
	stories     map[NodeID]*story
}

func (p *picture) story(id NodeID) *story {
	s, ok := p.stories[id]
	if !ok {
		s = newStory()
		p.stories[id] = s
	}
	return s
}

// The names of what may be broken: the invariants of docs/architecture.md, the fence,
// the story that the events tell, and the store's own files.
const (
	invariantOneOwner    = "OneOwner"
	invariantClean       = "CleanBeforeAvailable"
	invariantNothingLost = "NothingLost"
	invariantSecrets     = "NoSecretLeaks"
	invariantFence       = "Fence"
	invariantStory       = "Story"
	invariantWhole       = "WholeStore"
	// Overdue breaks nothing: somebody can still do what nobody has done.
	Overdue = "Overdue"
)

// overdue is how long work may be nobody's, or a deadline past, before it is told: long
// after the next command would have seen to it.
const overdue = time.Hour

// violations is what is broken in a picture. open says whether the store's key opens a
// sealed value.
func (p *picture) violations(open func(Sealed) error) []Violation {
	c := &checkup{picture: p}
	c.ownership()
	c.names()
	for _, n := range p.nodes {
		c.work(n)
		c.clean(n)
		c.storyOf(n)
	}
	c.waiting()
	c.fence()
	c.secrets(open)
	slices.SortStableFunc(c.found, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Invariant, b.Invariant), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Allocation, b.Allocation))
	})
	return c.found
}

// checkup gathers what is found in one picture.
type checkup struct {
	*picture
	found []Violation
}

func (c *checkup) add(invariant string, n NodeID, a AllocationID, next, format string, args ...any) {
	c.found = append(c.found, Violation{Invariant: invariant, Node: n, Allocation: a, What: fmt.Sprintf(format, args...), Next: next})
}

const (
	nextReport    = "touch neither node nor machine until it is understood; copy the store ('metalpool backup FILE') and report it with 'metalpool node events NODE'"
	nextDamaged   = "stop all that use the store, keep a copy of it as it is, and restore a backup: 'metalpool restore FILE'; 'metalpool help store' says more"
	nextReconcile = "run 'metalpool reconcile' on a host that reaches the node's BMC"
)

// ownership checks OneOwner: nodes and live allocations point at each other, and
// agree about the state.
func (c *checkup) ownership() {
	nodes, live := map[NodeID]Node{}, map[AllocationID]Allocation{}
	for _, n := range c.nodes {
		nodes[n.ID] = n
	}
	for _, a := range c.live {
		live[a.ID] = a
	}
	for _, n := range c.nodes {
		bad := func(format string, args ...any) {
			c.add(invariantOneOwner, n.ID, n.Allocation, nextReport, format, args...)
		}
		a, there := live[n.Allocation]
		switch {
		case n.State.Owned() != (n.Allocation != ""):
			bad("is %s with allocation %q", n.State, n.Allocation)
		case n.Allocation == "":
		case !there:
			bad("belongs to an allocation that is not there or has ended")
		case a.Node != n.ID:
			bad("belongs to an allocation that holds %q", a.Node)
		case a.State != n.State:
			bad("is %s while its allocation is %s", n.State, a.State)
		}
	}
	holders := map[NodeID]AllocationID{}
	for _, a := range c.live {
		if a.State == Waiting && a.Node == "" {
			continue
		}
		n, there := nodes[a.Node]
		switch other := holders[a.Node]; {
		case !there:
			c.add(invariantNothingLost, a.Node, a.ID, nextReport, "is %s on a node that is not in the inventory", a.State)
		case other != "":
			c.add(invariantOneOwner, a.Node, a.ID, nextReport, "holds the node that %s holds, too", other)
		case n.Allocation != a.ID:
			c.add(invariantNothingLost, a.Node, a.ID, nextReport, "is %s, and its node belongs to %q", a.State, n.Allocation)
		}
		holders[a.Node] = a.ID
	}
}

func (c *checkup) names() {
	seen := map[[2]string]AllocationID{}
	for _, a := range c.live {
		key := [2]string{a.Owner, a.Name}
		if other, taken := seen[key]; taken {
			c.add(invariantNothingLost, a.Node, a.ID, nextReport, "%s/%s is %s as well", a.Owner, a.Name, other)
		}
		seen[key] = a.ID
	}
}

// work checks that somebody can go on with a node at work, and that somebody does.
func (c *checkup) work(n Node) {
	if !n.State.Working() {
		return
	}
	at, there := c.attempts[n.Attempt]
	job := map[State]Job{Cleaning: JobClean, Preparing: JobPrepare, Deploying: JobDeploy}[n.State]
	bad := func(format string, args ...any) {
		c.add(invariantNothingLost, n.ID, n.Allocation, nextReport, format, args...)
	}
	switch {
	case !there:
		bad("is %s without an attempt that somebody could go on with", n.State)
		return
	case at.Node != n.ID || !at.EndedAt.IsZero():
		bad("is %s under the attempt %s, which ended or is another node's", n.State, at.ID)
		return
	case at.Job != job:
		bad("is %s under the attempt %s, which is to %s", n.State, at.ID, at.Job)
	case n.State == Deploying && at.Allocation != n.Allocation:
		bad("is %s under the attempt %s, which is of the allocation %q", n.State, at.ID, at.Allocation)
	}
	last := n.Since
	if l := c.leases[n.ID]; l.Expires.After(last) {
		last = l.Expires
	}
	if c.now.Sub(last) > overdue {
		c.add(Overdue, n.ID, n.Allocation, nextReconcile, "is %s, and nobody has worked on it since %s", n.State, last.Format(time.RFC3339))
	}
}

func (c *checkup) clean(n Node) {
	if n.State != Available && n.State != Allocated {
		return
	}
	if why := c.story(n.ID).touched; why != "" {
		c.add(invariantClean, n.ID, n.Allocation, "keep it out: 'metalpool node maintenance NODE', then '--off', which erases it; where a machine has it, release that", "%s, and it was not verifiably erased since", why)
	}
}

// storyOf checks that the events led where the node is.
func (c *checkup) storyOf(n Node) {
	switch s := c.story(n.ID); {
	case !s.told:
		c.add(invariantStory, n.ID, n.Allocation, nextReport, "is %s, and no event tells how it came there", n.State)
	case s.state != n.State:
		c.add(invariantStory, n.ID, n.Allocation, nextReport, "is %s, and its last event left it %s", n.State, s.state)
	case s.broken != "":
		c.add(invariantStory, n.ID, n.Allocation, nextReport, "%s", s.broken)
	}
}

// waiting checks that what has a deadline is let go of when that is over.
func (c *checkup) waiting() {
	for _, a := range c.live {
		if (a.State == Waiting || a.State == Allocated) && !a.Deadline.IsZero() && c.now.Sub(a.Deadline) > overdue {
			c.add(Overdue, a.Node, a.ID, nextReconcile, "is %s, was to be given up at %s, and nobody has done that", a.State, a.Deadline.Format(time.RFC3339))
		}
	}
}

// fence checks that generations only grow, and that leases are of nodes.
func (c *checkup) fence() {
	states := map[NodeID]State{}
	for _, n := range c.nodes {
		states[n.ID] = n.State
		s, l := c.story(n.ID), c.leases[n.ID]
		switch {
		case s.back != "":
			c.add(invariantFence, n.ID, n.Allocation, nextReport, "%s", s.back)
		case l.Generation < s.generation:
			c.add(invariantFence, n.ID, n.Allocation, nextReport, "its lease is of generation %d, and its events tell of generation %d", l.Generation, s.generation)
		}
		held := l.Holder != "" && c.now.Before(l.Expires)
		// The power of a machine that is in use is turned under a lease.
		if held && !n.State.Working() && n.State != Deployed {
			c.add(invariantFence, n.ID, n.Allocation, nextReport, "is %s, and leased to %s until %s", n.State, l.Holder, l.Expires.Format(time.RFC3339))
		}
	}
	for id := range c.leases {
		// The lease of a node that was retired stays.
		if _, there := states[id]; !there && c.story(id).state != Gone {
			c.add(invariantFence, id, "", nextReport, "has a lease, is not in the inventory, and was never retired")
		}
	}
}
