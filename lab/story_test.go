package lab_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/bmc"
)

// story is a rack on which something goes wrong, and a pool of it that does not wait
// long. However it goes: at the end nothing is lost, see sound.
type story struct {
	*pool
	lab   *lab.Lab
	store core.Store
	dir   string
}

// impatient waits for no more than a busy machine needs.
var impatient = struct {
	redfish redfish.Options
	timing  core.Timing
	pool    core.Timeouts
}{
	redfish.Options{Request: 3 * time.Second, First: time.Nanosecond, Poll: 5 * time.Millisecond, Settle: time.Second, Doubt: 100 * time.Millisecond, Grace: 100 * time.Millisecond, Retry: 5 * time.Millisecond},
	core.Timing{Lease: 20 * time.Second, Call: 3 * time.Second, Retry: 50 * time.Millisecond, Queue: 20 * time.Millisecond},
	core.Timeouts{Power: 10 * time.Second, CheckIn: 20 * time.Second, Write: 60 * time.Second, SSH: 20 * time.Second, Erase: 60 * time.Second},
}

// newStory has a pool in which the lab's nodes are Available.
func newStory(t *testing.T, nodes int) *story {
	t.Helper()
	s := emptyStory(t, nodes)
	for _, n := range s.lab.Rack().Nodes {
		in := n.Enrollment()
		in.Erase = true
		_, err := s.Enroll(t.Context(), in, nil)
		try(t, err)
	}
	s.finish()
	for _, n := range s.lab.Nodes() {
		s.at(n, core.Available, "")
	}
	return s
}

// emptyStory has a pool in which the lab's nodes are not enrolled.
func emptyStory(t *testing.T, nodes int) *story {
	t.Helper()
	t.Parallel()
	l := up(t, lab.Config{Nodes: nodes, Vendors: []string{"openbmc"}})
	return storyOf(t, l)
}

// storyOf is another pool beside those that the lab has.
func storyOf(t *testing.T, l *lab.Lab) *story {
	t.Helper()
	s := &story{lab: l, dir: t.TempDir()}
	key, err := seal.LoadOrCreate("", filepath.Join(s.dir, "key"))
	try(t, err)
	s.store, err = sqlite.Open(t.Context(), filepath.Join(s.dir, "pool.db"), sqlite.Options{Create: true, KeyFingerprint: key.Fingerprint()})
	try(t, err)
	var e *core.Engine
	deployer, err := deploy.New(deploy.Config{
		CacheDir: filepath.Join(s.dir, "cache"), Bind: "127.0.0.1", Log: logTo(t), Lost: 500 * time.Millisecond,
		Refused: func(boot string, node core.NodeID, peer, why string) { e.AgentRefused(boot, node, peer, why) },
	})
	try(t, err)
	e = core.New(core.Config{
		Store: s.store, Sealer: key, Backends: map[string]core.Connector{"redfish": redfish.New(impatient.redfish)}, Deployer: deployer,
		Log: logTo(t), Timing: impatient.timing,
	})
	s.pool = &pool{e, t}
	t.Cleanup(func() { try(t, e.Close(), deployer.Close()) })
	f, err := os.Create(s.imageFile())
	try(t, err)
	try(t, lab.WriteImage(f), f.Close())
	_, err = e.AddImage(t.Context(), core.Image{Name: "demo", Source: s.imageFile(), Arch: "amd64", User: "debian"}, nil)
	try(t, err)
	s.patience(func(*core.Timeouts) {})
	return s
}

func (s *story) imageFile() string { return filepath.Join(s.dir, "image.raw") }

// patience changes how long the pool waits.
func (s *story) patience(change func(*core.Timeouts)) {
	s.t.Helper()
	limits := impatient.pool
	change(&limits)
	try(s.t, s.SetPool(s.t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "demo", Timeouts: limits}))
}

// fault plants a fault in a machine, bmcFault one in its BMC.
func (s *story) fault(n *lab.Node, f lab.Fault) {
	s.t.Helper()
	try(s.t, n.AddFault(lab.NewFault{Machine: &f}))
}

func (s *story) bmcFault(n *lab.Node, f bmc.Fault) {
	s.t.Helper()
	try(s.t, n.AddFault(lab.NewFault{BMC: &f}))
}

// createOn is a create for which node is taken first. Only then are the others there.
func (s *story) createOn(node *lab.Node, o core.Order) (core.Machine, error) {
	s.t.Helper()
	for _, n := range s.lab.Nodes() {
		if n != node {
			_, err := s.Pause(s.t.Context(), n.ID(), "waits for its turn")
			try(s.t, err)
		}
	}
	begun := false
	return s.Create(s.t.Context(), o, func(p core.Progress) {
		if begun || p.Node != node.ID() {
			return
		}
		begun = true
		for _, n := range s.lab.Nodes() {
			if n != node {
				if _, err := s.Resume(s.t.Context(), n.ID(), "its turn"); err != nil {
					s.t.Error(err)
				}
				if _, err := s.Reconcile(s.t.Context(), core.ReconcileOptions{}, nil); err != nil {
					s.t.Error(err)
				}
			}
		}
	})
}

// at checks a node's state, and that its reason says what it should.
func (s *story) at(n *lab.Node, want core.State, says ...string) {
	s.t.Helper()
	got, err := s.Node(s.t.Context(), n.ID())
	try(s.t, err)
	if got.State != want || !containsAll(got.Reason, says) {
		s.t.Errorf("node %s is %s: %q; want %s: %q", n.ID(), got.State, got.Reason, want, says)
	}
}

// told checks that a node's events of a type tell something.
func (s *story) told(n *lab.Node, kind core.EventType, says ...string) {
	s.t.Helper()
	events, err := s.Events(s.t.Context(), core.EventFilter{Node: n.ID()})
	try(s.t, err)
	var messages []string
	for _, e := range events {
		if e.Type == kind {
			messages = append(messages, e.Message)
		}
	}
	if !slices.ContainsFunc(messages, func(m string) bool { return containsAll(m, says) }) {
		s.t.Errorf("the events of node %s tell %q, and nothing with %q", n.ID(), messages, says)
	}
}

func containsAll(text string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
}

// refused checks an error: its kind, and that its text, which is all that a user of
// docker-machine sees, says what it should, and no password.
func (s *story) refused(err error, kind core.Kind, says ...string) {
	s.t.Helper()
	if !core.Is(err, kind) || !containsAll(err.Error(), says) {
		s.t.Errorf("the error is %q (%s); want %s: %q", err, core.KindOf(err), kind, says)
	}
	for _, n := range s.lab.Rack().Nodes {
		if err != nil && strings.Contains(err.Error(), n.BMC.Password) {
			s.t.Errorf("the error holds the password of a BMC: %v", err)
		}
	}
}

// finish does all work that is left.
func (s *story) finish() {
	s.t.Helper()
	given, err := s.Work(s.t.Context())
	if err != nil || len(given) > 0 {
		s.t.Errorf("the worker gave up on %v, %v", given, err)
	}
}

// sound finishes all work, and checks that nothing was lost: no invariant is broken,
// every node is at rest and nobody holds it, every secret of an attempt that ended is gone.
func (s *story) sound() {
	s.t.Helper()
	ctx := s.t.Context()
	s.finish()
	broken, err := s.Verify(ctx)
	try(s.t, err)
	for _, v := range broken {
		s.t.Errorf("%s is broken: %+v", v.Invariant, v)
	}
	try(s.t, s.store.View(ctx, func(tx core.Tx) error {
		for n, err := range tx.Nodes(core.NodeFilter{}) {
			if err != nil {
				return err
			}
			if n.State.Working() {
				s.t.Errorf("node %s is still %s", n.ID, n.State)
			}
			if n.State != core.Available && n.State != core.Deployed && n.Reason == "" {
				s.t.Errorf("node %s is %s, and nothing says why", n.ID, n.State)
			}
		}
		for l, err := range tx.Leases() {
			if err != nil {
				return err
			}
			if !l.Free(tx.Now(), 0) {
				s.t.Errorf("node %s is still leased to %s", l.Node, l.Holder)
			}
		}
		return nil
	}))
}
