package core

import (
	"context"
	"io"
)

// Operator is what whoever runs a pool needs of it, beyond what an adapter does. As
// with Service, the engine is one, and the client of a `metalpool serve` another.
type Operator interface {
	Service

	// Enroll adds a server to the inventory; what it reads and writes of it, see
	// Engine.Enroll.
	Enroll(ctx context.Context, in Enrollment, report Reporter) (Node, error)
	// SetNode changes what was declared about a node. The hardware is not touched.
	SetNode(ctx context.Context, id NodeID, c NodeChange) (Node, error)
	// Repair sends a Quarantined node through a clean, Resume one in Maintenance.
	Repair(ctx context.Context, id NodeID, reason string) (Node, error)
	Resume(ctx context.Context, id NodeID, reason string) (Node, error)
	// Pause takes an Available node aside.
	Pause(ctx context.Context, id NodeID, reason string) (Node, error)
	// Drift tells how a node differs from what its profile sets up; SetUp brings an
	// Available one back.
	Drift(ctx context.Context, id NodeID) (Drift, error)
	SetUp(ctx context.Context, id NodeID, reason string) (Node, error)
	// BIOS lists what a node's firmware can be set to, and is.
	BIOS(ctx context.Context, id NodeID) ([]BIOSAttribute, error)
	// Retire takes a node out of the inventory; its events stay.
	Retire(ctx context.Context, id NodeID, reason string) error
	// AwaitRest waits until nobody cleans or prepares a node, and does that work itself
	// where its worker is gone. A node that has an owner is at rest.
	AwaitRest(ctx context.Context, id NodeID, report Reporter) (Node, error)
	// Console opens a node's serial console, to be read; the caller closes it.
	Console(ctx context.Context, id NodeID) (io.ReadCloser, error)
	// ConsoleTail is the last lines of a node's console, without control characters.
	ConsoleTail(ctx context.Context, id NodeID, lines int) ([]string, error)

	Pool(ctx context.Context, name string) (Pool, error)
	// SetPool declares a pool by p.DeclaredBy, or changes its policy. AddPool refuses to
	// change one.
	SetPool(ctx context.Context, p Pool) error
	AddPool(ctx context.Context, p Pool) error
	// RemovePool removes a pool that has no nodes. What another than by has declared goes
	// only by takeOver.
	RemovePool(ctx context.Context, name string, by Declarer, takeOver bool) error

	Image(ctx context.Context, name string) (Image, error)
	// AddImage examines an image file and puts it into the catalogue, by i.DeclaredBy. A
	// path is one of the host that deploys.
	AddImage(ctx context.Context, i Image, progress func(done, total Bytes)) (Image, error)
	// RemoveImage takes an image out of the catalogue, unless a pool or a deploy uses it.
	// What another than by has declared goes only by takeOver.
	RemoveImage(ctx context.Context, name string, by Declarer, takeOver bool) error

	// Apply has the pool be as a declaration says, all of it or nothing, and tells what
	// that changes.
	Apply(ctx context.Context, d Declaration, o ApplyOptions) ([]Declared, error)
	Step(ctx context.Context, name string) (Step, error)
	Steps(ctx context.Context) ([]Step, error)
	Profile(ctx context.Context, name string) (Profile, error)
	Profiles(ctx context.Context) ([]Profile, error)
	// RemoveStep removes a step that no profile has; RemoveProfile a profile that no pool
	// has. What another than by has declared goes only by takeOver.
	RemoveStep(ctx context.Context, name string, by Declarer, takeOver bool) error
	RemoveProfile(ctx context.Context, name string, by Declarer, takeOver bool) error

	Events(ctx context.Context, f EventFilter) ([]Event, error)
	// Stats sums up how long the phases of deploys and cleans took.
	Stats(ctx context.Context, f StatsFilter) ([]PhaseStats, error)
	// Stages tells of every node at work how far that is.
	Stages(ctx context.Context) ([]Stage, error)
	// Reconcile finishes the work of dead workers; one outcome per node.
	Reconcile(ctx context.Context, o ReconcileOptions, report Reporter) ([]Outcome, error)
	// CreateToken makes a token for a server of the pool; secret is told only here.
	CreateToken(ctx context.Context, o TokenOrder) (t Token, secret string, err error)
	// Tokens lists all that were ever made; RevokeToken ends one, by its ID.
	Tokens(ctx context.Context) ([]Token, error)
	RevokeToken(ctx context.Context, id string) (Token, error)
	// Audit lists who did what through a server.
	Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error)
	// Verify looks whether the invariants hold, and changes nothing.
	Verify(ctx context.Context) ([]Violation, error)
}

var _ Operator = (*Engine)(nil)
