package campaign

import (
	"reflect"
	"slices"
	"testing"
)

// everything is a shape in which every fault is possible.
func everything() Shape {
	s := Shape{Nodes: 6, Clients: 3, Slots: 2, Servers: 2, Docker: true, Faults: []Kind{KillCommand, FreezeCommand}}
	for _, w := range often {
		s.Faults = append(s.Faults, w.what)
	}
	return s
}

func TestPlanFollowsFromTheSeed(t *testing.T) {
	one, again, other := NewPlan(7, 3*BurstOps, everything()), NewPlan(7, 3*BurstOps, everything()), NewPlan(8, 3*BurstOps, everything())
	if !reflect.DeepEqual(one, again) {
		t.Error("the same seed gives two plans")
	}
	if reflect.DeepEqual(one.Bursts[0].Clients, other.Bursts[0].Clients) || reflect.DeepEqual(one.Bursts[0].Faults, other.Bursts[0].Faults) {
		t.Error("two seeds give one plan")
	}
	// That is how a burst is run alone again.
	if alone := NewPlan(one.Bursts[1].Seed, BurstOps, everything()); !reflect.DeepEqual(alone.Bursts[0], one.Bursts[1]) {
		t.Error("a burst's own seed does not give that burst")
	}
}

func TestPlanHasEveryOperationAndFault(t *testing.T) {
	verbs, kinds, ops := map[Verb]int{}, map[Kind]int{}, 0
	for _, b := range NewPlan(1, 10_000, everything()).Bursts {
		for _, client := range b.Clients {
			for _, op := range client {
				ops++
				verbs[op.Verb]++
				kinds[op.Hurt.Kind]++
			}
		}
		for _, f := range b.Faults {
			kinds[f.Kind]++
			if f.At < 0 || f.At >= BurstOps || f.For <= 0 {
				t.Errorf("the fault %+v is out of its burst", f)
			}
		}
	}
	if ops != 10_000 {
		t.Errorf("%d operations", ops)
	}
	for _, v := range []Verb{Create, DockerMachine, Allocate, Redeploy, Release, Abandon, Power, Log, Label, Keys, Show, List, Logs, Nodes, Events, Check, Repair, Maintenance, Resume, SetNode, Reconcile} {
		if verbs[v] < 20 {
			t.Errorf("%s comes up %d times", v, verbs[v])
		}
	}
	for _, k := range everything().Faults {
		if kinds[k] < 10 {
			t.Errorf("%s comes up %d times", k, kinds[k])
		}
	}
}

func TestPlanHasOnlyFaultsThatArePossible(t *testing.T) {
	s := everything()
	s.Faults = []Kind{KillCommand, BrokenBMC}
	for _, b := range NewPlan(1, 2000, s).Bursts {
		for _, f := range b.Faults {
			if !slices.Contains(s.Faults, f.Kind) {
				t.Fatalf("%s is not possible here", f.Kind)
			}
		}
		for _, client := range b.Clients {
			for _, op := range client {
				if op.Hurt.Kind == FreezeCommand {
					t.Fatal("freezing is not possible here")
				}
			}
		}
	}
}
