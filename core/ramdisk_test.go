package core_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// outdated has a ramdisk that no server is to boot.
type outdated struct{ *enginetest.Host }

func (outdated) CheckRamdisk() error {
	return &core.Error{Op: "open the boot ISO", Kind: core.Invalid, Err: errors.New("of another version"), Hint: "build it again"}
}

func (o outdated) Offer(context.Context, core.Boot, core.BootSecret, core.BootParams) (string, error) {
	return "", o.CheckRamdisk()
}

// outdated is an engine on a host with such a ramdisk.
func (p *pool) outdated() *core.Engine {
	host := p.rack.Host()
	return core.New(core.Config{Store: host.Store(p.store), Sealer: cloak{}, Deployer: outdated{host}, Timing: timing, Backends: map[string]core.Connector{"redfish": host}})
}

// A host with an old ramdisk keeps no node out for it: one with a good one cleans it.
func TestNoNodeIsKeptOutForAnOldRamdisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		good, _ := p.engine()
		m, e := p.create(), p.outdated()
		if err := e.Release(t.Context(), m.ID, core.ReleaseOptions{WaitClean: true}, nil); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "of another version; ") {
			t.Errorf("it is released: %v", err)
		}
		if n, err := e.Node(t.Context(), m.Node); err != nil || n.State != core.Cleaning {
			t.Errorf("the node is %s: %s, %v", n.State, n.Reason, err)
		}
		p.reconcile()
		if n, err := good.Node(t.Context(), m.Node); err != nil || n.State != core.Available {
			t.Errorf("the node is %s: %s, %v", n.State, n.Reason, err)
		}
	})
}

// Nor does a deploy fail that another server has left, which this one could not go on with.
func TestNoDeployFailsForAnOldRamdisk(t *testing.T) {
	for name, in := range map[string]string{"its ramdisk not started": "bmc insert", "written": "agent kexec"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				dying, host := p.server()
				ended := make(chan error, 1)
				host.FreezeIn(in, enginetest.Before)
				go func() {
					_, err := dying.Create(t.Context(), taken("a-1", "web-1"), nil)
					ended <- err
				}()
				<-host.Frozen()
				bad := p.rack.Host()
				e := core.New(core.Config{Store: bad.Store(p.store), Sealer: cloak{}, Deployer: outdated{bad}, Timing: timing, Serves: true, Backends: map[string]core.Connector{"redfish": bad}})
				ctx, stop := context.WithTimeout(t.Context(), 5*timing.Lease)
				for ctx.Err() == nil {
					_, _ = e.Work(ctx)
					pass(timing.Queue)
				}
				stop()
				if state := p.machine("a-1").State; state != core.Deploying && (in == "bmc insert" || state != core.Deployed) {
					t.Errorf("it is %s\n%s", state, p.story())
				}
				ctx, stop = context.WithCancel(t.Context())
				_, workers := p.working(ctx, 1)
				for began := time.Now(); p.states()["n1"] != core.Deployed; pass(time.Second) {
					if time.Since(began) > time.Hour {
						t.Fatalf("it is %s\n%s", p.states()["n1"], p.story())
					}
				}
				stop()
				workers()
				host.Thaw()
				t.Logf("the frozen engine ended: %v", <-ended) // how says nothing
			})
		})
	}
}

// What is wrong with the ramdisk is said before a node is taken, and before a machine that
// runs is touched.
func TestNothingIsDoneWithAnOldRamdisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		m, e := p.create(), p.outdated()
		o := order("a-2", "web-2")
		_, created := e.Create(t.Context(), o, nil)
		_, deployed := e.Deploy(t.Context(), order("a-1", "web-1"), nil)
		for what, err := range map[string]error{"create": created, "deploy": deployed, "check": e.Check(t.Context(), o), "check of a deploy": e.CheckDeploy(t.Context(), order("a-1", "web-1"))} {
			if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "of another version; build it again") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := e.Machine(t.Context(), "a-2"); !core.Is(err, core.NotFound) {
			t.Errorf("it was taken down: %v", err)
		}
		if is, err := e.Machine(t.Context(), "a-1"); err != nil || is.State != core.Deployed {
			t.Errorf("the machine is %s, %v", is.State, err)
		}
		if power, err := e.Power(t.Context(), m.ID); err != nil || power != core.PowerOn {
			t.Errorf("its power is %s, %v", power, err)
		}
	})
}
