package core_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// redeploy asks for the same image anew, with other keys.
func redeploy(e *core.Engine, p *pool) error {
	o := core.Order{ID: "a-1", Keys: []string{"ssh-ed25519 BBBB ann"}, Revision: "2"}
	_, err := e.Deploy(p.t.Context(), o, nil)
	return err
}

// What a deploy would refuse is told without it, and nothing is touched.
func TestCheckDeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, host := p.engine()
		m, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.AddImage(t.Context(), core.Image{Name: "arm", Source: "arm", Arch: "arm64", User: "debian"}, nil); err != nil {
			t.Fatal(err)
		}
		before := len(host.Calls())
		for _, c := range []struct {
			order core.Order
			kind  core.Kind
			says  string
		}{
			{core.Order{ID: "a-1"}, "", ""},
			{core.Order{ID: "a-1", Image: "arm"}, core.Invalid, "deploy image arm"},
			{core.Order{ID: "a-1", Image: "nosuch"}, core.NotFound, "find image nosuch"},
			{core.Order{ID: "a-2"}, core.NotFound, "a-2"},
		} {
			err := e.CheckDeploy(t.Context(), c.order)
			if c.kind == "" && err != nil || c.kind != "" && (!core.Is(err, c.kind) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%+v: %v", c.order, err)
			}
		}
		if after := p.machine("a-1"); after.Access.HostKeys[0] != m.Access.HostKeys[0] || slices.Contains(host.Calls()[before:], "set power off") {
			t.Errorf("it was touched: %q", host.Calls()[before:])
		}
	})
}

func TestRedeployKeepsTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		e, _ := p.engine()
		before, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		erases := p.rack.Server(before.Node).Look().Erases
		if err := redeploy(e, p); err != nil {
			t.Fatalf("%v\n%s", err, p.story())
		}
		p.sound()
		after := p.machine("a-1")
		server := p.rack.Server(before.Node).Look()
		switch {
		case after.State != core.Deployed || after.Node != before.Node:
			t.Errorf("it is %s on %s, and was on %s", after.State, after.Node, before.Node)
		case after.Access.HostKeys[0] == before.Access.HostKeys[0]:
			t.Error("the new system has the old host key")
		case server.System == nil || server.System.Keys[0] != "ssh-ed25519 BBBB ann" || server.System.Hostname != "web-1":
			t.Errorf("the system that runs is %+v", server.System)
		case server.Erases != erases:
			t.Errorf("its disks were erased %d times more", server.Erases-erases)
		}

		// The same order again is done, and touches nothing.
		calm, host := p.engine()
		if err := redeploy(calm, p); err != nil {
			t.Error(err)
		}
		if again := p.machine("a-1"); again.Access.HostKeys[0] != after.Access.HostKeys[0] {
			t.Errorf("the same order deployed again: %q", host.Calls())
		}
		// And what made the machine is another order by now.
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); !core.Is(err, core.Exists) {
			t.Errorf("the create of the system before: %v", err)
		}
	})
}

func TestDeployAfresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		first := order("a-1", "web-1")
		first.Hostname, first.SSHUser, first.SSHPort = "db-1", "admin", 2222
		if _, err := e.Create(t.Context(), first, nil); err != nil {
			t.Fatal(err)
		}
		afresh := core.Order{ID: "a-1", Keys: first.Keys, Revision: "2", Afresh: true}
		m, err := e.Deploy(t.Context(), afresh, nil)
		if err != nil || m.Hostname != "web-1" || m.Access.SSHUser != "debian" || m.Access.SSHPort != 22 {
			t.Errorf("%+v, %v", m, err)
		}
		// To go on with it is the same order, though now there is one to take over from.
		if again, err := e.Deploy(t.Context(), afresh, nil); err != nil || again.Access.HostKeys[0] != m.Access.HostKeys[0] {
			t.Errorf("again: %+v, %v", again, err)
		}
	})
}

func TestRedeployThatCannotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		if err := redeploy(e, p); !core.Is(err, core.NotFound) {
			t.Errorf("of nothing: %v", err)
		}
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Deploy(t.Context(), core.Order{ID: "a-1", Image: "nosuch"}, nil); !core.Is(err, core.NotFound) {
			t.Errorf("of an image that is not there: %v", err)
		}
		// A BMC that is silent now is no reason to take a running system down.
		p.rack.Server("n1").Fail(enginetest.Fault{Op: "power", Err: enginetest.ErrBroken, Times: -1})
		if err := redeploy(e, p); err == nil {
			t.Error("a redeploy past a broken BMC")
		}
		if m := p.machine("a-1"); m.State != core.Deployed || p.rack.Server("n1").Look().System == nil {
			t.Errorf("the machine that ran is %s", m.State)
		}
		p.rack.Server("n1").Heal()
		if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{}, nil); err != nil {
			t.Fatal(err)
		}
		if err := redeploy(e, p); !core.Is(err, core.Invalid) {
			t.Errorf("of a machine that was released: %v", err)
		}
	})
}

// A redeploy that fails stays on its node, as Failed, and another one mends it. So does
// the create of the same order, which goes on with it: elsewhere a node that fails is
// erased, and here its other disks hold what the owner put there.
func TestRedeployThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		e, _ := p.engine()
		before, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		p.rack.Server(before.Node).Fail(enginetest.Fault{Op: "write", Err: enginetest.ErrBroken, Times: -1})
		if err := redeploy(e, p); !core.Is(err, core.Backend) {
			t.Errorf("with a disk that does not write: %v", err)
		}
		if m := p.machine("a-1"); m.State != core.Failed || m.Node != before.Node {
			t.Errorf("the machine is %s on %s", m.State, m.Node)
		}
		p.sound()
		same := order("a-1", "web-1")
		same.Keys, same.Revision = []string{"ssh-ed25519 BBBB ann"}, "2"
		if _, err := e.Create(t.Context(), same, nil); !core.Is(err, core.Backend) || !strings.Contains(err.Error(), "may hold data") {
			t.Errorf("gone on with by create: %v", err)
		}
		if m := p.machine("a-1"); m.State != core.Failed || m.Node != before.Node {
			t.Errorf("the machine is %s on %s", m.State, m.Node)
		}
		p.sound()
		p.rack.Server(before.Node).Heal()
		if err := redeploy(e, p); err != nil {
			t.Fatal(err)
		}
		if m := p.machine("a-1"); m.State != core.Deployed || m.Node != before.Node {
			t.Errorf("the machine is %s on %s", m.State, m.Node)
		}
		p.sound()
	})
}

// Nobody comes back for the order of a worker that died when its caller wants another one
// by now: that one takes its place, once the lease has lapsed.
func TestAnotherOrderTakesTheDeploysPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		victim, host := p.engine()
		host.FreezeIn("agent write", enginetest.Before)
		ended := make(chan error, 1)
		go func() {
			_, err := victim.Create(t.Context(), order("a-1", "web-1"), nil)
			ended <- err
		}()
		<-host.Frozen()
		began := time.Now()
		e, _ := p.engine()
		if err := redeploy(e, p); err != nil {
			t.Errorf("%v\n%s", err, p.story())
		}
		if took := time.Since(began); took > timing.Lease+timing.Call+2*time.Minute {
			t.Errorf("it took %s", took)
		}
		if keys := p.keysOn("n1"); len(keys) != 1 || keys[0] != "ssh-ed25519 BBBB ann" {
			t.Errorf("the machine lets %q in", keys)
		}
		p.sound()
		host.Thaw()
		if err := <-ended; !core.Is(err, core.LeaseLost) {
			t.Errorf("the worker that was thought dead: %v", err)
		}
		p.sound()
	})
}

// A process that is suspended once its deploy is done wakes up after others have deployed
// the machine anew: its own order is over.
func TestADeployThatIsDoneIsNotDoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatal(err)
		}
		deploy := func(e *core.Engine, key string) error {
			_, err := e.Deploy(t.Context(), core.Order{ID: "a-1", Keys: []string{key}}, nil)
			return err
		}
		counted, host := p.engine()
		if err := deploy(counted, "ssh-ed25519 BBBB ann"); err != nil {
			t.Fatal(err)
		}
		calls := host.Calls()
		if calls[len(calls)-1] != "store view" {
			t.Fatalf("it ends with %q", calls)
		}
		for back := range 3 { // from the last look at what there is
			late, host := p.engine()
			host.Freeze(len(calls)-back, enginetest.Before)
			ended := make(chan error, 1)
			go func() { ended <- deploy(late, "ssh-ed25519 CCCC ann") }()
			<-host.Frozen()
			if err := deploy(e, "ssh-ed25519 DDDD ann"); err != nil {
				t.Fatal(err)
			}
			host.Thaw()
			if err := <-ended; err != nil && !core.Is(err, core.LeaseLost) {
				t.Error(err)
			}
			if keys := p.keysOn("n1"); len(keys) != 1 || keys[0] != "ssh-ed25519 DDDD ann" {
				t.Errorf("frozen in call %d from the end: the machine lets %q in", back+1, keys)
			}
			p.sound()
		}
	})
}

// Whoever renames a machine, or asks other things of it, while it is being deployed stops
// nobody: should its node fail, the create goes on elsewhere.
func TestAChangeMeanwhileStopsNoCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		for _, s := range p.rack.Servers() {
			s.Fail(enginetest.Fault{Op: "write", Err: enginetest.ErrBroken, Times: 1, Unless: func(r *enginetest.Rack) bool { return r.Hits("write") > 0 }})
		}
		e, host := p.engine()
		host.FreezeIn("agent write", enginetest.Before)
		ended := make(chan error, 1)
		go func() {
			_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
			ended <- err
		}()
		<-host.Frozen()
		other, _ := p.engine()
		name := "front-1"
		if _, err := other.Change(t.Context(), "a-1", core.MachineChange{Name: &name, Request: &core.Request{CPUs: 1}}); err != nil {
			t.Fatal(err)
		}
		host.Thaw()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		m := p.machine("a-1")
		if m.State != core.Deployed || m.Name != name || len(m.Moves) != 1 || m.Hostname != "web-1" || m.Request.CPUs != 1 {
			t.Errorf("it is %+v", m)
		}
		p.sound()
	})
}

// Allocation and deployment apart: a deploy that fails keeps the node, and the one that
// mends it goes on there.
func TestAllocateThenDeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		e, host := p.engine()
		a, err := e.Allocate(t.Context(), core.Order{ID: "a-1", Owner: "ann", Name: "web-1"}, nil)
		if err != nil || a.State != core.Allocated {
			t.Fatal(a, err)
		}
		for _, call := range host.Calls() {
			if strings.HasPrefix(call, "bmc ") {
				t.Errorf("allocating called %q", call)
			}
		}
		p.rack.Server(a.Node).Fail(enginetest.Fault{Op: "write", Err: enginetest.ErrBroken, Times: 1})
		o := order("a-1", "")
		if _, err := e.Deploy(t.Context(), o, nil); !core.Is(err, core.Backend) {
			t.Errorf("with a write that fails: %v", err)
		}
		if m := p.machine("a-1"); m.State != core.Failed || m.Node != a.Node {
			t.Errorf("the machine is %s on %s", m.State, m.Node)
		}
		// Who has lost all it knew asks as before, and finds what it had.
		lost := core.Order{ID: "a-2", Owner: "ann", Name: "web-1"}
		if m, err := e.Allocate(t.Context(), lost, nil); err != nil || m.ID != "a-1" || m.State != core.Failed {
			t.Errorf("asked for again: %+v, %v", m, err)
		}
		m, err := e.Deploy(t.Context(), o, nil)
		if err != nil || m.State != core.Deployed || m.Node != a.Node || m.Name != "web-1" {
			t.Errorf("deployed: %+v, %v", m, err)
		}
		if m, err := e.Allocate(t.Context(), lost, nil); !core.Is(err, core.Exists) || !strings.Contains(err.Error(), "is there as a-1 (Deployed") {
			t.Errorf("asked for again once it is deployed: %+v, %v", m, err)
		}
		if m, err := e.Allocate(t.Context(), core.Order{ID: "a-1", Owner: "ann", Name: "web-1"}, nil); err != nil || m.State != core.Deployed {
			t.Errorf("the same ID again: %+v, %v", m, err)
		}
		p.sound()
	})
}

func TestChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		e, _ := p.engine()
		for id, name := range map[string]string{"a-1": "web-1", "a-2": "web-2"} {
			o := order(id, name)
			o.Labels = map[string]string{"tier": "web", "team": "shop"}
			if _, err := e.Allocate(t.Context(), o, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range p.nodes() {
			rack := "r-" + string(n.ID)
			if _, err := e.SetNode(t.Context(), n.ID, core.NodeChange{Labels: map[string]*string{"rack": &rack}}); err != nil {
				t.Fatal(err)
			}
		}
		name, tier := "front-1", "edge"
		m, err := e.Change(t.Context(), "a-1", core.MachineChange{Name: &name, Labels: map[string]*string{"tier": &tier, "team": nil}})
		if err != nil || m.Name != name || len(m.Labels) != 1 || m.Labels["tier"] != tier {
			t.Errorf("%+v, %v", m, err)
		}
		if found, err := e.MachineNamed(t.Context(), "ann", name); err != nil || found.ID != "a-1" || found.Labels["tier"] != tier {
			t.Errorf("%+v, %v", found, err)
		}
		if _, err := e.MachineNamed(t.Context(), "ann", "web-1"); !core.Is(err, core.NotFound) {
			t.Errorf("its old name: %v", err)
		}
		// Who has seen it before somebody else changed it changes nothing; it may have been
		// done already.
		rack2, none := "r-2", map[string]string{"tier": tier}
		both := map[string]string{"tier": tier, "zone": rack2}
		for _, c := range []struct {
			what   string
			change core.MachineChange
			kind   core.Kind
			labels map[string]string
		}{
			{"seen as it was", core.MachineChange{Labels: map[string]*string{"tier": &rack2}, Labelled: map[string]string{"tier": "web"}}, core.Busy, none},
			{"seen without", core.MachineChange{Labels: map[string]*string{"tier": &rack2}, Labelled: map[string]string{"tier": ""}}, core.Busy, none},
			{"keys of what it was", core.MachineChange{Keys: []string{"ssh-ed25519 BBBB ann"}, Labelled: map[string]string{"tier": "web"}}, core.Busy, none},
			{"done already", core.MachineChange{Labels: map[string]*string{"tier": &tier}, Labelled: map[string]string{"tier": "web"}}, "", none},
			{"seen as it is", core.MachineChange{Labels: map[string]*string{"zone": &rack2}, Labelled: map[string]string{"tier": tier, "zone": ""}}, "", both},
			{"taken back", core.MachineChange{Labels: map[string]*string{"zone": nil}, Labelled: both}, "", none},
		} {
			_, err := e.Change(t.Context(), "a-1", c.change)
			m, lookErr := e.Machine(t.Context(), "a-1")
			if (err == nil) != (c.kind == "") || err != nil && !core.Is(err, c.kind) || lookErr != nil || !maps.Equal(m.Labels, c.labels) {
				t.Errorf("%s: %v; it has %v, %v", c.what, err, m.Labels, lookErr)
			}
		}
		asked := core.Request{CPUs: 1, Labels: []core.Selector{{Label: "rack", Op: core.OpNotEqual, Values: []string{"nowhere"}}}}
		if m, err := e.Change(t.Context(), "a-1", core.MachineChange{Request: &asked}); err != nil || m.Request.CPUs != 1 || len(m.Request.Labels) != 1 || m.Request.Pool != core.DefaultPool {
			t.Errorf("what its node has: %+v, %v", m.Request, err)
		}
		bad, taken := "no spaces", "web-2"
		for what, c := range map[string]struct {
			change core.MachineChange
			kind   core.Kind
		}{
			"a name of somebody": {core.MachineChange{Name: &taken}, core.Exists},
			"a bad name":         {core.MachineChange{Name: &bad}, core.Invalid},
			"what it lacks":      {core.MachineChange{Request: &core.Request{CPUs: 4096}}, core.Invalid},
			"another pool":       {core.MachineChange{Request: &core.Request{Pool: "lab"}}, core.Invalid},
			"what is nowhere":    {core.MachineChange{Request: &core.Request{Place: core.Placement{Key: "rack", Mode: "apart"}}}, core.Invalid},
			"another place":      {core.MachineChange{Request: &core.Request{Place: core.Placement{Key: "rack", Mode: core.Together}}}, core.Invalid},
			"a bad label":        {core.MachineChange{Labels: map[string]*string{"a b": &tier}}, core.Invalid},
		} {
			if _, err := e.Change(t.Context(), "a-1", c.change); !core.Is(err, c.kind) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{}, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Change(t.Context(), "a-1", core.MachineChange{Name: &name}); !core.Is(err, core.Denied) {
			t.Errorf("of a machine that was given up: %v", err)
		}
		if _, err := e.Change(t.Context(), "nobody", core.MachineChange{}); !core.Is(err, core.NotFound) {
			t.Errorf("of nothing: %v", err)
		}
	})
}
