package core

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Engine takes, deploys, cleans and returns nodes. It keeps nothing that matters
// outside the store: any other engine on the same store can go on where it died.
type Engine struct {
	store    auditedStore
	sealer   Sealer
	backends map[string]Connector
	steps    map[StepKind]StepRunner
	deployer Deployer
	timing   Timing
	log      *slog.Logger
	detach   func() (started bool, err error)
	referred func(ctx context.Context, ref Reference) (string, error)
	findable func(ref Reference) error
	serves   bool
	process  string // who we are in leases and events: user@host/pid

	boots   sync.Map // boot ID → *work, for what the deployer tells of agents
	workers sync.Map // NodeID → *work, for a release that takes its lease
	seen    sync.Map // owner → time.Time, when it was last looked whether he was
	turns   turns    // of the operator's steps
}

// Config is what an engine is made of.
type Config struct {
	Store    Store
	Sealer   Sealer
	Backends map[string]Connector    // by Endpoint.Backend
	Steps    map[StepKind]StepRunner // what does steps of each kind
	Deployer Deployer
	Timing   Timing // zero fields take defaults
	Log      *slog.Logger
	// Detach starts a worker that outlives this process and finishes what is left
	// (a clean, after `rm` has returned), unless one is there. Nil: the next command does.
	Detach func() (started bool, err error)
	// Resolve finds passwords that nodes only refer to; nil finds none.
	Resolve func(ctx context.Context, ref Reference) (password string, err error)
	// Findable says why a reference leads nowhere on this host, as far as that is known
	// without running a program, and keeps nothing of what it leads to; nil knows nothing.
	Findable func(ref Reference) error
	// Serves is whether this process is a server of the pool, which goes on with orders that
	// another server has taken; see takeover.go.
	Serves bool
}

// Timing holds the periods that make leases safe. Every process on one store must
// use the same Lease and Call.
type Timing struct {
	Lease time.Duration // how long a lease lasts unless renewed; 60s
	Call  time.Duration // the longest single call to a BMC; 20s
	Grace time.Duration // how long a dead worker's deploy waits to be adopted; 10m
	Retry time.Duration // the pause before a failed step is tried again; 2s
	Queue time.Duration // how often a queued caller looks again; 1s
	Place time.Duration // how long a place in the queue lasts that nobody renews; 15s
}

func (t Timing) orDefaults() Timing {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&t.Lease, time.Minute)
	set(&t.Call, 20*time.Second)
	set(&t.Grace, 10*time.Minute)
	set(&t.Retry, 2*time.Second)
	set(&t.Queue, time.Second)
	set(&t.Place, 15*time.Second)
	return t
}

// OrDefaults puts the default of each phase where it has none of its own.
func (t Timeouts) OrDefaults() Timeouts {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&t.Power, 2*time.Minute)
	set(&t.CheckIn, 20*time.Minute)
	set(&t.Write, time.Hour)
	set(&t.SSH, 20*time.Minute)
	set(&t.Kexec, min(10*time.Minute, t.SSH/2))
	set(&t.Erase, 24*time.Hour)
	return t
}

// New makes an engine. It starts nothing.
func New(c Config) *Engine {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Engine{
		store:    auditedStore{c.Store},
		sealer:   c.Sealer,
		backends: c.Backends,
		steps:    c.Steps,
		deployer: c.Deployer,
		timing:   c.Timing.orDefaults(),
		log:      c.Log,
		detach:   c.Detach,
		referred: c.Resolve,
		findable: c.Findable,
		serves:   c.Serves,
		process:  fmt.Sprintf("%s/%d", DefaultOwner(), os.Getpid()),
	}
}

// Info says which store it is.
func (e *Engine) Info() StoreInfo { return e.store.Info() }

// Close closes the store.
func (e *Engine) Close() error { return e.store.Close() }

// NewID makes a random name with a prefix that says what it names.
func NewID(prefix string) string {
	b := make([]byte, 10)
	rand.Read(b) // never fails (crypto/rand)
	return prefix + "-" + hex.EncodeToString(b)
}

func (e *Engine) backend(n Node) (Connector, error) {
	b, ok := e.backends[n.Spec.BMC.Backend]
	if !ok {
		return nil, &Error{Op: "reach", Node: n.ID, Kind: Invalid, Err: fmt.Errorf("no backend %q in this program", n.Spec.BMC.Backend), Hint: "use a build that has it, or enroll the node again"}
	}
	return b, nil
}

// connect opens a conversation with a node's BMC. The caller closes it.
func (e *Engine) connect(ctx context.Context, n Node, fence Fence) (BMC, error) {
	b, err := e.backend(n)
	if err != nil {
		return nil, err
	}
	password, err := e.bmcPassword(ctx, n)
	if n.Spec.BMC.PasswordFrom != "" && err != nil {
		// The node did nothing wrong: another host, or this one later, may find it.
		return nil, &Error{Op: "reach", Node: n.ID, Kind: Transient, Err: err}
	}
	if err != nil {
		return nil, err
	}
	return b.Connect(ctx, n.endpoint(), password, fence)
}

// bmcPassword finds a node's password, anew each time: behind a reference it may have
// changed.
func (e *Engine) bmcPassword(ctx context.Context, n Node) (string, error) {
	if ref := n.Spec.BMC.PasswordFrom; ref != "" {
		password, err := e.resolved(ctx, ref)
		return password, withNode(err, n.ID)
	}
	password, err := e.sealer.Open(n.Spec.BMC.Secret)
	if err != nil {
		return "", &Error{Op: "open BMC password", Node: n.ID, Kind: Internal, Err: err, Hint: "the store's key may have changed; set the password again with 'metalpool node set'"}
	}
	return string(password), nil
}

func (e *Engine) resolved(ctx context.Context, ref Reference) (string, error) {
	if e.referred == nil {
		return "", &Error{Op: "find the BMC's password at " + string(ref), Kind: Invalid, Err: errNoResolver}
	}
	return e.referred(ctx, ref)
}

// keepPassword puts a password that was given, or where to find it, into an endpoint.
func (e *Engine) keepPassword(at *Endpoint, given string) error {
	ref, literal, err := splitPassword(given)
	if err != nil {
		return err
	}
	sealed, err := e.sealer.Seal([]byte(literal))
	if err != nil {
		return err
	}
	at.Secret, at.PasswordFrom = sealed, ref
	return nil
}

// AgentRefused puts a refused check-in into the story of the node whose boot it
// named. The deployer reports it. An agent of an earlier boot is part of that story,
// too; where the boot is nobody's, node is empty.
func (e *Engine) AgentRefused(bootID string, node NodeID, peer, why string) {
	ctx, cancel := context.WithTimeout(context.Background(), e.timing.Call)
	defer cancel()
	if w, ok := e.boots.Load(bootID); ok {
		w.(*work).note(ctx, AgentRefused, stepRamdisk, peer+": "+why)
		return
	}
	if node == "" {
		e.log.Warn("a check-in for no boot of ours was refused", "peer", peer, "why", why)
		return
	}
	err := e.store.Update(ctx, func(tx Tx) error {
		return tx.AddEvent(Event{Node: node, Type: AgentRefused, Step: stepRamdisk, Message: peer + ", started by an earlier boot: " + why, By: e.process})
	})
	if err != nil {
		e.log.Warn("event not kept", "node", node, "peer", peer, "event", why, "error", err)
	}
}

func say(report Reporter, p Progress) {
	if report != nil {
		report(p)
	}
}
