package core

import (
	"context"
	"time"
)

// Service is what an adapter needs of a pool. The engine is one, inside the calling
// process; the client of a `metalpool serve` is another.
type Service interface {
	// Check looks whether an order could be served, and allocates nothing.
	Check(ctx context.Context, o Order) error
	// Match tells of every node of a pool whether it would do, and why not. A node that
	// is asked for by name and is not in the pool is refused.
	Match(ctx context.Context, o Order) ([]Candidate, error)
	Node(ctx context.Context, id NodeID) (Node, error)
	Nodes(ctx context.Context, f NodeFilter) ([]Node, error)
	Pools(ctx context.Context) ([]Pool, error)
	Images(ctx context.Context) ([]Image, error)
	// Create takes a node and deploys it; it returns when the machine answers SSH
	// with the host key of this attempt. Called again with the same ID, or the same
	// owner, name and request while that one is Deploying or Failed, it goes on, and
	// the new ID stands for that machine as well.
	// An error leaves the allocation to be found by its ID: Release gives it back.
	Create(ctx context.Context, o Order, report Reporter) (Machine, error)
	// Allocate takes a node and leaves its hardware as it is. The allocation expires
	// unless it is deployed within o.AcquireTimeout.
	Allocate(ctx context.Context, o Order, report Reporter) (Machine, error)
	// Deploy puts an OS on the node that the allocation o.ID has: the first one, another
	// one, or the same anew; other disks stay as they are. It never moves to another
	// node. What o leaves out of image, keys, user, port and host name stays as it was,
	// unless it is Afresh; user data does not, since nobody has kept it, and the profile is the
	// pool's then. Owner, name and request are the allocation's own. Called again with the same order it goes on, and is done where
	// that one was deployed; see Order.Revision.
	Deploy(ctx context.Context, o Order, report Reporter) (Machine, error)
	// CheckDeploy looks whether Deploy would take an order, and touches nothing.
	CheckDeploy(ctx context.Context, o Order) error
	// Change renames and labels a machine, whatever state it is in, takes other
	// requirements down that its node satisfies, and changes who may log in.
	Change(ctx context.Context, id AllocationID, c MachineChange) (Machine, error)
	// Release gives a machine up. It returns once Cleaning is committed and Off was
	// read back, or, with WaitClean, when the node is Available or Quarantined. It is
	// idempotent; an unknown ID gets a tombstone that refuses a later Create.
	Release(ctx context.Context, id AllocationID, o ReleaseOptions, report Reporter) error
	// Machine finds an allocation by ID, whatever its state.
	Machine(ctx context.Context, id AllocationID) (Machine, error)
	// MachineNamed finds an unreleased allocation.
	MachineNamed(ctx context.Context, owner, name string) (Machine, error)
	Machines(ctx context.Context, f AllocationFilter) ([]Machine, error)
	// Power asks the BMC now; one request where its links are known.
	Power(ctx context.Context, id AllocationID) (PowerState, error)
	SetPower(ctx context.Context, id AllocationID, verb PowerVerb) error
	Close() error
}

// Order is one machine asked for.
type Order struct {
	ID       AllocationID // made and kept by the caller before Create
	Owner    string
	Name     string
	Request  Request
	Image    string // default: the pool's
	Hostname string // default: Name
	SSHUser  string // default: the image's login user
	SSHPort  int    // default: the node's
	Keys     []string
	UserData []byte // a secret: sealed in the store
	// PostDeploy is a script of the user's own that is run on the machine once all else is
	// done. A secret as user data is; what it prints is not.
	PostDeploy []byte
	// WaitFor is how far the machine is to come before it counts as deployed; empty is
	// UntilSSH.
	WaitFor WaitFor
	// Profile is the choice of the operator's steps, of those that the pool lets users
	// name; default: the pool's.
	Profile string
	// Labels are the owner's notes on a machine. They do not tell two orders apart.
	Labels map[string]string
	// Quota is how many unreleased allocations the owner may have, this one included, in
	// all pools; 0: no limit. A pool's own is looked at besides.
	Quota int
	// Revision tells two orders apart that ask for the same.
	Revision string
	// Afresh has Deploy fill in what is left out as for a machine that was never deployed.
	Afresh bool
	// Wait is how long to queue, first come first served, while no node is free.
	Wait time.Duration
	// KeepsPlace has the place in the queue outlast a call that is cut off by its context,
	// until it lapses: the same order is on its way to another process, or is there.
	KeepsPlace bool
	// AcquireTimeout is how long an allocation may stay Allocated; 0 is 5 minutes.
	AcquireTimeout time.Duration
	// TTL is how long the machine is kept once it has a node: then it is released, whatever
	// runs on it. 0 is until somebody releases it. It does not tell two orders apart.
	TTL time.Duration
	// DeployTimeout bounds the whole deploy, moves to other nodes included; 0 is 2 hours.
	DeployTimeout time.Duration
	// Served is an order that a server has taken for somebody: once it has a node, the pool's
	// servers bring it to its end, whichever of them and whether he asks again or not.
	Served bool
}

// MachineChange is what of a machine may change while it runs; nil leaves it.
type MachineChange struct {
	Name   *string
	Labels map[string]*string // nil deletes the label
	// Labelled are labels that the machine has to have now, "" for one that it has not:
	// else somebody else has changed it meanwhile, which is Busy, and nothing is changed.
	// A change that is made already is no such case.
	Labelled map[string]string
	// Keys replace the keys that may log in, on the machine itself. It has to run, and
	// its pool has to keep a management key. Keys that others put there stay.
	Keys []string
	// Request is what the machine's node is asked to have from now on. It must have that
	// already: a machine keeps its node, and its pool.
	Request *Request
	// TTL is how long it is kept from now on; 0 is until somebody releases it.
	TTL *time.Duration
}

// ReleaseOptions says how to give a machine up.
type ReleaseOptions struct {
	WaitClean bool
	Reason    string
}

// Machine is what the caller sees of an allocation.
type Machine struct {
	ID     AllocationID      `json:"id"`
	Owner  string            `json:"owner"`
	Name   string            `json:"name"`
	State  State             `json:"state"`
	Reason string            `json:"reason,omitempty"`
	Pool   string            `json:"pool"`
	Node   NodeID            `json:"node,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Image  string            `json:"image,omitempty"`
	// Profile is the choice of steps that its order names; empty is the pool's.
	Profile string `json:"profile,omitempty"`
	// Steps are the operator's that it was deployed with, without those that were gone on
	// without. What was declared since is not among them until it is deployed again.
	Steps []string `json:"steps,omitempty"`
	// Request is what its node was chosen by; Hostname is what it was last deployed with.
	// Keys may log in, those of a change that broke among them: they may be there.
	Request  Request  `json:"request,omitzero"`
	Hostname string   `json:"hostname,omitempty"`
	Keys     []string `json:"keys,omitempty"`
	Access   Access   `json:"access,omitzero"`
	Moves    []NodeID `json:"moves,omitempty"`
	// Settled is whether it was ever Deployed: its node's other disks may hold data, also
	// after a redeploy that failed.
	Settled bool `json:"settled,omitempty"`
	// Managed is whether metalpool has a way in that stays, so that keys can be changed
	// while the machine runs. The pool's policy when it was deployed decided that.
	Managed bool `json:"managed,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	// Until is when it is given up by itself; zero: never.
	Until   time.Time `json:"until,omitzero"`
	EndedAt time.Time `json:"ended_at,omitzero"`
	// OwnerSeen is when its owner last asked for something. Machines tells it, and nothing
	// else; zero: never since that is kept.
	OwnerSeen time.Time `json:"owner_seen,omitzero"`
}

// Progress is a moment of work under way, for people. Total 0 means unknown.
type Progress struct {
	Node    NodeID
	Step    string
	Message string
	Done    Bytes
	Total   Bytes
}

// Amount writes how much that is, of what the step is measured in.
func (p Progress) Amount(b Bytes) string {
	if p.OfDisks() {
		return DiskSize(b)
	}
	return b.String()
}

// OfDisks reports whether the step is measured by the disks that it does, as they are
// sold, and not by what it moves.
func (p Progress) OfDisks() bool { return p.Step == stepErase }

// Reporter takes Progress; it must return quickly. nil is allowed.
type Reporter func(Progress)
