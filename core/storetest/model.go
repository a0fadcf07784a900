package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/metalpool/metalpool/core"
)

// model is a store in its simplest form: what the real one must look like after
// any sequence of transactions, kept and undone.
type model struct {
	nodes       map[core.NodeID]core.Node
	leases      map[core.NodeID]core.Lease
	allocations []core.Allocation // in the order of their insertion
	events      int
}

func (m model) clone() model {
	m.nodes, m.leases, m.allocations = maps.Clone(m.nodes), maps.Clone(m.leases), slices.Clone(m.allocations)
	return m
}

// outcome is what a verb answers, as far as all stores answer alike.
type outcome string

const (
	done     outcome = "done"
	exists   outcome = "exists"
	notFound outcome = "not found"
	lost     outcome = "lost swap"
)

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return done
	case errors.Is(err, core.ErrConflict):
		return lost
	case core.Is(err, core.Exists):
		return exists
	case core.Is(err, core.NotFound):
		return notFound
	}
	return outcome("unexpected: " + err.Error())
}

// shares reports whether another node has the identity or the BMC of n.
func (m model) shares(n core.Node) bool {
	for id, other := range m.nodes {
		if id == n.ID {
			continue
		}
		if other.Spec.BMC.Host() == n.Spec.BMC.Host() {
			return true
		}
		for _, key := range n.Spec.Identity.Keys() {
			if slices.Contains(other.Spec.Identity.Keys(), key) {
				return true
			}
		}
	}
	return false
}

// blocked reports whether a live allocation may not be as a says.
func (m model) blocked(a core.Allocation) bool {
	return !a.State.Ended() && slices.ContainsFunc(m.allocations, func(other core.Allocation) bool {
		return other.ID != a.ID && !other.State.Ended() &&
			((other.Owner == a.Owner && other.Name == a.Name) || (a.Node != "" && other.Node == a.Node))
	})
}

func (m model) find(id core.AllocationID) int {
	return slices.IndexFunc(m.allocations, func(a core.Allocation) bool { return a.ID == id })
}

// The worlds are small, so that things meet.
var (
	nodeIDs     = rapid.SampledFrom([]core.NodeID{"n1", "n2", "n3", "n4"})
	nodeStates  = rapid.SampledFrom([]core.State{core.Available, core.Available, core.Cleaning, core.Deployed})
	pools       = rapid.SampledFrom([]string{"p", "q"})
	serials     = rapid.SampledFrom([]string{"SN100", "sn100", "SN200", "SN300", "None", ""})
	macs        = rapid.SampledFrom([]string{"52:54:00:00:00:01", "52:54:00:00:00:02", "junk"})
	bmcs        = rapid.SampledFrom([]string{"https://bmc1", "https://BMC1:443", "https://bmc2", "https://bmc3", "https://bmc4"})
	allocIDs    = rapid.SampledFrom([]core.AllocationID{"a1", "a2", "a3", "a4", "a5"})
	allocStates = rapid.SampledFrom([]core.State{core.Waiting, core.Allocated, core.Deployed, core.Released, core.Expired})
	names       = rapid.SampledFrom([]string{"web", "db"})
	holders     = rapid.SampledFrom([]core.NodeID{"", "", "n1", "n2"})
	small       = rapid.Uint64Range(0, 3)
)

// verbs each do one thing to the transaction and to the model, and return what the
// model expects.
var verbs = map[string]func(t *rapid.T, tx core.Tx, m *model) (want outcome, got error){
	"InsertNode": func(t *rapid.T, tx core.Tx, m *model) (outcome, error) {
		n := drawNode(t)
		if _, there := m.nodes[n.ID]; there || m.shares(n) {
			return exists, tx.InsertNode(n)
		}
		m.nodes[n.ID] = n
		return done, tx.InsertNode(n)
	},
	"PutSpec": func(t *rapid.T, tx core.Tx, m *model) (outcome, error) {
		n := drawNode(t)
		if m.shares(n) {
			return exists, tx.PutSpec(n)
		}
		there, ok := m.nodes[n.ID]
		if !ok {
			return notFound, tx.PutSpec(n)
		}
		there.Spec, there.Hardware, there.Pool = n.Spec, n.Hardware, n.Pool
		m.nodes[n.ID] = there
		return done, tx.PutSpec(n)
	},
	"SwapNode": func(t *rapid.T, tx core.Tx, m *model) (outcome, error) {
		n := core.Node{ID: nodeIDs.Draw(t, "id"), State: nodeStates.Draw(t, "state"), Reason: names.Draw(t, "reason"), Version: small.Draw(t, "version")}
		there, ok := m.nodes[n.ID]
		if !ok || there.Version != n.Version {
			return lost, tx.SwapNode(n)
		}
		n.Spec, n.Hardware, n.Pool, n.Version = there.Spec, there.Hardware, there.Pool, there.Version+1
		m.nodes[n.ID] = n
		n.Version--
		return done, tx.SwapNode(n)
	},
	"DeleteNode": func(t *rapid.T, tx core.Tx, m *model) (outcome, error) {
		id := nodeIDs.Draw(t, "id")
		if _, ok := m.nodes[id]; !ok {
			return notFound, tx.DeleteNode(id)
		}
		delete(m.nodes, id)
		return done, tx.DeleteNode(id)
	},
	"SwapLease": func(t *rapid.T, tx core.Tx, m *model) (outcome, error) {
		before := small.Draw(t, "before")
		l := core.Lease{Node: nodeIDs.Draw(t, "id"), Holder: names.Draw(t, "holder"), Generation: before + 1}
		if m.leases[l.Node].Generation != before {
			return lost, tx.SwapLease(l, before)
		}
		m.leases[l.Node] = l
		return done, tx.SwapLease(l, before)
	},
	"InsertAllocation": func(t *rapid.T, tx core.Tx, m *model) (outcome, error) {
		a := drawAllocation(t)
		if m.find(a.ID) >= 0 || m.blocked(a) {
			return exists, tx.InsertAllocation(a)
		}
		m.allocations = append(m.allocations, a)
		return done, tx.InsertAllocation(a)
	},
	"SwapAllocation": func(t *rapid.T, tx core.Tx, m *model) (outcome, error) {
		a := drawAllocation(t)
		at := m.find(a.ID)
		if at < 0 {
			return lost, tx.SwapAllocation(a)
		}
		there := m.allocations[at]
		a.Owner, a.Name = there.Owner, there.Name // which never change
		if a.Version != there.Version {
			return lost, tx.SwapAllocation(a)
		}
		if m.blocked(a) {
			return exists, tx.SwapAllocation(a)
		}
		m.allocations[at] = a
		m.allocations[at].Version++
		return done, tx.SwapAllocation(a)
	},
	"AddEvent": func(_ *rapid.T, tx core.Tx, m *model) (outcome, error) {
		m.events++
		return done, tx.AddEvent(core.Event{Node: "n1"})
	},
}

var verbNames = slices.Sorted(maps.Keys(verbs))

func drawNode(t *rapid.T) core.Node {
	n := core.Node{ID: nodeIDs.Draw(t, "id"), Pool: pools.Draw(t, "pool"), State: nodeStates.Draw(t, "state"), Version: small.Draw(t, "version")}
	n.Spec.BMC.URL = bmcs.Draw(t, "bmc")
	n.Spec.Identity = core.Identity{Serial: serials.Draw(t, "serial"), MACs: []string{macs.Draw(t, "mac")}}
	n.Hardware.CPUs = int(small.Draw(t, "cpus"))
	return n
}

func drawAllocation(t *rapid.T) core.Allocation {
	return core.Allocation{ID: allocIDs.Draw(t, "id"), Owner: "o", Name: names.Draw(t, "name"), State: allocStates.Draw(t, "state"), Node: holders.Draw(t, "node"), Version: small.Draw(t, "version")}
}

// errUndo ends a transaction that is not to be kept.
var errUndo = errors.New("undo")

// likeTheModel runs random transactions, kept and undone, over a store that is
// closed and opened again on the way.
func (s suite) likeTheModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		address := s.fresh(t)
		store, err := s.open(t.Context(), address)
		if err != nil {
			r.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		kept := model{nodes: map[core.NodeID]core.Node{}, leases: map[core.NodeID]core.Lease{}}
		for range rapid.IntRange(1, 12).Draw(r, "transactions") {
			next := kept.clone()
			undo := rapid.IntRange(0, 3).Draw(r, "undo") == 0
			err := store.Update(t.Context(), func(tx core.Tx) error {
				for range rapid.IntRange(1, 6).Draw(r, "verbs") {
					verb := rapid.SampledFrom(verbNames).Draw(r, "verb")
					want, err := verbs[verb](r, tx, &next)
					if got := outcomeOf(err); got != want {
						r.Fatalf("%s: got %s (%v), want %s", verb, got, err, want)
					}
				}
				next.compare(r, tx)
				if undo {
					return errUndo
				}
				return nil
			})
			switch {
			case undo && errors.Is(err, errUndo):
			case err != nil:
				r.Fatal(err)
			default:
				kept = next
			}
			if rapid.IntRange(0, 5).Draw(r, "reopen") == 0 {
				if err := store.Close(); err != nil {
					r.Fatal(err)
				}
				if store, err = s.open(t.Context(), address); err != nil {
					r.Fatal(err)
				}
			}
			err = store.View(t.Context(), func(tx core.Tx) error {
				kept.compare(r, tx)
				return nil
			})
			if err != nil {
				r.Fatal(err)
			}
		}
	})
}

// compare reads all that there is, in several ways, and compares it with m.
func (m model) compare(t *rapid.T, tx core.Tx) {
	nodes := slices.SortedFunc(maps.Values(m.nodes), func(a, b core.Node) int { return cmp.Compare(a.ID, b.ID) })
	alike(t, "nodes", nodes, tx.Nodes(core.NodeFilter{}))
	free := func(n core.Node) bool { return n.Pool == "p" && n.State == core.Available }
	candidates, err := drain(tx.Candidates("p"))
	slices.SortFunc(candidates, func(a, b core.Node) int { return cmp.Compare(a.ID, b.ID) })
	if want := filter(nodes, free); err != nil || fmt.Sprint(candidates) != fmt.Sprint(want) {
		t.Fatalf("candidates:\n got %v, %v\nwant %v", candidates, err, want)
	}
	leases := slices.SortedFunc(maps.Values(m.leases), func(a, b core.Lease) int { return cmp.Compare(a.Node, b.Node) })
	alike(t, "leases", leases, tx.Leases())
	alike(t, "allocations", m.allocations, tx.Allocations(core.AllocationFilter{}))
	live := filter(m.allocations, func(a core.Allocation) bool { return !a.State.Ended() })
	alike(t, "live allocations", live, tx.Allocations(core.AllocationFilter{Live: true}))
	waiting := filter(m.allocations, func(a core.Allocation) bool { return a.State == core.Waiting })
	alike(t, "waiting allocations", waiting, tx.Allocations(core.AllocationFilter{States: []core.State{core.Waiting}}))
	for _, a := range live {
		if got, err := tx.AllocationNamed(a.Owner, a.Name); err != nil || got.ID != a.ID {
			t.Fatalf("named %s/%s: got %v, %v, want %v", a.Owner, a.Name, got, err, a)
		}
	}
	events, err := drain(tx.Events(core.EventFilter{Node: "n1"}))
	if err != nil || len(events) != m.events {
		t.Fatalf("%d events, %v; want %d", len(events), err, m.events)
	}
}

// alike compares what an iterator yields, by all that prints: an empty slice is as
// good as none.
func alike[T any](t *rapid.T, what string, want []T, items iter.Seq2[T, error]) {
	got, err := drain(items)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%s:\n got %v, %v\nwant %v", what, got, err, want)
	}
}

func filter[T any](items []T, keep func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(items), func(item T) bool { return !keep(item) })
}
