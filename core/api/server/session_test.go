package server_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// A machine's life through the server is the one that the engine has by itself.
func TestSession(t *testing.T) {
	r := newRig(t, 2)
	s := r.serve("")
	c := s.client(r.operator())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	if err := c.Check(ctx, order("web-1")); err != nil {
		t.Fatal(err)
	}
	var steps []string
	o := order("web-1")
	o.UserData = []byte("#cloud-config\npassword: hunter2\n")
	m, err := c.Create(ctx, o, func(p core.Progress) { steps = append(steps, p.Step) })
	if err != nil {
		t.Fatal(err)
	}
	if m.State != core.Deployed || m.Owner != "ops" || len(steps) < 5 || steps[0] != "node" {
		t.Errorf("made %+v, by %q", m, steps)
	}
	there, err := s.engine.Machine(ctx, m.ID)
	if err != nil || !reflect.DeepEqual(there, m) {
		t.Errorf("the store has\n%+v, the client was told\n%+v (%v)", there, m, err)
	}
	// The same again is the same machine.
	if again, err := c.Create(ctx, o, nil); err != nil || again.ID != m.ID || again.Node != m.Node {
		t.Errorf("again: %+v, %v", again, err)
	}
	name := "web-2"
	if m, err = c.Change(ctx, m.ID, core.MachineChange{Name: &name, Labels: map[string]*string{"a": &name, "b": nil}}); err != nil || m.Name != name || m.Labels["a"] != name {
		t.Errorf("changed to %+v, %v", m, err)
	}
	if _, err := c.Change(ctx, m.ID, core.MachineChange{Labels: map[string]*string{"a": nil}, Labelled: map[string]string{"a": "web-1"}}); !core.Is(err, core.Busy) {
		t.Errorf("changed what was not so: %v", err)
	}
	if m, err = c.MachineNamed(ctx, core.DefaultOwner(), name); err != nil || m.ID != o.ID {
		t.Errorf("by name: %+v, %v", m, err)
	}
	if err := c.SetPower(ctx, m.ID, core.TurnOff); err != nil {
		t.Error(err)
	}
	if power, err := c.Power(ctx, m.ID); err != nil || power != core.PowerOff {
		t.Errorf("power is %s, %v", power, err)
	}
	if events, err := c.Events(ctx, core.EventFilter{Allocation: m.ID}); err != nil || len(events) < 5 {
		t.Errorf("%d events, %v", len(events), err)
	}
	if err := c.Release(ctx, m.ID, core.ReleaseOptions{WaitClean: true}, nil); err != nil {
		t.Fatal(err)
	}
	nodes, err := c.Nodes(ctx, core.NodeFilter{States: []core.State{core.Available, core.Cleaning}})
	if err != nil || len(nodes) != 2 {
		t.Errorf("%d nodes are there again, %v", len(nodes), err)
	}
	for _, n := range nodes {
		if n.Spec.BMC.Secret != nil {
			t.Errorf("%s comes with its sealed password", n.ID)
		}
	}
	if broken, err := c.Verify(ctx); err != nil || len(broken) > 0 {
		t.Errorf("broken: %v, %v", broken, err)
	}
}

// The operator's part: what is written comes back as the engine has it.
func TestOperatorsSession(t *testing.T) {
	r := newRig(t, 2)
	s := r.serve("")
	c := s.client(r.operator())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	pool := core.Pool{Name: "ci", DefaultImage: "debian", Quota: 3}
	if err := c.AddPool(ctx, pool); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Pool(ctx, "ci"); err != nil || !reflect.DeepEqual(got, pool) {
		t.Errorf("the pool is %+v, %v", got, err)
	}
	other := pool
	other.Quota = 4
	sameText(t, "add another", c.AddPool(ctx, other), s.engine.AddPool(ctx, other))
	network := core.Network{Ports: []string{"02:00:00:00:00:01"}, VLAN: 7}
	ci, rack := "ci", "r1"
	n, err := c.SetNode(ctx, "n1", core.NodeChange{Pool: &ci, Network: &network, Labels: map[string]*string{"rack": &rack}})
	if err != nil || n.Pool != "ci" || n.Spec.Network == nil || n.Spec.Network.VLAN != 7 || n.Spec.Labels["rack"] != "r1" {
		t.Errorf("the node is %+v, %v", n, err)
	}
	if n, err = c.Pause(ctx, "n1", "memory"); err != nil || n.State != core.Maintenance || n.Reason != "memory" {
		t.Errorf("paused: %+v, %v", n, err)
	}
	if _, err = c.Resume(ctx, "n1", ""); err != nil {
		t.Error(err)
	}
	stages, err := c.Stages(ctx)
	own, ownErr := s.engine.Stages(ctx)
	if err != nil || ownErr != nil || len(stages) != 1 || stages[0].Step != "power off" || !reflect.DeepEqual(stages, own) {
		t.Errorf("at work: %+v, %v; the engine has %+v, %v", stages, err, own, ownErr)
	}
	if n, err = c.AwaitRest(ctx, "n1", nil); err != nil || n.State != core.Available {
		t.Errorf("at rest: %+v, %v", n, err)
	}
	r.file("other.img")
	if _, err := c.AddImage(ctx, core.Image{Name: "other", Source: "other.img", User: "root"}, nil); err != nil {
		t.Error(err)
	}
	if images, err := c.Images(ctx); err != nil || len(images) != 2 {
		t.Errorf("images %+v, %v", images, err)
	}
	if err := c.RemoveImage(ctx, "other", "", false); err != nil {
		t.Error(err)
	}
	r.rack.Server("n2").Say("hello from n2\n", "")
	if lines, err := c.ConsoleTail(ctx, "n2", 5); err != nil || len(lines) != 2 || lines[1] != "hello from n2" {
		t.Errorf("the console says %q, %v", lines, err)
	}
	if err := c.Retire(ctx, "n2", "old"); err != nil {
		t.Error(err)
	}
	if outcomes, err := c.Reconcile(ctx, core.ReconcileOptions{Wait: true}, nil); err != nil || len(outcomes) > 0 {
		t.Errorf("reconciled %+v, %v", outcomes, err)
	}
}

// SaysWhy holds through the server, too: the same words, the same kind.
func TestErrorsReadAsWithoutAServer(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	c, e := s.client(r.operator()), s.engine
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	embedded := func(o core.Order) core.Order {
		o.Owner = "ops"
		return o
	}
	for name, change := range map[string]func(*core.Order){
		"image":    func(o *core.Order) { o.Image = "debain" },
		"name":     func(o *core.Order) { o.Name = "Web_1" },
		"no keys":  func(o *core.Order) { o.Keys = nil },
		"pool":     func(o *core.Order) { o.Request.Pool = "lab" },
		"capacity": func(o *core.Order) { o.Request.CPUs = 1000 },
		"node":     func(o *core.Order) { o.Request.Node = "n9" },
		"negative": func(o *core.Order) { o.Request.CPUs = -1 },
		"waitfor":  func(o *core.Order) { o.WaitFor = "godot" },
	} {
		o := order("web-1")
		change(&o)
		_, through := c.Create(ctx, o, nil)
		_, direct := e.Create(ctx, embedded(o), nil)
		sameText(t, "create with bad "+name, through, direct)
		sameText(t, "check of bad "+name, c.Check(ctx, o), e.Check(ctx, embedded(o)))
	}
	_, through := c.Machine(ctx, "m-9")
	_, direct := e.Machine(ctx, "m-9")
	sameText(t, "unknown machine", through, direct)
	_, through = c.MachineNamed(ctx, "bob", "x")
	_, direct = e.MachineNamed(ctx, "bob", "x")
	sameText(t, "unknown name", through, direct)
	_, through = c.Node(ctx, "n9")
	_, direct = e.Node(ctx, "n9")
	sameText(t, "unknown node", through, direct)
	_, through = c.Repair(ctx, "n1", "")
	_, direct = e.Repair(ctx, "n1", "")
	sameText(t, "repair of a sound node", through, direct)
	sameText(t, "remove a pool in use", c.RemovePool(ctx, core.DefaultPool, "", false), e.RemovePool(ctx, core.DefaultPool, "", false))
	if err := c.Release(ctx, "m-8", core.ReleaseOptions{}, nil); err != nil {
		t.Errorf("an unknown ID is released: %v", err)
	}
	o := order("8")
	_, through = c.Create(ctx, o, nil)
	_, direct = e.Create(ctx, embedded(o), nil)
	sameText(t, "create after its release", through, direct)
}

// TestClientsNameNoReferences: with one, a token of the pool would be one for the
// server's host.
func TestClientsNameNoReferences(t *testing.T) {
	r := newRig(t, 1)
	c := r.serve("").client(r.operator())
	reference := "exec:touch /tmp/metalpool-was-here"
	_, enrolled := c.Enroll(t.Context(), core.Enrollment{ID: "n2", URL: "https://10.0.0.2", Password: reference}, nil)
	_, set := c.SetNode(t.Context(), "n1", core.NodeChange{Password: &reference})
	for _, err := range []error{enrolled, set} {
		if !core.Is(err, core.Denied) || !strings.Contains(err.Error(), "a server takes from nobody but its own host") {
			t.Errorf("got %v", err)
		}
	}
	literal := "literal:" + reference
	if _, err := c.SetNode(t.Context(), "n1", core.NodeChange{Password: &literal}); err != nil {
		t.Error(err)
	}
}
