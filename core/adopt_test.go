package core_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// A caller knows only the ID that it made. What it adopted must be released by that.
func TestAnAdoptedMachineIsReleasedByTheAdoptersID(t *testing.T) {
	for name, fails := range map[string]bool{"after a create that failed": true, "before it heard the other ID": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				e, _ := p.engine()
				if _, err := e.Acquire(t.Context(), complete(order("a-1", "web-1")), nil); err != nil {
					t.Fatal(err)
				}
				if fails {
					p.rack.Server("n1").Fail(enginetest.Fault{Op: "seed", Err: enginetest.ErrBroken, Times: -1})
				}
				if _, err := e.Create(t.Context(), order("a-2", "web-1"), nil); (err != nil) != fails {
					t.Fatal(err)
				}
				if m := p.machine("a-2"); m.ID != "a-1" || m.Node != "n1" {
					t.Errorf("a-2 stands for %+v", m)
				}
				p.rack.Server("n1").Heal()
				if err := e.Release(t.Context(), "a-2", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
					t.Fatal(err)
				}
				p.wantStates("n1 Available")
				if all, err := e.Machines(t.Context(), core.AllocationFilter{}); err != nil || len(all) != 1 || all[0].ID != "a-1" {
					t.Errorf("the machines are %+v, %v", all, err)
				}
				for _, id := range []string{"a-1", "a-2"} {
					if _, err := e.Create(t.Context(), order(id, "web-1"), nil); !core.Is(err, core.Exists) {
						t.Errorf("%s acquires again: %v", id, err)
					}
				}
				p.sound()
			})
		})
	}
}

func TestAnAdopterThatWasReleasedDeploysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		if _, err := e.Acquire(t.Context(), complete(order("a-1", "web-1")), nil); err != nil {
			t.Fatal(err)
		}
		host := p.rack.Host()
		host.FreezeIn("bmc power", enginetest.Before) // after it adopted, before it deploys
		ended := make(chan error, 1)
		go func() {
			_, err := p.engineOn(host, p.store, cloak{}, nil).Create(t.Context(), order("a-2", "web-1"), nil)
			ended <- err
		}()
		<-host.Frozen()
		if err := e.Release(t.Context(), "a-2", core.ReleaseOptions{}, nil); err != nil {
			t.Fatal(err)
		}
		host.Thaw()
		if err := <-ended; !core.Is(err, core.Denied) {
			t.Errorf("create went on: %v", err)
		}
		if m := p.machine("a-1"); m.State != core.Allocated {
			t.Errorf("a-1 is %s", m.State)
		}
		p.sound()
	})
}

// While a machine is only Allocated, its order is not stored yet. Whoever comes
// second with other keys must not be told that it has a machine.
func TestTwoOrdersForOneNameAreNotOneMachine(t *testing.T) {
	for name, id := range map[string]string{"another ID": "a-2", "the same ID": "a-1"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 2)
				e, _ := p.engine()
				late := p.rack.Host()
				late.FreezeIn("bmc power", enginetest.Before)
				if _, err := e.Acquire(t.Context(), complete(order("a-1", "web-1")), nil); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() {
					other := order(id, "web-1")
					other.Keys = []string{"ssh-ed25519 BBBB bob"}
					m, err := p.engineOn(late, p.store, cloak{}, nil).Create(t.Context(), other, nil)
					if err == nil {
						t.Errorf("told %+v, with somebody else's keys", m)
					}
					ended <- err
				}()
				<-late.Frozen()
				if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
					t.Fatal(err)
				}
				late.Thaw()
				if err := <-ended; !core.Is(err, core.Exists) || !strings.Contains(err.Error(), "the keys") {
					t.Errorf("got %v", err)
				}
				if m := p.machine("a-1"); m.State != core.Deployed {
					t.Errorf("the first caller's machine is %s", m.State)
				}
				p.sound()
			})
		})
	}
}
