package core_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
	"github.com/metalpool/metalpool/core/placetest"
)

// TestModel plays random operations, crashes among them, against a model that knows
// only what callers were promised: which machines exist, and which nodes are kept out
// by whom. After each the invariants hold, in the store and on the servers.
func TestModel(t *testing.T) { placetest.Each(t, playAt) }

func playAt(t *testing.T, at placetest.Place) {
	begin := makePreset(t, at, 3, func(*pool) {})
	plays := 100
	if _, files := at.(placetest.Files); raceDetector || !files {
		plays = 10
	}
	done := 0
	for done < plays && !t.Failed() {
		// rapid stops after a day, which in a bubble is some twenty plays.
		synctest.Test(t, func(t *testing.T) {
			// Nor has a bubble a deadline that rapid could ask for.
			rapid.Check(struct{ rapid.TB }{t}, func(r *rapid.T) {
				done++
				play(t, r, begin)
			})
		})
	}
}

func play(t *testing.T, r *rapid.T, begin preset) {
	m := &model{T: r, pool: begin.pool(t), machines: map[string]core.AllocationID{}, paused: map[core.NodeID]bool{}}
	defer m.close()
	r.Repeat(map[string]func(*rapid.T){
		"create": m.create, "release": m.release, "power": m.power, "reconcile": m.reconcile, "wait": m.wait,
		"pause": m.pause, "resume": m.resume, "retire and enroll": m.replace, "repair": m.repair, "fault": m.fault,
		"crash": m.crash, "acquire": m.acquire, "": m.check,
	})
	m.wake()
	m.pool.reconcile()
	m.check(r)
	m.emptied(r)
}

type model struct {
	*rapid.T
	pool     *pool
	count    int
	machines map[string]core.AllocationID // promised and not released, by name
	unsure   []core.AllocationID          // of calls that never answered
	paused   map[core.NodeID]bool
	frozen   []frozenCall
}

type frozenCall struct {
	host  *enginetest.Host
	ended chan struct{}
}

var modelNames = []string{"web", "db", "ci"}

func (m *model) order(r *rapid.T) core.Order {
	m.count++
	name := rapid.SampledFrom(modelNames).Draw(r, "name")
	o := order(fmt.Sprintf("%s-%d", name, m.count), name)
	o.AcquireTimeout = time.Minute
	return o
}

func (m *model) create(r *rapid.T) {
	o := m.order(r)
	e, _ := m.pool.engine()
	got, err := e.Create(context.Background(), o, nil)
	before, had := m.machines[o.Name]
	switch {
	case err == nil && (got.State != core.Deployed || got.Name != o.Name):
		r.Fatalf("created %+v", got)
	case err == nil && had && got.ID != before:
		r.Fatalf("%s was %s and is %s now", o.Name, before, got.ID)
	case err == nil:
		m.machines[o.Name] = got.ID
	case core.Is(err, core.Internal, core.LeaseLost, core.Invalid):
		r.Fatalf("create: %v", err)
	}
	m.find(o.Name)
}

// find looks whether a create that nobody heard the answer of has deployed a machine.
func (m *model) find(name string) {
	e := core.New(core.Config{Store: m.pool.store})
	if a, err := e.MachineNamed(context.Background(), "ann", name); err == nil && a.State == core.Deployed {
		m.machines[name] = a.ID
	}
}

func (m *model) acquire(r *rapid.T) {
	e, _ := m.pool.engine()
	_, err := e.Acquire(context.Background(), complete(m.order(r)), nil)
	if err != nil && !core.Is(err, core.NoCapacity, core.Exists) {
		r.Fatalf("acquire: %v", err)
	}
}

func (m *model) pick(r *rapid.T) (name string, id core.AllocationID) {
	var names []string
	for name := range m.machines {
		names = append(names, name)
	}
	if len(names) == 0 {
		r.Skip("no machine")
	}
	slices.Sort(names)
	name = rapid.SampledFrom(names).Draw(r, "machine")
	return name, m.machines[name]
}

func (m *model) release(r *rapid.T) {
	name, id := m.pick(r)
	e, _ := m.pool.engine()
	if err := e.Release(context.Background(), id, core.ReleaseOptions{WaitClean: rapid.Bool().Draw(r, "wait")}, nil); err != nil && !core.Is(err, core.Transient, core.Backend) {
		r.Fatalf("release of %s: %v", id, err)
	}
	if a := m.pool.machine(id); a.State != core.Released {
		r.Fatalf("%s was released and is %s", id, a.State)
	}
	delete(m.machines, name)
}

func (m *model) power(r *rapid.T) {
	_, id := m.pick(r)
	e, _ := m.pool.engine()
	verb := rapid.SampledFrom([]core.PowerVerb{core.PowerRestart, core.TurnOn}).Draw(r, "verb")
	if err := e.SetPower(context.Background(), id, verb); err != nil && !core.Is(err, core.Busy, core.Transient, core.Backend) {
		r.Fatalf("power %s of %s: %v", verb, id, err)
	}
	pass(m.pool.rack.POST + time.Second)
}

func (m *model) wait(r *rapid.T) {
	pass(time.Duration(rapid.IntRange(1, 1000).Draw(r, "seconds")) * time.Second)
}

func (m *model) reconcile(r *rapid.T) {
	e, _ := m.pool.engine()
	abandon := rapid.Bool().Draw(r, "abandon deploys")
	if _, err := e.Reconcile(context.Background(), core.ReconcileOptions{AbandonDeploys: abandon}, nil); err != nil && !core.Is(err, core.Transient, core.Backend) {
		r.Fatalf("reconcile: %v", err)
	}
}

// turn applies an operator's verb to a node in one of the states, and wants it refused
// in every other.
func (m *model) turn(r *rapid.T, from core.State, verb func(e *core.Engine, id core.NodeID) error) (id core.NodeID, done bool) {
	nodes := m.pool.nodes()
	n := rapid.SampledFrom(nodes).Draw(r, "node")
	e, _ := m.pool.engine()
	err := verb(e, n.ID)
	if (n.State == from) != (err == nil) {
		r.Fatalf("node %s is %s: %v", n.ID, n.State, err)
	}
	return n.ID, err == nil
}

func (m *model) pause(r *rapid.T) {
	id, done := m.turn(r, core.Available, func(e *core.Engine, id core.NodeID) error {
		_, err := e.Pause(context.Background(), id, "for a while")
		return err
	})
	if done {
		m.paused[id] = true
	}
}

func (m *model) resume(r *rapid.T) {
	id, done := m.turn(r, core.Maintenance, func(e *core.Engine, id core.NodeID) error {
		_, err := e.Resume(context.Background(), id, "done")
		return err
	})
	if done {
		delete(m.paused, id)
	}
}

func (m *model) repair(r *rapid.T) {
	m.turn(r, core.Quarantined, func(e *core.Engine, id core.NodeID) error {
		_, err := e.Repair(context.Background(), id, "repaired")
		return err
	})
}

// replace takes a node out of the inventory and puts it in again.
func (m *model) replace(r *rapid.T) {
	n := rapid.SampledFrom(m.pool.nodes()).Draw(r, "node")
	e, _ := m.pool.engine()
	err := e.Retire(context.Background(), n.ID, "replaced")
	atRest := n.State == core.Available || n.State == core.Quarantined || n.State == core.Maintenance
	if atRest != (err == nil) {
		r.Fatalf("node %s is %s, and to retire it: %v", n.ID, n.State, err)
	}
	if err != nil {
		return
	}
	delete(m.paused, n.ID)
	m.pool.rack.Server(n.ID).Heal()
	if _, err := e.Enroll(context.Background(), core.Enrollment{ID: n.ID, URL: m.pool.rack.Server(n.ID).BMC(), Erase: true}, nil); err != nil {
		r.Fatalf("enroll: %v", err)
	}
}

func (m *model) fault(r *rapid.T) {
	s := rapid.SampledFrom(m.pool.rack.Servers()).Draw(r, "server")
	s.Fail(enginetest.Fault{
		Op:    rapid.SampledFrom([]string{"power", "set power off", "set power on", "insert", "boot once", "eject", "check-in", "write", "seed", "kexec", "erase", "inventory"}).Draw(r, "operation"),
		Err:   rapid.SampledFrom([]error{enginetest.ErrUnreachable, enginetest.ErrBroken}).Draw(r, "error"),
		Times: rapid.IntRange(1, 3).Draw(r, "times"), After: rapid.Bool().Draw(r, "after"),
	})
}

// crash begins a create or a release that freezes on the way.
func (m *model) crash(r *rapid.T) {
	e, host := m.pool.engine()
	var act func()
	if rapid.Bool().Draw(r, "create") || len(m.machines) == 0 {
		o := m.order(r)
		if _, there := m.machines[o.Name]; there {
			r.Skip("it is there")
		}
		m.unsure = append(m.unsure, o.ID)
		act = func() { _, _ = e.Create(context.Background(), o, nil) } // nobody hears the answer
	} else {
		name, id := m.pick(r)
		delete(m.machines, name)
		m.unsure = append(m.unsure, id)
		act = func() { _ = e.Release(context.Background(), id, core.ReleaseOptions{WaitClean: true}, nil) }
	}
	host.Freeze(rapid.IntRange(1, 60).Draw(r, "call"), rapid.SampledFrom([]enginetest.When{enginetest.Before, enginetest.Late, enginetest.After}).Draw(r, "when"))
	call := frozenCall{host, make(chan struct{})}
	go func() {
		defer close(call.ended)
		act()
	}()
	select {
	case <-host.Frozen():
		synctest.Wait() // its last call takes effect first
		m.frozen = append(m.frozen, call)
	case <-call.ended:
	}
	for _, name := range modelNames {
		m.find(name)
	}
	if rapid.Bool().Draw(r, "wake the dead") {
		m.wake()
	}
}

// wake lets all that is frozen go on to its end.
func (m *model) wake() {
	for _, call := range m.frozen {
		call.host.Thaw()
		<-call.ended
	}
	m.frozen = nil
	for name, id := range m.machines { // what they have released is so
		if slices.Contains(m.unsure, id) && m.pool.machine(id).State.Ended() {
			delete(m.machines, name)
		}
	}
	for _, name := range modelNames {
		m.find(name)
	}
}

// close ends one play; there are many in one test.
func (m *model) close() {
	m.wake()
	if err := m.pool.store.Close(); err != nil {
		m.Error(err)
	}
	m.pool.at.Drop(m.pool.t, m.pool.address)
}

func (m *model) check(r *rapid.T) {
	found := m.pool.problems()
	for name, id := range m.machines {
		if a := m.pool.machine(id); a.State.Ended() && !slices.Contains(m.unsure, id) {
			found = append(found, fmt.Sprintf("%s (%s) was promised, and is %s: %s", name, id, a.State, a.Reason))
		}
	}
	for _, n := range m.pool.nodes() {
		if m.paused[n.ID] != (n.State == core.Maintenance) {
			found = append(found, fmt.Sprintf("node %s is %s; paused: %t", n.ID, n.State, m.paused[n.ID]))
		}
	}
	if len(found) > 0 {
		r.Fatalf("%s\n%s", strings.Join(found, "\n"), m.pool.story())
	}
}

// emptied releases all that is left: every node then is at rest, with nobody's data
// where it may be claimed.
func (m *model) emptied(r *rapid.T) {
	e, _ := m.pool.engine()
	for _, s := range m.pool.rack.Servers() {
		s.Heal()
	}
	all, err := e.Machines(context.Background(), core.AllocationFilter{Live: true})
	if err != nil {
		r.Fatal(err)
	}
	for _, a := range all {
		if err := e.Release(context.Background(), a.ID, core.ReleaseOptions{}, nil); err != nil {
			r.Fatalf("the last release of %s: %v", a.ID, err)
		}
	}
	m.pool.reconcile()
	for _, n := range m.pool.nodes() {
		if n.State != core.Available && n.State != core.Quarantined && n.State != core.Maintenance {
			r.Errorf("node %s is %s in the end", n.ID, n.State)
		}
	}
	for _, problem := range m.pool.problems() {
		r.Errorf("in the end: %s", problem)
	}
	if r.Failed() {
		r.Fatalf("\n%s", m.pool.story())
	}
}
