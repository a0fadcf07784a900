package core_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// server starts an engine that serves, in a process of its own.
func (p *pool) server() (*core.Engine, *enginetest.Host) {
	host := p.rack.Host()
	return core.New(core.Config{
		Store: host.Store(p.store), Sealer: cloak{}, Deployer: host, Timing: timing, Serves: true,
		Backends: map[string]core.Connector{"redfish": host},
	}), host
}

// taken is an order that a server took.
func taken(id, name string) core.Order {
	o := order(id, name)
	o.Served = true
	return o
}

// A deploy whose server died is brought to its end by another, whether its client lives
// or not, from whatever step; with all that was ordered; and not later than a lease and a
// call after.
func TestServersGoOnWithADeploy(t *testing.T) {
	within := timing.Lease + timing.Call + 2*timing.Queue
	for name, tt := range map[string]struct {
		in   string // the call in which it dies
		when enginetest.When
	}{
		"before anything was begun": {"bmc power", enginetest.Before},
		"before the media are in":   {"bmc insert", enginetest.Before},
		"waiting for the agent":     {"await check-in", enginetest.Before},
		"writing":                   {"agent write", enginetest.Before},
		"once it was written":       {"agent write", enginetest.After},
		"writing the seed":          {"agent seed", enginetest.Before},
		"starting the OS":           {"agent kexec", enginetest.After},
		"waiting for SSH":           {"look at ssh", enginetest.Before},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				dying, host := p.server()
				o := taken("a-1", "web-1")
				o.UserData, o.Hostname, o.WaitFor = []byte("#cloud-config\n"), "other", core.UntilCloudInit
				ended := make(chan error, 1)
				host.FreezeIn(tt.in, tt.when)
				go func() {
					_, err := dying.Create(t.Context(), o, nil)
					ended <- err
				}()
				<-host.Frozen()
				died := time.Now()
				ctx, stop := context.WithCancel(t.Context())
				_, workers := p.working(ctx, 3)
				for p.states()["n1"] != core.Deployed {
					pass(time.Second)
					if time.Since(died) > time.Hour {
						t.Fatalf("it is %s\n%s", p.states()["n1"], p.story())
					}
				}
				stop()
				workers()
				if again, ok := p.goesOn(died); !ok || again.Sub(died) > within {
					t.Errorf("gone on with after %s, want %s at most\n%s", again.Sub(died), within, p.story())
				}
				m := p.machine("a-1")
				system := p.rack.Server("n1").Look().System
				if system == nil || string(system.UserData) != string(o.UserData) || system.Hostname != "other" || m.Hostname != "other" || m.State != core.Deployed {
					t.Errorf("%+v runs as %+v", m, system)
				}
				host.Thaw()
				if err := <-ended; err != nil && !core.Is(err, core.LeaseLost, core.Transient) {
					t.Errorf("woken up, the first server says: %v", err)
				}
				p.sound()
			})
		})
	}
}

// working has n servers work until ctx ends; the function it returns waits for that.
func (p *pool) working(ctx context.Context, n int) (hosts []*enginetest.Host, ended func()) {
	done := make(chan struct{})
	for range n {
		e, host := p.server()
		hosts = append(hosts, host)
		go func() {
			for ctx.Err() == nil {
				_, _ = e.Work(ctx) // it ends with ctx, or has nothing to do
				select {
				case <-ctx.Done():
				case <-time.After(timing.Queue):
				}
			}
			done <- struct{}{}
		}()
	}
	return hosts, func() {
		for range n {
			<-done
		}
	}
}

// goesOn is when somebody first took up what was left at that time.
func (p *pool) goesOn(left time.Time) (time.Time, bool) {
	p.t.Helper()
	e, _ := p.engine()
	events, err := e.Events(p.t.Context(), core.EventFilter{Node: "n1"})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, ev := range events {
		begun := ev.Type == core.WorkTaken || ev.Type == core.StateChanged && ev.To == core.Deploying
		if begun && ev.At.After(left) {
			return ev.At, true
		}
	}
	return time.Time{}, false
}

// What another server left it leaves a second time, and so on: it is the order's own
// time that ends it.
func TestADeployEndsWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		dying, host := p.server()
		o := taken("a-1", "web-1")
		o.DeployTimeout = time.Minute
		host.FreezeIn("agent write", enginetest.Before)
		go func() { _, _ = dying.Create(t.Context(), o, nil) }()
		<-host.Frozen()
		ctx, stop := context.WithCancel(t.Context())
		_, workers := p.working(ctx, 2)
		pass(timing.Lease + timing.Call + 5*time.Second)
		stop()
		workers()
		m := p.machine("a-1")
		if m.State != core.Failed || !strings.Contains(m.Reason, "the time for the whole deploy was over") {
			t.Errorf("%s: %s\n%s", m.State, m.Reason, p.story())
		}
		host.Thaw()
		p.sound()
	})
}

// What a server took is the servers': no command on the pool, and no worker of one, gives
// it up while they are all away, and the next server goes on with it.
func TestOthersLeaveWhatAServerTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		dying, host := p.server()
		host.FreezeIn("agent write", enginetest.Before)
		go func() { _, _ = dying.Create(t.Context(), taken("a-1", "web-1"), nil) }()
		<-host.Frozen()
		pass(timing.Lease + timing.Call + timing.Grace + time.Minute)
		e, _ := p.engine()
		if given, err := e.Work(t.Context()); err != nil || len(given) > 0 {
			t.Errorf("a worker of a command: %v, %v", given, err)
		}
		done, err := e.Reconcile(t.Context(), core.ReconcileOptions{}, nil)
		if err != nil || len(done) != 1 || !strings.Contains(done[0].Note, "a server of the pool") {
			t.Errorf("reconcile: %+v, %v", done, err)
		}
		p.wantStates("n1 Deploying")
		ctx, stop := context.WithCancel(t.Context())
		_, workers := p.working(ctx, 1)
		pass(5 * time.Minute)
		p.wantStates("n1 Deployed")
		stop()
		workers()
		host.Thaw()
		p.sound()
	})
}

// An order that no server took is its caller's: a server leaves it to him for the grace,
// and then gives it up.
func TestServersLeaveWhatIsACallersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, host := p.engine()
		host.FreezeIn("agent write", enginetest.Before)
		go func() { _, _ = e.Create(t.Context(), order("a-1", "web-1"), nil) }()
		<-host.Frozen()
		ctx, stop := context.WithCancel(t.Context())
		_, workers := p.working(ctx, 2)
		pass(timing.Lease + timing.Call + time.Minute)
		p.wantStates("n1 Deploying")
		pass(timing.Grace)
		p.wantStates("n1 Failed")
		stop()
		workers()
		host.Thaw()
		p.sound()
	})
}

// A redeploy is gone on with on its own node, and never moves, whatever fails there.
func TestARedeployThatIsGoneOnWithStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		dying, host := p.server()
		m, err := dying.Create(t.Context(), taken("a-1", "web-1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		again := taken("a-1", "web-1")
		again.Revision = "2"
		host.FreezeIn("agent write", enginetest.Before)
		go func() { _, _ = dying.Deploy(t.Context(), again, nil) }()
		<-host.Frozen()
		p.rack.Server(m.Node).Fail(enginetest.Fault{Op: "write", Err: enginetest.ErrBroken, Times: -1})
		ctx, stop := context.WithCancel(t.Context())
		_, workers := p.working(ctx, 2)
		pass(10 * time.Minute)
		stop()
		workers()
		if now := p.machine("a-1"); now.State != core.Failed || now.Node != m.Node {
			t.Errorf("it is %s on %s: %s\n%s", now.State, now.Node, now.Reason, p.story())
		}
		host.Thaw()
		p.sound()
	})
}

// What a server with much to do leaves is spread over the others, and each node is taken
// once.
func TestWhatAServerLeftIsSpread(t *testing.T) {
	const nodes = 30
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, nodes)
		p.rack.Writing = 4 * time.Minute
		dying, host := p.server()
		for i := range nodes {
			go func() { _, _ = dying.Create(t.Context(), taken(fmt.Sprintf("a-%d", i), fmt.Sprintf("web-%d", i)), nil) }()
		}
		pass(2 * time.Minute) // all of them are writing
		host.Freeze(1, enginetest.Before)
		<-host.Frozen()
		ctx, stop := context.WithCancel(t.Context())
		hosts, workers := p.working(ctx, 3)
		for began := time.Now(); len(p.nodes(core.Deployed)) < nodes && time.Since(began) < 2*time.Hour; {
			pass(time.Minute)
		}
		for i, h := range hosts {
			writes := 0
			for _, call := range h.Calls() {
				if call == "agent write" {
					writes++
				}
			}
			if writes < nodes/15 || writes > 2*nodes/3 {
				t.Errorf("server %d of %d has %d of %d nodes", i+1, len(hosts), writes, nodes)
			}
		}
		e, _ := p.engine()
		events, err := e.Events(t.Context(), core.EventFilter{})
		if err != nil {
			t.Fatal(err)
		}
		times := map[core.NodeID]int{}
		for _, ev := range events {
			if ev.Type == core.WorkTaken {
				times[ev.Node]++
			}
		}
		if len(times) != nodes || len(p.nodes(core.Deployed)) != nodes {
			t.Errorf("%d of %d nodes were taken over, and %d are deployed", len(times), nodes, len(p.nodes(core.Deployed)))
		}
		for id, n := range times {
			if n != 1 {
				t.Errorf("%s was taken over %d times", id, n)
			}
		}
		stop()
		workers()
		host.Thaw()
		p.sound()
	})
}
