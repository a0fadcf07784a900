package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/core/api/server"
	"github.com/metalpool/metalpool/core/enginetest"
	"github.com/metalpool/metalpool/core/placetest"
	"github.com/metalpool/metalpool/core/seal"
)

// The crash sweep through a server. For every n, the server dies in the n-th call that it
// makes, to the store or to the hardware: before it took effect, or after, or with the call
// on its way. Its connections are cut; the next one starts at the same address, on the same
// store. Clients come again, under the same ID. And the dead one wakes up, as a host does
// that was only suspended.

const sweptAddress = "pool.example:7443"

// swept is what the stories of a sweep begin with.
type swept struct {
	at      placetest.Place
	picture placetest.Picture
	rack    *enginetest.Rack
	key     *seal.Key
	pin     string // the CA's fingerprint
	token   string
	calls   int // that a server makes in a story without a crash
}

// world is one story's, in a bubble of its own.
type world struct {
	swept
	t       *testing.T
	address string // of the store
	net     network
}

// servant is a server, with all that `metalpool serve` does.
type servant struct {
	engine *core.Engine
	host   *enginetest.Host
	ear    *ear
	stop   context.CancelFunc
	ended  sync.WaitGroup
}

func (w *world) engine() (*core.Engine, *enginetest.Host) {
	w.t.Helper()
	store, err := placetest.Open(w.t.Context(), w.address, placetest.Options{KeyFingerprint: w.key.Fingerprint()})
	if err != nil {
		w.t.Fatal(err)
	}
	host := w.rack.Host()
	e := core.New(core.Config{Store: host.Store(store), Sealer: w.key, Deployer: host, Backends: map[string]core.Connector{"redfish": host}})
	w.t.Cleanup(func() { _ = e.Close() })
	return e, host
}

func (w *world) serve() *servant {
	w.t.Helper()
	s := &servant{ear: w.net.listen(sweptAddress)}
	s.engine, s.host = w.engine()
	certificate, _, err := server.OwnCertificate(w.t.Context(), s.engine, "", []string{"pool.example"}, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	s.stop = stop
	s.ended.Go(func() {
		if err := server.New(server.Config{Pool: s.engine}).Serve(ctx, s.ear, certificate); err != nil {
			w.t.Errorf("serve: %v", err)
		}
	})
	s.ended.Go(func() {
		for ctx.Err() == nil {
			_, _ = s.engine.Work(ctx) // what failed is tried again
			select {
			case <-ctx.Done():
			case <-time.After(time.Minute):
			}
		}
	})
	w.t.Cleanup(func() {
		s.host.Thaw()
		s.stop()
		s.ended.Wait()
	})
	return s
}

func (w *world) client() *client.Client {
	w.t.Helper()
	c, err := client.New(client.Config{URL: "https://" + sweptAddress, Token: w.token, Fingerprint: w.pin, Patience: 30 * time.Minute, Dial: w.net.dial})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// world is one in the state of the preset. It runs in a bubble.
func (p swept) world(t *testing.T) *world {
	t.Helper()
	time.Sleep(time.Hour) //nolint:forbidigo // a bubble begins at the same time as that of the preset did
	w := &world{swept: p, t: t, address: p.at.Fresh(t, p.picture)}
	w.rack = p.rack.Clone()
	return w
}

// problems are those of the invariants, in the store and between it and the servers.
func (w *world) problems(moment string) {
	w.t.Helper()
	e, _ := w.engine()
	ctx := context.WithoutCancel(w.t.Context())
	broken, err := e.Verify(ctx)
	nodes, nodesErr := e.Nodes(ctx, core.NodeFilter{})
	if err != nil || nodesErr != nil {
		w.t.Errorf("%s: %v, %v", moment, err, nodesErr)
	}
	for _, v := range broken {
		if v.Invariant != core.Overdue {
			w.t.Errorf("%s: %s: node %s, allocation %s %s", moment, v.Invariant, v.Node, v.Allocation, v.What)
		}
	}
	for _, problem := range w.rack.Contradicts(nodes) {
		w.t.Errorf("%s: %s", moment, problem)
	}
}

// settle waits until nobody works on any node.
func (w *world) settle() {
	w.t.Helper()
	e, _ := w.engine()
	for range 180 {
		nodes, err := e.Nodes(w.t.Context(), core.NodeFilter{States: []core.State{core.Cleaning, core.Deploying, core.Preparing}})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(nodes) == 0 {
			return
		}
		time.Sleep(time.Minute) //nolint:forbidigo // the bubble's clock
	}
	w.t.Error("still at work after three hours")
}

// servedScenarios are what a client is at when its server dies.
var servedScenarios = []struct {
	name     string
	deployed bool // before
	act      func(ctx context.Context, c *client.Client) error
}{
	{"create", false, func(ctx context.Context, c *client.Client) error {
		_, err := c.Create(ctx, order("web-1"), nil)
		return err
	}},
	{"rm", true, func(ctx context.Context, c *client.Client) error {
		return c.Release(ctx, "m-web-1", core.ReleaseOptions{WaitClean: true}, nil)
	}},
}

// servedRecoveries are what the client does then; nil lets it go on by itself.
var servedRecoveries = []struct {
	name string
	does func(ctx context.Context, c *client.Client) error
}{
	{"the client goes on", nil},
	{"the client dies, and another releases", func(ctx context.Context, c *client.Client) error {
		return c.Release(ctx, "m-web-1", core.ReleaseOptions{}, nil)
	}},
	{"the client dies, and nobody asks", func(context.Context, *client.Client) error { return nil }},
}

// served is one story.
type served struct {
	*world
	at   int
	when enginetest.When
	thaw time.Duration
}

// run returns the call in which the server died, "" if it never did.
func (s served) run(act, recover func(ctx context.Context, c *client.Client) error) (call string) {
	ctx, die := context.WithCancel(s.t.Context())
	defer die()
	victim := s.serve()
	c := s.client()
	victim.host.Freeze(s.at, s.when)
	ended := make(chan error, 1)
	go func() { ended <- act(ctx, c) }()
	select {
	case <-victim.host.Frozen():
		synctest.Wait() // its last call takes effect first
	case err := <-ended:
		if err != nil {
			s.t.Errorf("without a crash: %v", err)
		}
		s.problems("without a crash")
		return ""
	}
	call = victim.host.Calls()[s.at-1]
	victim.ear.cut()
	s.serve()
	if s.thaw > 0 {
		time.AfterFunc(s.thaw, victim.host.Thaw)
	}
	if recover != nil {
		die()
		<-ended //nolint:errcheck // whoever died is told nothing
		if err := recover(s.t.Context(), s.client()); err != nil {
			s.t.Errorf("recovery: %v", err)
		}
	} else if err := <-ended; err != nil {
		s.t.Errorf("the client is told %v", err)
	}
	s.problems("after the recovery")
	s.settle()
	s.problems("at rest")
	victim.host.Thaw()
	time.Sleep(30 * time.Minute) //nolint:forbidigo // it does all that it still wants to
	s.settle()
	s.problems("after the dead one woke up")
	last := s.client()
	if err := last.Release(s.t.Context(), "m-web-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
		s.t.Errorf("the last release: %v", err)
	}
	s.settle()
	s.problems("at the end")
	nodes, err := last.Nodes(s.t.Context(), core.NodeFilter{})
	if err != nil {
		s.t.Error(err)
	}
	for _, n := range nodes {
		if n.State != core.Available && (s.thaw == 0 || n.State != core.Quarantined) {
			s.t.Errorf("at the end node %s is %s: %s", n.ID, n.State, n.Reason)
		}
	}
	if m, err := last.Machine(s.t.Context(), "m-web-1"); err != nil || !m.State.Ended() {
		s.t.Errorf("at the end the machine is %s, %v", m.State, err)
	}
	return call
}

// prepare makes the preset of a scenario, and counts the calls of a server in it.
func prepare(t *testing.T, at placetest.Place, deployed bool, act func(ctx context.Context, c *client.Client) error) (p swept) {
	t.Helper()
	p = swept{at: at}
	var err error
	if p.key, err = seal.LoadOrCreate("", filepath.Join(t.TempDir(), "key")); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p.rack = enginetest.NewRack(2)
		p.rack.POST = 30 * time.Second
		w := &world{swept: p, t: t, address: at.Fresh(t, nil)}
		e, _ := w.engine()
		fill(t, e, w.rack)
		if _, p.token, err = e.CreateToken(t.Context(), core.TokenOrder{Name: "ops", Role: core.RoleOperator}); err != nil {
			t.Fatal(err)
		}
		if _, p.pin, err = server.OwnCertificate(t.Context(), e, "", nil, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if deployed {
			o := order("web-1")
			o.Owner = "ops"
			if _, err := e.Create(t.Context(), o, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		p.picture = at.Picture(t, w.address)
	})
	synctest.Test(t, func(t *testing.T) {
		w := p.world(t)
		s := w.serve()
		if err := act(t.Context(), w.client()); err != nil {
			t.Fatal(err)
		}
		p.calls = len(s.host.Calls())
		w.problems("without a crash")
	})
	return p
}

// sweepAll asks for every story on every store: see 'make sweep'.
const sweepAll = "METALPOOL_TEST_SWEEP"

func TestCrashSweepThroughAServer(t *testing.T) {
	placetest.Each(t, func(t *testing.T, at placetest.Place) {
		step := 80
		if os.Getenv(sweepAll) != "" {
			step = 1
		}
		set := 0
		for _, scenario := range servedScenarios {
			begin := sync.OnceValue(func() swept { return prepare(t, at, scenario.deployed, scenario.act) })
			for _, recovery := range servedRecoveries {
				for _, thaw := range []time.Duration{0, 65 * time.Second, 95 * time.Second} {
					first := set * 7 % min(step, 40) // so that between them the sets leave few calls out
					set++
					t.Run(fmt.Sprintf("%s/%s/thaw after %s", scenario.name, recovery.name, thaw), func(t *testing.T) {
						t.Parallel()
						begin := begin()
						played := 0
						for call := 1 + first; call <= begin.calls && !t.Failed(); call += step {
							story := func(when enginetest.When) (name string) {
								synctest.Test(t, func(t *testing.T) {
									s := served{begin.world(t), call, when, thaw}
									name = s.run(scenario.act, recovery.does)
								})
								return name
							}
							name := story(enginetest.Before)
							if name == "" {
								break
							}
							story(enginetest.After)
							if strings.HasPrefix(name, "bmc ") {
								story(enginetest.Late)
							}
							played++
						}
						if begin.calls < 40 || played == 0 {
							t.Errorf("played %d of %d calls", played, begin.calls)
						}
					})
				}
			}
		}
	})
}
