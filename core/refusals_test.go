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

// TestSaysWhy holds refusals to their exact words: what was asked, what there is, why
// not, and what to do next.
func TestSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 3)
		e, _ := p.engine()
		create := func(o core.Order) error {
			_, err := e.Create(t.Context(), o, nil)
			return err
		}
		with := func(id, name string, change func(o *core.Order)) core.Order {
			o := order(id, name)
			change(&o)
			return o
		}
		refused := func(what string, err error, kind core.Kind, want string) {
			t.Helper()
			if err == nil || err.Error() != want {
				t.Errorf("%s:\ngot  %v\nwant %s", what, err, want)
			}
			if !core.Is(err, kind) {
				t.Errorf("%s: the kind is %q, want %q", what, core.KindOf(err), kind)
			}
		}
		label := "r1"
		if _, err := e.SetNode(t.Context(), "n3", core.NodeChange{Labels: map[string]*string{"rack": &label}}); err != nil {
			t.Fatal(err)
		}
		first := with("a-1", "web-1", func(o *core.Order) { o.Request.Node = "n1" })
		if err := create(first); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Pause(t.Context(), "n2", "a fan"); err != nil {
			t.Fatal(err)
		}

		refused("no node matches", create(with("b-1", "big", func(o *core.Order) {
			o.Request.Memory = 128 * core.GiB
		})), core.NoCapacity,
			"acquire big: no capacity: 0 of 3 nodes match (n1, n2, n3 have 64 GiB of the 128 GiB memory asked for); see 'metalpool node list'")
		refused("node by node", create(with("b-2", "racked", func(o *core.Order) {
			o.Request.Labels = []core.Selector{{Label: "rack", Op: core.OpNotEqual, Values: []string{"r1"}}}
		})), core.NoCapacity,
			"acquire racked: no capacity: 0 of 3 nodes match (1 maintenance, 1 deployed, n3 has rack=r1 (asked for rack!=r1)); wait for one with --wait 30m, or see 'metalpool node list'")
		refused("the node asked for is taken", create(with("b-3", "mine", func(o *core.Order) { o.Request.Node = "n1" })), core.NoCapacity,
			"acquire mine: no capacity: n1 is deployed for ann/web-1; wait for one with --wait 30m, or see 'metalpool node list'")
		refused("it is somebody else's", create(with("b-6", "mine", func(o *core.Order) { o.Owner, o.Request.Node = "bob", "n1" })), core.NoCapacity,
			"acquire mine: no capacity: n1 is deployed, and another owner's; wait for one with --wait 30m, or see 'metalpool node list'")
		refused("it was waited for", create(with("b-7", "mine", func(o *core.Order) { o.Wait, o.Request.Node = time.Nanosecond, "n1" })), core.NoCapacity,
			"acquire mine: no capacity: n1 is deployed for ann/web-1; wait longer, or see 'metalpool node list'")
		refused("no such node", create(with("b-4", "mine", func(o *core.Order) { o.Request.Node = "n9" })), core.NotFound,
			"acquire mine (node n9): not found: no such node; there are: n1, n2, n3")
		refused("no such pool", create(with("b-5", "mine", func(o *core.Order) { o.Request.Pool = "gpu"; o.Image = "debian" })), core.NotFound,
			"find pool gpu: not found: no such pool; there are: default")
		refused("the same name, deployed", create(with("a-2", "web-1", func(o *core.Order) { o.Request.Node = "n1" })), core.Exists,
			"acquire web-1: ann/web-1 is there as a-1 (Deployed, node n1); use it as it is, choose another name, or release it with 'metalpool machine release a-1'")
		refused("the same name, another request", create(order("a-3", "web-1")), core.Exists,
			"acquire web-1: ann/web-1 is there as a-1 (Deployed) with another request (Node: n1 there, none asked for); choose another name, or release it with 'metalpool machine release a-1'")
		refused("the same ID, another request", create(with("a-1", "web-1", func(o *core.Order) { o.Request.CPUs = 4; o.Request.NICs = []core.NICNeed{{Count: 4, Mbps: 25000}} })), core.Exists,
			"acquire web-1: the allocation a-1 is there with another request (Node: n1 there, none asked for; CPUs: none there, 4 asked for; NICs: none there, 4x25G asked for); ask with the same request, or release it first: metalpool machine release a-1")
		refused("the same ID, other user data", create(with("a-1", "web-1", func(o *core.Order) { o.Request.Node = "n1"; o.UserData = []byte("#!") })), core.Exists,
			"acquire web-1: the allocation a-1 is there with another request (the user data is different); ask with the same request, or release it first: metalpool machine release a-1")
		again, err := e.Create(t.Context(), first, nil)
		if err != nil || again.Node != "n1" || again.State != core.Deployed {
			t.Errorf("the same ID with the same request: %+v, %v", again, err)
		}
		refused("unknown image", create(with("b-6", "mine", func(o *core.Order) { o.Image = "windows" })), core.NotFound,
			"find image windows: not found: no such image; there are: debian")
		refused("no key", create(with("b-7", "mine", func(o *core.Order) { o.Keys = nil })), core.Invalid,
			"create mine: no SSH key was given, so nobody could log in; give at least one public key")
		refused("bad name", create(order("b-8", "-x")), core.Invalid,
			"create -x: \"-x\" is not a machine name; use letters, digits and dashes, at most 63, and begin and end with a letter or digit")
		refused("bad ID", create(order("b/9", "mine")), core.Invalid,
			"create mine: \"b/9\" is not an allocation ID; use 1 to 64 letters, digits, dots, dashes and underscores")
		refused("bad user data", create(with("b-10", "mine", func(o *core.Order) { o.UserData = []byte("bad") })), core.Invalid,
			"render seed mine: the user data is bad")

		if err := e.Release(t.Context(), "gone-1", core.ReleaseOptions{Reason: "rm"}, nil); err != nil {
			t.Error(err)
		}
		refused("a tombstone", create(order("gone-1", "late")), core.Exists,
			"acquire late: the allocation gone-1 has ended (Released: released before it was acquired: rm) and never acquires again; make a new ID for a new machine")
		if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{Reason: "rm", WaitClean: true}, nil); err != nil {
			t.Error(err)
		}
		refused("a released ID", create(first), core.Exists,
			"acquire web-1: the allocation a-1 has ended (Released: rm) and never acquires again; make a new ID for a new machine")
		refused("release of what is no ID", e.Release(t.Context(), "../x", core.ReleaseOptions{}, nil), core.Invalid,
			"release ../x: not an allocation ID; see 'metalpool machine list'")
		refused("power of a released machine", e.SetPower(t.Context(), "a-1", core.TurnOn), core.Denied,
			"power on web-1: denied: the machine was given up: Released; create a new one")

		twin := p.rack.Server("n1")
		_, err = e.Enroll(t.Context(), core.Enrollment{ID: "twin", URL: twin.BMC()}, nil)
		refused("enrolled twice", err, core.Exists,
			"enroll (node twin): node n1 has the same uuid, 5ca1ab1e000040008000000000000001; it is the same server: change that node with 'metalpool node set', or retire it first")
		stranger := p.rack.Add("n4")
		tagOf(t, p, "n4", "metalpool:other")
		_, err = e.Enroll(t.Context(), core.Enrollment{ID: "n4", URL: stranger.BMC()}, nil)
		refused("of another pool", err, core.Denied,
			"enroll (node n4): denied: its asset tag says that it belongs to another pool: metalpool:other; retire it there first; if that pool is gone, enroll with --take-over")
		if _, err := e.Enroll(t.Context(), core.Enrollment{ID: "n4", URL: stranger.BMC(), TakeOver: true}, nil); err != nil {
			t.Error(err)
		}
		p.sound()
	})
	t.Run("no image", func(t *testing.T) {
		p := bareRack(t, 0)
		e, _ := p.engine()
		if err := e.SetPool(t.Context(), core.Pool{Name: core.DefaultPool}); err != nil {
			t.Fatal(err)
		}
		_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		const want = "create web-1: no image was named and pool \"default\" has no default; name one of 'metalpool image list', or set a default with 'metalpool pool set default --image NAME'"
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		o := order("a-1", "web-1")
		o.Image = "debian"
		_, err = e.Create(t.Context(), o, nil)
		const empty = "acquire web-1: no capacity: pool \"default\" has no nodes; enroll some with 'metalpool node enroll', or name another pool ('metalpool pool list')"
		if err == nil || err.Error() != empty {
			t.Errorf("got  %v\nwant %s", err, empty)
		}
	})
}

func tagOf(t *testing.T, p *pool, id core.NodeID, tag string) {
	t.Helper()
	host := p.rack.Host()
	bmc, err := host.Connect(t.Context(), core.Endpoint{URL: p.rack.Server(id).BMC()}, "", nil)
	if err == nil {
		err = bmc.SetTag(t.Context(), tag)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestErrorText(t *testing.T) {
	inner := &core.Error{Op: "reach BMC", Kind: core.Transient, Err: errors.New("no route")}
	for _, test := range []struct {
		err  error
		text string
		kind core.Kind
	}{
		{&core.Error{}, "", ""},
		{&core.Error{Kind: core.Busy}, "busy", core.Busy},
		{&core.Error{Op: "acquire", Allocation: "web-1", Kind: core.NoCapacity, Err: errors.New("none"), Hint: "wait"}, "acquire web-1: no capacity: none; wait", core.NoCapacity},
		{&core.Error{Op: "deploy", Node: "n1", Kind: core.Backend, Err: inner}, "deploy (node n1): backend: reach BMC: transient: no route", core.Backend},
		{errors.Join(errors.New("x"), inner), "x\nreach BMC: transient: no route", core.Transient},
		{context.Canceled, "context canceled", core.Timeout},
		{context.DeadlineExceeded, "context deadline exceeded", core.Timeout},
		{errors.New("x"), "x", core.Internal},
	} {
		if test.err.Error() != test.text || core.KindOf(test.err) != test.kind {
			t.Errorf("got %q of kind %q, want %q of kind %q", test.err.Error(), core.KindOf(test.err), test.text, test.kind)
		}
	}
	if core.KindOf(nil) != "" || core.Is(nil, "") {
		t.Error("nil is of a kind")
	}
	if !errors.Is(&core.Error{Err: inner}, inner) {
		t.Error("an Error does not unwrap")
	}
}

// TestQueue: first come, first served; who is gone does not stand in the way.
func TestQueue(t *testing.T) {
	waiting := func(id, name string, wait time.Duration) core.Order {
		o := complete(order(id, name))
		o.Wait = wait
		return o
	}
	taken := func(t *testing.T) (*pool, *core.Engine) {
		p := newPool(t, 1)
		e, _ := p.engine()
		if _, err := e.Acquire(t.Context(), complete(order("holder", "holder")), nil); err != nil {
			t.Fatal(err)
		}
		return p, e
	}
	type answer struct {
		id  core.AllocationID
		err error
	}
	queue := func(p *pool, ctx context.Context, answers chan<- answer, o core.Order) {
		e, _ := p.engine()
		go func() {
			a, err := e.Acquire(ctx, o, nil)
			answers <- answer{a.ID, err}
		}()
		pass(300 * time.Millisecond) // their order is that of the calls
	}
	release := func(t *testing.T, e *core.Engine, id core.AllocationID) {
		t.Helper()
		if err := e.Release(t.Context(), id, core.ReleaseOptions{}, nil); err != nil {
			t.Error(err)
		}
	}
	t.Run("in order", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, e := taken(t)
			answers := make(chan answer, 3)
			for _, id := range []string{"q-3", "q-1", "q-2"} {
				queue(p, t.Context(), answers, waiting(id, id, time.Hour))
			}
			held := core.AllocationID("holder")
			for _, want := range []core.AllocationID{"q-3", "q-1", "q-2"} {
				pass(time.Minute)
				release(t, e, held)
				// A passer-by does not get what others wait for.
				if _, err := e.Acquire(t.Context(), complete(order("passer-by", "passer-by")), nil); !core.Is(err, core.NoCapacity) || !strings.Contains(err.Error(), "queued first") {
					t.Errorf("the passer-by: %v", err)
				}
				got := <-answers
				if got.id != want || got.err != nil {
					t.Errorf("served %+v, want %s", got, want)
				}
				held = got.id
			}
			p.sound()
		})
	})
	t.Run("a dead waiter", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, e := taken(t)
			host := p.rack.Host()
			dead := p.engineOn(host, p.store, cloak{}, nil)
			host.Freeze(5, enginetest.After) // seen (twice), asked, been told why not, queued
			ended := make(chan error, 1)
			go func() {
				_, err := dead.Acquire(t.Context(), waiting("dead", "web-1", time.Hour), nil)
				ended <- err
			}()
			<-host.Frozen()
			pass(time.Second)
			answers := make(chan answer, 1)
			queue(p, t.Context(), answers, waiting("alive", "web-2", time.Hour))
			release(t, e, "holder")
			if got := <-answers; got.id != "alive" || got.err != nil {
				t.Errorf("got %+v", got)
			}
			// Nor does it keep its name.
			heir := complete(order("heir", "web-1"))
			heir.Request.CPUs = 1
			if _, err := e.Acquire(t.Context(), heir, nil); !core.Is(err, core.NoCapacity) {
				t.Errorf("the name of the dead: %v", err)
			}
			host.Thaw()
			if err := <-ended; !core.Is(err, core.Exists) || !strings.Contains(err.Error(), "its waiter was gone") {
				t.Errorf("the dead woke up: %v", err)
			}
			p.sound()
		})
	})
	t.Run("patience ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, e := taken(t)
			began := time.Now()
			_, err := e.Acquire(t.Context(), waiting("a-1", "web-1", time.Minute), nil)
			if !core.Is(err, core.NoCapacity) || time.Since(began) != time.Minute {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
			if m := p.machine("a-1"); m.State != core.Expired {
				t.Errorf("it is %s", m.State)
			}
			// What can never be served does not queue.
			o := waiting("a-2", "web-2", time.Minute)
			o.Request.CPUs = 1000
			began = time.Now()
			if _, err := e.Acquire(t.Context(), o, nil); !core.Is(err, core.NoCapacity) || time.Since(began) != 0 {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
		})
	})
	t.Run("patience ends, whoever got the node meanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, e := taken(t)
			answers := make(chan answer, 1)
			queue(p, t.Context(), answers, waiting("first", "first", time.Hour))
			began, ended := time.Now(), make(chan error, 1)
			go func() {
				_, err := e.Acquire(t.Context(), waiting("second", "second", 10*time.Minute), nil)
				ended <- err
			}()
			pass(time.Minute)
			release(t, e, "holder")
			if got := <-answers; got.id != "first" || got.err != nil {
				t.Errorf("the first gets %+v", got)
			}
			if _, err := e.Deploy(t.Context(), order("first", "first"), nil); err != nil {
				t.Error(err)
			}
			if err := <-ended; !core.Is(err, core.NoCapacity) || time.Since(began) != 10*time.Minute {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
			if m := p.machine("second"); m.State != core.Expired {
				t.Errorf("the second is %s", m.State)
			}
		})
	})
	t.Run("an allocation that is not deployed in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, e := taken(t)
			pass(5*time.Minute + time.Second)
			a, err := e.Acquire(t.Context(), complete(order("a-1", "web-1")), nil)
			if err != nil || a.Node != "n1" {
				t.Errorf("%+v, %v", a, err)
			}
			if m := p.machine("holder"); m.State != core.Expired {
				t.Errorf("the holder is %s", m.State)
			}
			_, err = e.Create(t.Context(), order("holder", "holder"), nil)
			if !core.Is(err, core.Exists) || !strings.Contains(err.Error(), "never acquires again") {
				t.Errorf("an expired ID: %v", err)
			}
			p.sound()
		})
	})
	t.Run("quota", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, 3)
			e, _ := p.engine()
			if err := e.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "debian", Quota: 1}); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Acquire(t.Context(), complete(order("a-1", "web-1")), nil); err != nil {
				t.Fatal(err)
			}
			_, err := e.Acquire(t.Context(), complete(order("a-2", "web-2")), nil)
			const want = "acquire web-2: denied: ann has 1 of the 1 machines that pool \"default\" allows each owner; release one, wait until one is released with --wait 30m, or have the quota raised"
			if err == nil || err.Error() != want {
				t.Errorf("got %v", err)
			}
			other := complete(order("b-1", "web-1"))
			other.Owner = "bob"
			if _, err := e.Acquire(t.Context(), other, nil); err != nil {
				t.Error(err)
			}
			pass(6 * time.Minute) // what has lapsed does not count
			if _, err := e.Acquire(t.Context(), complete(order("a-2", "web-2")), nil); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("a quota that is waited out", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, 2)
			e, _ := p.engine()
			if err := e.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "debian", Quota: 1}); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Acquire(t.Context(), complete(order("a-1", "web-1")), nil); err != nil {
				t.Fatal(err)
			}
			if err := e.Check(t.Context(), waiting("a-2", "web-2", time.Hour)); err != nil {
				t.Errorf("a check of what would wait: %v", err)
			}
			time.AfterFunc(time.Minute, func() { release(t, e, "a-1") })
			began, said := time.Now(), ""
			a, err := e.Acquire(t.Context(), waiting("a-2", "web-2", time.Hour), func(pr core.Progress) { said += pr.Message })
			if err != nil || a.State != core.Allocated || time.Since(began) < time.Minute {
				t.Errorf("after %s: %+v, %v", time.Since(began), a, err)
			}
			if !strings.Contains(said, "ann has 1 of the 1 machines") {
				t.Errorf("it said %q", said)
			}
			if _, err := e.Acquire(t.Context(), waiting("a-3", "web-3", time.Minute), nil); !core.Is(err, core.Denied) {
				t.Errorf("patience ended with %v", err)
			}
			p.sound()
		})
	})
	t.Run("spread and together", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, 4)
			e, _ := p.engine()
			for id, rack := range map[core.NodeID]string{"n1": "r1", "n2": "r1", "n3": "r2", "n4": "r2"} {
				if _, err := e.SetNode(t.Context(), id, core.NodeChange{Labels: map[string]*string{"rack": &rack}}); err != nil {
					t.Fatal(err)
				}
			}
			rack := func(id string, mode core.PlaceMode, group string) (string, error) {
				o := complete(order(id, id))
				o.Request.Place = core.Placement{Mode: mode, Key: "rack", Group: group}
				a, err := e.Acquire(t.Context(), o, nil)
				if err != nil {
					return "", err
				}
				return p.node(a.Node).Spec.Labels["rack"], nil
			}
			first, err1 := rack("s-1", core.Spread, "web")
			second, err2 := rack("s-2", core.Spread, "web")
			if err := errors.Join(err1, err2); err != nil || first == second {
				t.Errorf("spread over %q and %q: %v", first, second, err)
			}
			third, err3 := rack("t-1", core.Together, "db")
			_, err4 := rack("t-2", core.Together, "db")
			if err3 != nil || !core.Is(err4, core.NoCapacity) || !strings.Contains(err4.Error(), "are in another rack than the rest of its group") {
				t.Errorf("together in %q: %v, %v", third, err3, err4)
			}
		})
	})
}
