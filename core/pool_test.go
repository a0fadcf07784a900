package core_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
	"github.com/metalpool/metalpool/core/placetest"
	"github.com/metalpool/metalpool/core/steps"
)

// timing makes the lease's arithmetic easy to follow in a story. Its periods pass
// only in a bubble of testing/synctest, where they cost nothing.
var timing = core.Timing{Lease: 60 * time.Second, Call: 20 * time.Second, Grace: 10 * time.Minute, Retry: 2 * time.Second, Queue: time.Second}

// pool is a rack with a store, for engines to work on.
type pool struct {
	t       *testing.T
	rack    *enginetest.Rack
	store   core.Store
	at      placetest.Place
	address string
	// programs do steps on the host of the engine, where there are to be some.
	programs map[core.StepKind]core.StepRunner
}

// newPool is newPoolAt in a file.
func newPool(t *testing.T, servers int) *pool {
	t.Helper()
	return newPoolAt(t, placetest.Files{}, servers)
}

// newPoolAt enrolls and erases every server of a new rack. It runs in a bubble.
func newPoolAt(t *testing.T, at placetest.Place, servers int) *pool {
	t.Helper()
	p := bareRackAt(t, at, servers)
	e, _ := p.engine()
	for _, s := range p.rack.Servers() {
		if _, err := e.Enroll(t.Context(), core.Enrollment{ID: s.ID, URL: s.BMC(), User: "root", Password: "calvin", Erase: true}, nil); err != nil {
			t.Fatal(err)
		}
	}
	p.reconcile()
	p.sound()
	return p
}

// bareRack is bareRackAt in a file.
func bareRack(t *testing.T, servers int) *pool {
	t.Helper()
	return bareRackAt(t, placetest.Files{}, servers)
}

// bareRackAt has a store with an image, and no node yet.
func bareRackAt(t *testing.T, at placetest.Place, servers int) *pool {
	t.Helper()
	p := &pool{t: t, rack: enginetest.NewRack(servers), at: at, address: at.Fresh(t, nil)}
	p.rack.POST = 30 * time.Second
	p.store = p.open()
	e, _ := p.engine()
	if _, err := e.AddImage(t.Context(), core.Image{Name: "debian", Source: "/debian.img", Arch: "amd64", User: "debian"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "debian"}); err != nil {
		t.Fatal(err)
	}
	return p
}

// preset is a pool at rest, to begin many stories from.
type preset struct {
	at      placetest.Place
	picture placetest.Picture // of the store
	rack    *enginetest.Rack
	calls   int // that one story makes, where that was counted
}

// makePreset makes a pool and lets prepare bring it where the stories begin.
func makePreset(t *testing.T, at placetest.Place, servers int, prepare func(p *pool)) (made preset) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPoolAt(t, at, servers)
		prepare(p)
		if err := p.store.Close(); err != nil {
			t.Fatal(err)
		}
		made = preset{at: at, rack: p.rack, picture: at.Picture(t, p.address)}
	})
	return made
}

// pass lets time pass. These tests run in bubbles, where that takes none.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's clock
}

// pool is a pool in the preset's state. It runs in a bubble.
func (m preset) pool(t *testing.T) *pool {
	t.Helper()
	pass(time.Hour) // a bubble begins at the same time as that of the preset did
	p := &pool{t: t, rack: m.rack.Clone(), at: m.at, address: m.at.Fresh(t, m.picture)}
	p.store = p.open()
	return p
}

// open opens the pool's store once more, as another process does.
func (p *pool) open() core.Store {
	p.t.Helper()
	return p.openBy(nil)
}

// openBy opens it with another clock than ours.
func (p *pool) openBy(clock func() time.Time) core.Store {
	p.t.Helper()
	store, err := placetest.Open(p.t.Context(), p.address, placetest.Options{Now: clock})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if err := store.Close(); err != nil {
			p.t.Error(err)
		}
	})
	return store
}

// engine starts an engine in a process of its own.
func (p *pool) engine() (*core.Engine, *enginetest.Host) {
	host := p.rack.Host()
	return p.engineOn(host, p.store, cloak{}, nil), host
}

func (p *pool) engineOn(host *enginetest.Host, store core.Store, sealer core.Sealer, log *slog.Logger) *core.Engine {
	runners := steps.Runners(nil)
	runners[core.KindHTTP] = steps.HTTP{Client: &http.Client{Transport: host.Web()}}
	for kind, runs := range p.programs {
		runners[kind] = host.Program(runs)
	}
	return core.New(core.Config{
		Store: host.Store(store), Sealer: sealer, Deployer: host, Timing: timing, Log: log,
		Backends: map[string]core.Connector{"redfish": host}, Steps: runners, Resolve: secretOf,
	})
}

// cloak is a quick sealer: sealed text is not found where plain text is looked for.
type cloak struct{}

func (cloak) Seal(plain []byte) (core.Sealed, error) { return mask(plain), nil }
func (cloak) Open(s core.Sealed) ([]byte, error)     { return mask(s), nil }
func (cloak) Digest(plain []byte) []byte             { sum := sha256.Sum256(plain); return sum[:] }
func (cloak) Fingerprint() string                    { return "cloak" }

func mask(text []byte) []byte {
	masked := make([]byte, len(text))
	for i, b := range text {
		masked[i] = b ^ 0x55
	}
	return masked
}

// order is a complete order of a machine.
func order(id, name string) core.Order {
	return core.Order{ID: core.AllocationID(id), Owner: "ann", Name: name, Keys: []string{"ssh-ed25519 AAAA ann"}}
}

// reconcile lets another process finish all that is left, however long it takes. A
// worker that is alive and waits for a server that never starts takes an hour.
func (p *pool) reconcile() {
	p.t.Helper()
	e, _ := p.engine()
	for range 120 {
		_, err := e.Reconcile(p.t.Context(), core.ReconcileOptions{}, nil)
		if err != nil {
			p.t.Logf("reconcile: %v", err)
		}
		if len(p.nodes(core.Cleaning, core.Deploying, core.Preparing)) == 0 {
			return
		}
		pass(time.Minute)
	}
	p.t.Fatalf("still at work after two hours: %v\n%s", p.states(), p.story())
}

func (p *pool) nodes(states ...core.State) []core.Node {
	p.t.Helper()
	e := core.New(core.Config{Store: p.store})
	nodes, err := e.Nodes(context.WithoutCancel(p.t.Context()), core.NodeFilter{States: states})
	if err != nil {
		p.t.Fatal(err)
	}
	return nodes
}

func (p *pool) node(id core.NodeID) core.Node {
	p.t.Helper()
	for _, n := range p.nodes() {
		if n.ID == id {
			return n
		}
	}
	p.t.Fatalf("no node %s", id)
	return core.Node{}
}

func (p *pool) states() map[core.NodeID]core.State {
	states := map[core.NodeID]core.State{}
	for _, n := range p.nodes() {
		states[n.ID] = n.State
	}
	return states
}

// wantStates checks the states of nodes, each as "n1 Available".
func (p *pool) wantStates(want ...string) {
	p.t.Helper()
	var have []string
	for id, state := range p.states() {
		have = append(have, fmt.Sprintf("%s %s", id, state))
	}
	slices.Sort(have)
	if !slices.Equal(have, want) {
		p.t.Errorf("nodes are %q, want %q\n%s", have, want, p.story())
	}
}

func (p *pool) machine(id core.AllocationID) core.Machine {
	p.t.Helper()
	m, err := core.New(core.Config{Store: p.store}).Machine(context.WithoutCancel(p.t.Context()), id)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// story is every event, for a failure's reader.
func (p *pool) story() string {
	events, err := core.New(core.Config{Store: p.store}).Events(context.WithoutCancel(p.t.Context()), core.EventFilter{})
	if err != nil {
		return err.Error()
	}
	var lines strings.Builder
	for _, ev := range events {
		fmt.Fprintf(&lines, "%3d %s %-3s %-10s gen %d %s: %s→%s %s %s %s\n", ev.Seq, ev.At.Format("15:04:05"), ev.Node, ev.Allocation, ev.Generation, ev.Type, ev.From, ev.To, ev.On, ev.Step, ev.Message)
	}
	return lines.String()
}

// sound checks the invariants in the store, and the store against the servers:
// nobody's data is on a node that may be claimed, what runs on a node is what the
// store says, and no system of a released machine runs anywhere.
func (p *pool) sound() {
	p.t.Helper()
	for _, problem := range p.problems() {
		p.t.Error(problem)
	}
	if p.t.Failed() {
		p.t.Log("\n" + p.story())
	}
}

func (p *pool) problems() []string {
	ctx := context.WithoutCancel(p.t.Context())
	// A sweep looks tens of thousands of times, and not at SQLite.
	violations, err := core.New(core.Config{Store: struct{ core.Store }{p.store}, Sealer: cloak{}}).Verify(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, v := range violations {
		if v.Invariant == core.Overdue {
			continue // where nobody is, nobody works
		}
		found = append(found, fmt.Sprintf("%s: node %s, allocation %s %s", v.Invariant, v.Node, v.Allocation, v.What))
	}
	nodes := p.nodes()
	found = append(found, p.rack.Contradicts(nodes)...)
	for _, n := range nodes {
		if s := p.rack.Server(n.ID); s != nil && n.State == core.Deployed {
			found = append(found, p.strayKeys(n, s.Look().System)...)
		}
	}
	return found
}

// strayKeys are keys of ann's on a machine of which the store knows nothing: no change
// would ever take them away.
func (p *pool) strayKeys(n core.Node, system *core.Seed) (found []string) {
	if system == nil {
		return nil
	}
	var known []string
	p.update(func(tx core.Tx) error {
		a, err := tx.Allocation(n.Allocation)
		if err == nil {
			known = slices.Concat(a.Order.Keys, a.Order.Tried)
		}
		return err
	})
	for _, k := range system.Keys {
		if strings.HasSuffix(k, " ann") && !strings.Contains(strings.Join(known, "\n"), k) {
			found = append(found, fmt.Sprintf("node %s lets %q in, and the store knows %q", n.ID, k, known))
		}
	}
	return found
}

// logs is a logger whose lines a test reads.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
