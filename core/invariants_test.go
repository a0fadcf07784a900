package core_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
	"github.com/metalpool/metalpool/core/placetest"
)

// The invariants of the design, one test of each name; OneOwner and NoSecretLeaks are in
// files of their own. The crash sweep and the model check them, too, wherever they go.

func TestCleanBeforeAvailable(t *testing.T) {
	unverified := &core.Error{Op: "erase", Kind: core.Backend, Err: errors.New("sentinels are still there")}
	for _, test := range []struct {
		name    string
		fault   enginetest.Fault
		erases  int // since the node was enrolled
		want    core.State
		because string
		told    string // of the erases, at the node
	}{
		{"all goes well", enginetest.Fault{}, 1, core.Available, "", ""},
		{"the erase fails twice", enginetest.Fault{Op: "erase", Err: unverified, Times: 2}, 1, core.Available, "", "2 erases failed before one was verified, the last: sentinels are still there"},
		{"the erase fails always", enginetest.Fault{Op: "erase", Err: unverified, Times: -1}, 0, core.Quarantined, "sentinels are still there", "erase 3 of at most 3 failed: sentinels are still there"},
		{"the agent falls silent in the erase", enginetest.Fault{Op: "erase", Err: enginetest.ErrUnreachable, Times: 1}, 1, core.Available, "", ""},
		{"the answer to the erase is lost", enginetest.Fault{Op: "erase", Err: enginetest.ErrUnreachable, Times: 1, After: true}, 2, core.Available, "", ""},
		{"the ramdisk never starts", enginetest.Fault{Op: "check-in", Err: enginetest.ErrUnreachable, Times: -1}, 0, core.Quarantined, "did not check in", ""},
		{"the firmware skips the media once", enginetest.Fault{Op: "fetch media", Err: enginetest.ErrUnreachable, Times: 1}, 1, core.Available, "", ""},
		{"the BMC is gone for a while", enginetest.Fault{Op: "insert", Err: enginetest.ErrUnreachable, Times: 40}, 1, core.Available, "", ""},
		{"the BMC refuses", enginetest.Fault{Op: "insert", Err: enginetest.ErrBroken, Times: -1}, 0, core.Quarantined, "the hardware is broken", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				e, _ := p.engine()
				if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
					t.Fatal(err)
				}
				s := p.rack.Server("n1")
				before := s.Look().Erases
				s.Fail(test.fault)
				if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{}, nil); err != nil {
					t.Fatal(err)
				}
				if s.Look().Power != core.PowerOff {
					t.Error("release returned, and the server is not Off")
				}
				p.reconcile()
				n := p.node("n1")
				if n.State != test.want || !strings.Contains(n.Reason, test.because) {
					t.Errorf("the node is %s (%s), want %s (%s)\n%s", n.State, n.Reason, test.want, test.because, p.story())
				}
				if told := n.Spec.EraseFault; told != test.told {
					t.Errorf("the node tells of its erases: %q", told)
				}
				if erases := s.Look().Erases - before; erases != test.erases {
					t.Errorf("%d erases, want %d", erases, test.erases)
				}
				p.sound()
			})
		})
	}
	t.Run("an erase below the pool's minimum", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, 1)
			e, _ := p.engine()
			if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
				t.Fatal(err)
			}
			if err := e.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "debian", EraseMinimum: core.Purge}); err != nil {
				t.Fatal(err)
			}
			if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
				t.Fatal(err)
			}
			if n := p.node("n1"); n.State != core.Quarantined || !strings.Contains(n.Reason, `reached "clear", below the pool's minimum "purge"`) {
				t.Errorf("the node is %s: %s", n.State, n.Reason)
			}
			if n := p.node("n1"); !strings.Contains(n.Reason, "metalpool pool set default --erase-minimum clear") || len(n.Spec.Erasures) != 2 {
				t.Errorf("it does not say what to do (%s), or what was reached: %+v", n.Reason, n.Spec.Erasures)
			}
		})
	})
	t.Run("a disk without a name is gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := bareRack(t, 1)
			e, _ := p.engine()
			s := p.rack.Server("n1")
			s.Change(func(_ *core.Identity, h *core.Hardware) { h.Disks = append(h.Disks, core.Disk{Size: 480e9}) })
			if _, err := e.Enroll(t.Context(), core.Enrollment{ID: "n1", URL: s.BMC(), Erase: true}, nil); err != nil {
				t.Fatal(err)
			}
			p.reconcile()
			p.wantStates("n1 Available")
			if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
				t.Fatal(err)
			}
			s.Change(func(_ *core.Identity, h *core.Hardware) { h.Disks = h.Disks[:2] })
			if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
				t.Fatal(err)
			}
			if n := p.node("n1"); n.State != core.Quarantined || !strings.Contains(n.Reason, "the inventory has 3 disks, and 2 were erased") {
				t.Errorf("the node is %s: %s", n.State, n.Reason)
			}
		})
	})
	t.Run("a disk is gone of which the BMC never told", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := bareRack(t, 1)
			e, _ := p.engine()
			s := p.rack.Server("n1")
			var disks []core.Disk
			s.Change(func(_ *core.Identity, h *core.Hardware) { disks, h.Disks = h.Disks, nil })
			if _, err := e.Enroll(t.Context(), core.Enrollment{ID: "n1", URL: s.BMC(), Erase: true}, nil); err != nil {
				t.Fatal(err)
			}
			s.Change(func(_ *core.Identity, h *core.Hardware) { h.Disks = disks })
			p.reconcile()
			if n := p.node("n1"); n.State != core.Available || len(n.Hardware.Disks) != 2 {
				t.Fatalf("%s, with the disks %v", n.State, n.Hardware.Disks)
			}
			if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
				t.Fatal(err)
			}
			s.Change(func(_ *core.Identity, h *core.Hardware) { h.Disks = disks[:1] })
			if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
				t.Fatal(err)
			}
			if n := p.node("n1"); n.State != core.Quarantined || !strings.Contains(n.Reason, "n1-b") {
				t.Errorf("the node is %s: %s", n.State, n.Reason)
			}
		})
	})
	t.Run("a disk that the BMC knows by its WWN alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := bareRack(t, 1)
			e, _ := p.engine()
			s := p.rack.Server("n1")
			s.Change(func(_ *core.Identity, h *core.Hardware) { h.Disks[1] = core.Disk{WWN: "naa.5000", Size: 480e9} })
			if _, err := e.Enroll(t.Context(), core.Enrollment{ID: "n1", URL: s.BMC(), Erase: true}, nil); err != nil {
				t.Fatal(err)
			}
			p.reconcile()
			s.Change(func(_ *core.Identity, h *core.Hardware) { h.Disks[1].Serial = "n1-b" })
			if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestNothingLost(t *testing.T) { placetest.Each(t, nothingLost) }

func nothingLost(t *testing.T, at placetest.Place) {
	synctest.Test(t, func(t *testing.T) {
		p := newPoolAt(t, at, 2)
		e, _ := p.engine()
		find := func(state core.State) {
			t.Helper()
			m, err := e.Machine(t.Context(), "a-1")
			if err != nil || m.State != state {
				t.Errorf("by ID: %s, %v; want %s", m.State, err, state)
			}
			m, err = e.MachineNamed(t.Context(), "ann", "web-1")
			if state == core.Released {
				if !core.Is(err, core.NotFound) {
					t.Errorf("the name is not free: %+v, %v", m, err)
				}
			} else if err != nil || m.ID != "a-1" {
				t.Errorf("by name: %+v, %v", m, err)
			}
		}
		if _, err := e.Acquire(t.Context(), complete(order("a-1", "web-1")), nil); err != nil {
			t.Fatal(err)
		}
		find(core.Allocated)
		p.rack.Server("n1").Fail(enginetest.Fault{Op: "seed", Err: enginetest.ErrBroken, Times: -1})
		p.rack.Server("n2").Fail(enginetest.Fault{Op: "seed", Err: enginetest.ErrBroken, Times: -1})
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); !core.Is(err, core.Backend) {
			t.Errorf("create: %v", err)
		}
		find(core.Failed)
		p.reconcile()
		p.rack.Server("n1").Heal()
		p.rack.Server("n2").Heal()
		// Under another ID, as one who lost the first.
		m, err := e.Create(t.Context(), order("a-2", "web-1"), nil)
		if err != nil || m.ID != "a-1" {
			t.Errorf("adopted: %+v, %v", m, err)
		}
		find(core.Deployed)
		if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{}, nil); err != nil {
			t.Error(err)
		}
		find(core.Released)
		worker, _ := p.engine()
		if _, err := worker.Work(t.Context()); err != nil {
			t.Error(err)
		}
		if left := p.nodes(core.Cleaning, core.Deploying); len(left) != 0 {
			t.Errorf("the worker ended and left %v", left)
		}
		p.sound()
	})
}

// TestNoGuess shows the engine a server that looks as if all were done, by an earlier
// attempt, by somebody else, or on another server.
func TestNoGuess(t *testing.T) {
	story := func(name string, servers int, run func(t *testing.T, p *pool, e *core.Engine)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, servers)
				e, _ := p.engine()
				run(t, p, e)
				p.sound()
			})
		})
	}
	story("an earlier attempt's system answers", 1, func(t *testing.T, p *pool, e *core.Engine) {
		p.rack.Server("n1").Fail(enginetest.Fault{Op: "clear boot", Err: enginetest.ErrBroken, Times: 1})
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); !core.Is(err, core.Backend) {
			t.Fatal(err)
		}
		first := p.rack.Server("n1").Look().Disks["n1-a"].Seed
		m, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		second := p.rack.Server("n1").Look().System
		if first.InstanceID == second.InstanceID || m.Access.HostKeys[0] == enginetest.PublicKey(first.HostKeys[0]) {
			t.Errorf("the second attempt took the first one's system: %+v, %+v", first, second)
		}
	})
	story("the write was never done, and the disk is not looked at", 1, func(t *testing.T, p *pool, e *core.Engine) {
		p.rack.Server("n1").Fail(enginetest.Fault{Op: "boot disk", Err: enginetest.ErrBroken, Times: -1})
		_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if err == nil || !strings.Contains(err.Error(), "ssh") {
			t.Errorf("got %v", err)
		}
	})
	story("another server's ramdisk checks in", 1, func(t *testing.T, p *pool, e *core.Engine) {
		p.rack.Server("n1").Change(func(id *core.Identity, h *core.Hardware) { *id = core.Identity{Serial: "SN-OTHER"} })
		_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if err == nil || !strings.Contains(err.Error(), "another server answers: enrolled as") {
			t.Errorf("got %v", err)
		}
	})
	story("a disk of the inventory is gone", 1, func(t *testing.T, p *pool, e *core.Engine) {
		p.rack.Server("n1").Change(func(_ *core.Identity, h *core.Hardware) { h.Disks = h.Disks[:1] })
		_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if err == nil || !strings.Contains(err.Error(), "disks of the inventory are missing: n1-b") {
			t.Errorf("got %v", err)
		}
		if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{}, nil); err != nil || p.machine("a-1").Untouched() {
			t.Errorf("released, and untouched: %+v, %v", p.machine("a-1"), err)
		}
	})
	story("no BMC in reach is nobody's fault but ours", 2, func(t *testing.T, p *pool, e *core.Engine) {
		for _, s := range p.rack.Servers() {
			s.Fail(enginetest.Fault{Op: "power", Err: enginetest.ErrUnreachable, Times: -1})
		}
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); !core.Is(err, core.Transient) {
			t.Errorf("got %v", err)
		}
		p.wantStates("n1 Available", "n2 Available")
		if m := p.machine("a-1"); !m.Untouched() {
			t.Errorf("the nodes were touched: %+v", m)
		}
	})
	story("an image that never answers SSH is no node's fault", 3, func(t *testing.T, p *pool, e *core.Engine) {
		for _, s := range p.rack.Servers() {
			s.Fail(enginetest.Fault{Op: "boot disk", Err: enginetest.ErrBroken, Times: -1})
		}
		if m, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err == nil || len(p.machine("a-1").Moves) != 2 {
			t.Errorf("%+v, %v", m, err)
		}
		p.reconcile()
		if n := len(p.nodes(core.Available)); n != 2 {
			t.Errorf("%d of 2 nodes are back in the pool: %v", n, p.states())
		}
	})
	story("an OS that starts on another node alone makes the first suspect", 2, func(t *testing.T, p *pool, e *core.Engine) {
		for _, s := range p.rack.Servers() {
			mode := core.Reboot // after kexec the disk would be tried once more
			if _, err := e.SetNode(t.Context(), s.ID, core.NodeChange{Boot: &mode}); err != nil {
				t.Fatal(err)
			}
			s.Fail(enginetest.Fault{Op: "boot disk", Err: enginetest.ErrBroken, Times: 1, Unless: func(r *enginetest.Rack) bool { return r.Hits("boot disk") > 0 }})
		}
		m, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		p.reconcile()
		if q := p.nodes(core.Quarantined); len(q) != 1 || q[0].ID == m.Node || !strings.Contains(q[0].Reason, `did not get past "ssh"`) {
			t.Errorf("quarantined: %+v", q)
		}
	})
	story("one that is silent where another answers is suspect", 2, func(t *testing.T, p *pool, e *core.Engine) {
		o := order("a-1", "web-1")
		for _, s := range p.rack.Servers() {
			s.Fail(enginetest.Fault{Op: "power", Err: enginetest.ErrUnreachable, Times: -1, Unless: func(r *enginetest.Rack) bool { return r.Hits("power") > 0 }})
		}
		m, err := e.Create(t.Context(), o, nil)
		if err != nil {
			t.Fatal(err)
		}
		if q := p.nodes(core.Quarantined); len(q) != 1 || q[0].ID == m.Node || !strings.Contains(q[0].Reason, "did not answer") {
			t.Errorf("quarantined: %+v", q)
		}
	})
}

// complete is an order as Create completes it from the pool and the image.
func complete(o core.Order) core.Order {
	o.Request.Pool, o.Request.Arch = core.DefaultPool, "amd64"
	return o
}

// insert puts an Available node into the store as it is, with the story that one has.
func (p *pool) insert(n core.Node) {
	p.t.Helper()
	if n.Pool == "" {
		n.Pool = core.DefaultPool
	}
	n.Version, n.Since = 1, time.Now()
	p.update(func(tx core.Tx) error {
		return errors.Join(tx.InsertNode(n),
			tx.AddEvent(core.Event{Node: n.ID, Type: core.StateChanged, From: core.Unborn, To: core.Cleaning, On: core.EnrollErase}),
			tx.AddEvent(core.Event{Node: n.ID, Type: core.Erased}),
			tx.AddEvent(core.Event{Node: n.ID, Type: core.StateChanged, From: core.Cleaning, To: core.Available, On: core.Done}))
	})
}

// update writes to the store past the engine.
func (p *pool) update(fn func(tx core.Tx) error) {
	p.t.Helper()
	if err := p.store.Update(p.t.Context(), fn); err != nil {
		p.t.Fatal(err)
	}
}
