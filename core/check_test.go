package core

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// soundPicture is a pool in which nothing is broken: a node of each kind, told by its
// events as the engine tells them.
func soundPicture() *picture {
	now := time.Date(2031, 5, 4, 12, 0, 0, 0, time.UTC)
	p := &picture{now: now, leases: map[NodeID]Lease{}, attempts: map[AttemptID]Attempt{}, stories: map[NodeID]*story{}}
	tell := func(id NodeID, events ...Event) {
		for i, ev := range events {
			ev.Node, ev.Seq = id, int64(len(p.nodes)*100+i)
			p.story(id).tell(ev)
		}
	}
	state := func(from, to State) Event { return Event{Type: StateChanged, From: from, To: to, Generation: 1} }
	born := []Event{state(Unborn, Cleaning), {Type: Erased, Generation: 1}, state(Cleaning, Available)}
	add := func(n Node, more ...Event) {
		n.Since = now.Add(-time.Minute)
		p.leases[n.ID] = Lease{Node: n.ID, Generation: 1, Expires: now.Add(-time.Second)}
		tell(n.ID, append(append([]Event{}, born...), more...)...)
		p.nodes = append(p.nodes, n)
	}
	add(Node{ID: "free", State: Available})
	add(Node{ID: "used", State: Deployed, Allocation: "a-1", Spec: NodeSpec{BMC: Endpoint{Secret: Sealed("ours")}}},
		state(Available, Allocated), state(Allocated, Deploying), state(Deploying, Deployed))
	add(Node{ID: "busy", State: Deploying, Allocation: "a-2", Attempt: "d-2"}, state(Available, Allocated), state(Allocated, Deploying))
	add(Node{ID: "dirty", State: Cleaning, Attempt: "c-3"}, state(Available, Allocated), state(Allocated, Deploying), state(Deploying, Cleaning))
	tell("gone", append(born, state(Available, Gone))...)
	p.leases["gone"] = Lease{Node: "gone", Generation: 4}
	p.attempts["d-2"] = Attempt{ID: "d-2", Node: "busy", Allocation: "a-2", Job: JobDeploy, HostKeys: Sealed("ours")}
	p.attempts["c-3"] = Attempt{ID: "c-3", Node: "dirty", Job: JobClean, Boot: &Boot{Secret: Sealed("ours")}}
	p.live = []Allocation{
		{ID: "a-1", Owner: "ann", Name: "web-1", State: Deployed, Node: "used"},
		{ID: "a-2", Owner: "ann", Name: "web-2", State: Deploying, Node: "busy", Order: &DeployOrder{UserData: Sealed("ours")}},
		{ID: "a-3", Owner: "ann", Name: "web-3", State: Waiting, Deadline: now.Add(time.Second)},
	}
	return p
}

func openOurs(s Sealed) error {
	if string(s) != "ours" {
		return errors.New("another key")
	}
	return nil
}

func (p *picture) at(id NodeID) *Node {
	for i := range p.nodes {
		if p.nodes[i].ID == id {
			return &p.nodes[i]
		}
	}
	return nil
}

func TestViolations(t *testing.T) {
	if found := soundPicture().violations(openOurs); len(found) > 0 {
		t.Fatalf("a sound pool: %v", found)
	}
	for _, test := range []struct {
		name      string
		breakIt   func(p *picture)
		invariant string
		what      string
	}{
		{"a node at rest that an allocation has", func(p *picture) { p.at("free").Allocation = "a-1" }, invariantOneOwner, `is Available with allocation "a-1"`},
		{"a node without the allocation it needs", func(p *picture) { p.at("used").Allocation = "" }, invariantOneOwner, `is Deployed with allocation ""`},
		{"an allocation that is not there", func(p *picture) { p.live = p.live[1:] }, invariantOneOwner, "not there or has ended"},
		{"an allocation that holds another node", func(p *picture) { p.live[0].Node = "free" }, invariantOneOwner, `holds "free"`},
		{"states that differ", func(p *picture) { p.live[0].State = Failed }, invariantOneOwner, "is Deployed while its allocation is Failed"},
		{"two allocations on one node", func(p *picture) {
			p.live = append(p.live, Allocation{ID: "a-9", Owner: "bob", Name: "web-1", State: Deployed, Node: "used"})
		}, invariantOneOwner, "holds the node that a-1 holds, too"},
		{"an allocation whose node does not know it", func(p *picture) {
			p.live = append(p.live, Allocation{ID: "a-9", Owner: "bob", Name: "web-1", State: Deployed, Node: "free"})
		}, invariantNothingLost, `its node belongs to ""`},
		{"an allocation whose node is gone", func(p *picture) { p.live[0].Node = "gone" }, invariantNothingLost, "not in the inventory"},
		{"a name twice", func(p *picture) { p.live[1].Name = "web-1" }, invariantNothingLost, "ann/web-1 is a-1 as well"},
		{"work without an attempt", func(p *picture) { delete(p.attempts, "c-3") }, invariantNothingLost, "without an attempt"},
		{"work under an attempt that ended", func(p *picture) { p.attempts["c-3"] = Attempt{ID: "c-3", Node: "dirty", Job: JobClean, EndedAt: p.now} }, invariantNothingLost, "which ended"},
		{"work under another node's attempt", func(p *picture) { p.at("dirty").Attempt = "d-2" }, invariantNothingLost, "another node's"},
		{"work under an attempt at something else", func(p *picture) { p.attempts["c-3"] = Attempt{ID: "c-3", Node: "dirty", Job: JobDeploy} }, invariantNothingLost, "which is to deploy"},
		{"a deploy for somebody else", func(p *picture) {
			p.attempts["d-2"] = Attempt{ID: "d-2", Node: "busy", Job: JobDeploy, Allocation: "a-1"}
		}, invariantNothingLost, `of the allocation "a-1"`},
		{"work that nobody does", func(p *picture) { p.now = p.now.Add(2 * time.Hour); p.live = p.live[:2] }, Overdue, "nobody has worked on it since 2031-05-04T11:59:59Z"},
		{"a wait that nobody ends", func(p *picture) { p.live[2].Deadline = p.now.Add(-2 * time.Hour) }, Overdue, "was to be given up at 2031-05-04T10:00:00Z"},
		{"a node handed on dirty", func(p *picture) { p.story("free").touched = "it was touched" }, invariantClean, "not verifiably erased since"},
		{"a clean that did not erase", func(p *picture) {
			*p.story("free") = *newStory()
			p.story("free").tell(Event{Type: StateChanged, From: Cleaning, To: Available, Generation: 1})
		}, invariantClean, "no event tells of a clean"},
		{"a state that no event led to", func(p *picture) { p.at("dirty").State = Quarantined }, invariantStory, "its last event left it Cleaning"},
		{"a story with a gap", func(p *picture) {
			p.story("dirty").tell(Event{Seq: 999, Type: StateChanged, From: Failed, To: Cleaning})
		}, invariantStory, "event 999 takes it from Failed, and event 305 had left it Cleaning"},
		{"no story", func(p *picture) { delete(p.stories, "used") }, invariantStory, "no event tells how"},
		{"a generation that went back", func(p *picture) {
			p.story("dirty").tell(Event{Seq: 1000, Generation: 7})
			p.story("dirty").tell(Event{Seq: 1001, Generation: 6})
		}, invariantFence, "event 1001 was written under generation 6, after one under generation 7"},
		{"a lease behind its events", func(p *picture) { p.leases["used"] = Lease{Node: "used"} }, invariantFence, "its lease is of generation 0"},
		{"a node at rest that is leased", func(p *picture) {
			p.leases["free"] = Lease{Node: "free", Generation: 1, Holder: "h", Expires: p.now.Add(time.Second)}
		}, invariantFence, "is Available, and leased to h"},
		{"a lease of a node that never was", func(p *picture) { p.leases["ghost"] = Lease{Node: "ghost", Generation: 1} }, invariantFence, "was never retired"},
		{"a password under another key", func(p *picture) { p.at("used").Spec.BMC.Secret = Sealed("theirs") }, invariantSecrets, "the BMC's password cannot be read: another key"},
		{"user data under another key", func(p *picture) { p.live[1].Order.UserData = Sealed("theirs") }, invariantSecrets, "the user data cannot be read"},
		{"an attempt's keys under another key", func(p *picture) { p.attempts["c-3"].Boot.Secret = Sealed("theirs") }, invariantSecrets, "the keys of its ramdisk cannot be read"},
		{"an ended attempt with secrets", func(p *picture) {
			p.attempts["x"] = Attempt{ID: "x", Node: "free", EndedAt: p.now, HostKeys: Sealed("ours")}
		}, invariantSecrets, "x has ended and keeps its secrets"},
		{"an ended allocation with secrets", func(p *picture) { p.ended = []Allocation{{ID: "a-0", State: Released}} }, invariantSecrets, "it is Released and keeps its secrets"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := soundPicture()
			test.breakIt(p)
			var told bool
			for _, v := range p.violations(openOurs) {
				told = told || v.Invariant == test.invariant && strings.Contains(v.What, test.what)
				if v.Next == "" {
					t.Errorf("%v does not say what to do", v)
				}
			}
			if !told {
				t.Errorf("found %v; want %s: %s", p.violations(openOurs), test.invariant, test.what)
			}
		})
	}
}

// TestEverySealedValueIsKnown counts the fields of type Sealed in what is stored.
func TestEverySealedValueIsKnown(t *testing.T) {
	var n Node
	a := Allocation{Order: &DeployOrder{}, Login: &LoginKey{}}
	at := Attempt{Login: &LoginKey{}, Boot: &Boot{}}
	for _, test := range []struct {
		of    reflect.Type
		known int
	}{
		{reflect.TypeFor[Node](), len(n.sealed())},
		{reflect.TypeFor[Allocation](), len(a.sealed())},
		{reflect.TypeFor[Attempt](), len(at.sealed())},
		{reflect.TypeFor[Authority](), len(new(Authority).sealed())},
		{reflect.TypeFor[Lease](), 0}, {reflect.TypeFor[Event](), 0}, {reflect.TypeFor[Pool](), 0}, {reflect.TypeFor[Image](), 0},
	} {
		if fields := sealedFields(test.of); fields != test.known {
			t.Errorf("%s has %d sealed values, and %d are known", test.of, fields, test.known)
		}
	}
}

func sealedFields(of reflect.Type) (count int) {
	switch {
	case of == reflect.TypeFor[Sealed]():
		return 1
	case of == reflect.TypeFor[time.Time]():
		return 0
	}
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return sealedFields(of.Elem())
	case reflect.Struct:
		for i := range of.NumField() {
			count += sealedFields(of.Field(i).Type)
		}
	}
	return count
}
