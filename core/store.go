package core

import (
	"context"
	"iter"
	"time"
)

// Store keeps the pool. Every implementation passes storetest.
//
// Update runs fn in one transaction and commits it if fn returns nil; it may run
// fn again when another writer got in between, so fn has no effects but through
// tx, and calls nothing else of the store. An error of fn, or a panic, undoes the
// transaction. When Update returns nil the change survives a power cut. View is the same
// without writing, and may run fn again, too. A lost compare-and-swap is retried by the
// store only where fn returned the ErrConflict it was given.
//
// Writers may run side by side. In an Update, what was read by its key stays as it was
// read until the end, also that it is not there: whoever would change it waits, or one of
// the two is run again. The same holds for the allocations of an owner, once they were
// listed by him. Other lists, and candidates, are as they were when they were read: what
// is decided upon them rests on the swap that follows, or is no harm if it is a moment
// late. A pool, an image, a step or a profile is deleted with no other Update beside that.
type Store interface {
	View(ctx context.Context, fn func(tx Tx) error) error
	Update(ctx context.Context, fn func(tx Tx) error) error
	Info() StoreInfo
	Close() error
}

// StoreInfo is what a store says of itself.
type StoreInfo struct {
	PoolID string // random, made with the store; tags servers against a second pool
	URL    string // without secrets
	Schema int64  // version
	// Sealing is how it stood when the store was opened.
	Sealing Sealing
	// Copy is the ID of the copy that this store was made by; "" where none did.
	Copy string
	// Moved is how it stood when the store was opened.
	Moved Moved
}

// Moved tells that the pool of a store was copied to another one, or is just being, and is
// kept there from then on. The zero Moved: it is kept here.
type Moved struct {
	Copy string    `json:"copy"` // ID of the copy, which the other one has as StoreInfo.Copy
	To   string    `json:"to"`   // without secrets
	At   time.Time `json:"at"`
}

// Sealing is what a store knows of the key that its secrets are sealed with.
type Sealing struct {
	Fingerprint string // "" until the first key comes
	// Digest is the key of the digests, sealed and in base64, where an earlier key made
	// it; empty where the key of Fingerprint does.
	Digest string
}

// Tx is a transaction. What is not there is a NotFound error. Iterators must be
// drained or left before the next call on the same Tx; they hold no lock on rows.
type Tx interface {
	// Now is when the transaction began by the store's clock: the process's for
	// SQLite, the server's for PostgreSQL. It is in UTC and in whole microseconds,
	// which is what times are stored in.
	Now() time.Time

	Node(id NodeID) (Node, error)
	// Nodes lists in the order of ID.
	Nodes(f NodeFilter) iter.Seq2[Node, error]
	// Candidates lists the Available nodes of a pool, those of the least Worth first,
	// each node once. Among those of one Worth it starts at a random place, so that
	// racers do not collide.
	Candidates(pool string) iter.Seq2[Node, error]
	// InsertNode refuses with Exists an ID, a BMC address or an identity that is
	// there already, naming the node that has it.
	InsertNode(n Node) error
	// SwapNode writes the changing fields where the stored Version is n.Version, and
	// stores n.Version+1; else ErrConflict.
	SwapNode(n Node) error
	// PutSpec writes Spec, Hardware and Pool, whatever the version. It refuses as
	// InsertNode does.
	PutSpec(n Node) error
	// DeleteNode leaves the node's lease, so that its generation still grows should
	// the ID come back, and all that was told of the node.
	DeleteNode(id NodeID) error

	// Lease is the zero Lease where nobody ever worked on the node.
	Lease(id NodeID) (Lease, error)
	Leases() iter.Seq2[Lease, error]
	// SwapLease writes l where the stored generation is before; else ErrConflict.
	SwapLease(l Lease, before uint64) error

	Allocation(id AllocationID) (Allocation, error)
	// AllocationNamed finds the one unreleased allocation of that owner and name.
	AllocationNamed(owner, name string) (Allocation, error)
	// Allocations lists in the order of their insertion.
	Allocations(f AllocationFilter) iter.Seq2[Allocation, error]
	// InsertAllocation refuses with Exists an ID that is there, or an owner and name
	// that an unreleased allocation has. So does a Node that another unreleased
	// allocation holds, here and in SwapAllocation.
	InsertAllocation(a Allocation) error
	SwapAllocation(a Allocation) error

	// Owner is one who was never seen where there is none of that name.
	Owner(name string) (Owner, error)
	// Owners lists in the order of their names.
	Owners() iter.Seq2[Owner, error]
	PutOwner(o Owner) error

	Attempt(id AttemptID) (Attempt, error)
	PutAttempt(a Attempt) error
	// Attempts lists in the order of their insertion.
	Attempts() iter.Seq2[Attempt, error]

	// AddEvent keeps an event as Event.Bounded has it; Seq and At are set by the store.
	// Where a node, or an allocation without one, has more than MostEvents, or they tell
	// more than MostTold, the oldest are left out soon after, see LeaveOut.
	AddEvent(e Event) error
	// Events lists in order; with Limit the last ones, and with First the first ones of these.
	Events(f EventFilter) iter.Seq2[Event, error]

	Pool(name string) (Pool, error)
	Pools() iter.Seq2[Pool, error]
	PutPool(p Pool) error
	DeletePool(name string) error

	Image(name string) (Image, error)
	Images() iter.Seq2[Image, error]
	PutImage(i Image) error
	DeleteImage(name string) error

	// Steps, like profiles, are listed in the order of their names.
	Step(name string) (Step, error)
	Steps() iter.Seq2[Step, error]
	PutStep(s Step) error
	DeleteStep(name string) error

	Profile(name string) (Profile, error)
	Profiles() iter.Seq2[Profile, error]
	PutProfile(p Profile) error
	DeleteProfile(name string) error

	// Token finds a token by its Hash.
	Token(hash string) (Token, error)
	// Tokens lists in the order of Hash.
	Tokens() iter.Seq2[Token, error]
	// PutToken stores it under its Hash. None is ever deleted.
	PutToken(t Token) error

	Authority(name string) (Authority, error)
	// Authorities lists in the order of their names.
	Authorities() iter.Seq2[Authority, error]
	PutAuthority(a Authority) error

	AddAudit(e AuditEntry) error // Seq and At are set by the store
	// Audit lists in order; with Limit the last ones.
	Audit(f AuditFilter) iter.Seq2[AuditEntry, error]

	// PutSealing records another key. Who opened the store with the one before is refused
	// with Denied from then on, in every transaction.
	PutSealing(s Sealing) error

	// PutMoved records where the pool is kept from now on. Who has the store open is
	// refused with Invalid from then on, in every transaction, but for this very Store.
	PutMoved(m Moved) error
}

// NodeFilter selects nodes; zero fields select all.
type NodeFilter struct {
	Pool   string
	States []State
}

// AllocationFilter selects allocations; zero fields select all.
type AllocationFilter struct {
	Owner  string
	Pool   string
	States []State
	Live   bool // only those not Released or Expired
	// EndsBy selects those that are live and are to end by then.
	EndsBy time.Time
}

// EventFilter selects events; zero fields select all.
type EventFilter struct {
	Node       NodeID
	Allocation AllocationID
	Owner      string    // only those of his allocations
	After      int64     // only Seq greater than this
	Since      time.Time // not before
	Limit      int       // the last ones, at most so many
	// First selects, of all these, the first ones, at most so many: a page. The next one has
	// After of the last of it.
	First int
	// Whole selects all that the transaction sees. Else those are left out that one with a
	// lower Seq may still come in before: whoever goes on after the last one misses none.
	Whole bool
}

// ErrConflict is a lost compare-and-swap. It is returned through Update, which
// runs its function again.
var ErrConflict = &Error{Op: "write", Kind: Busy, Hint: "another writer got in between; try again"}
