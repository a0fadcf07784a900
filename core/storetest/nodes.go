package storetest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/filled"
)

func (s suite) nodes(t *testing.T) {
	store := s.make(t)
	full, bare := filled.Value[core.Node](t), core.Node{ID: "a-bare-one"}
	full.Spec.BMC.Node = "" // the engine says it; it is not stored
	update(t, store, func(tx core.Tx) error {
		return errors.Join(tx.InsertNode(full), tx.InsertNode(bare))
	})
	node := func(id core.NodeID) core.Node {
		t.Helper()
		return read(t, store, func(tx core.Tx) (core.Node, error) { return tx.Node(id) })
	}

	t.Run("read back whole", func(t *testing.T) {
		same(t, "full", node(full.ID), full)
		same(t, "bare", node(bare.ID), bare)
	})

	t.Run("what is not there", func(t *testing.T) {
		update(t, store, func(tx core.Tx) error {
			_, err := tx.Node("nobody")
			wantKind(t, err, core.NotFound)
			if err == nil || !strings.Contains(err.Error(), "nobody") {
				t.Errorf("%v does not name the node", err)
			}
			wantKind(t, tx.DeleteNode("nobody"), core.NotFound)
			wantKind(t, tx.PutSpec(core.Node{ID: "nobody"}), core.NotFound)
			wantConflict(t, tx.SwapNode(core.Node{ID: "nobody"}))
			return nil
		})
	})

	t.Run("swap", func(t *testing.T) {
		change := filled.Value[core.Node](t)
		change.State, change.Reason, change.Suspect = core.Cleaning, "", false
		change.Allocation, change.Attempt, change.Erases, change.Since = "", "", 0, bare.Since
		// A swap is for the fields of a life, not for these.
		change.Pool, change.Spec, change.Hardware = "elsewhere", core.NodeSpec{}, core.Hardware{}
		update(t, store, func(tx core.Tx) error { return tx.SwapNode(change) })
		want := change
		want.Version, want.Pool, want.Spec, want.Hardware = full.Version+1, full.Pool, full.Spec, full.Hardware
		same(t, "swapped", node(full.ID), want)

		back := full
		update(t, store, func(tx core.Tx) error {
			wantConflict(t, tx.SwapNode(back)) // the version before
			back.Version += 2
			wantConflict(t, tx.SwapNode(back)) // a version to come
			back.Version--
			return tx.SwapNode(back)
		})
		want = full
		want.Version += 2
		same(t, "swapped back", node(full.ID), want)
		full = want
	})

	t.Run("spec", func(t *testing.T) {
		change := full
		change.Spec.Labels, change.Hardware, change.Pool = map[string]string{"rack": "9"}, core.Hardware{CPUs: 3}, "elsewhere"
		want := change
		change.Version, change.State, change.Erases = 0, core.Deployed, 99
		update(t, store, func(tx core.Tx) error { return tx.PutSpec(change) })
		same(t, "after PutSpec", node(full.ID), want)
		full = want
	})

	t.Run("delete", func(t *testing.T) {
		update(t, store, func(tx core.Tx) error {
			return errors.Join(
				tx.SwapLease(core.Lease{Node: bare.ID, Holder: "x", Generation: 7}, 0),
				tx.AddEvent(core.Event{Node: bare.ID, Message: "retired"}),
				tx.DeleteNode(bare.ID),
			)
		})
		view(t, store, func(tx core.Tx) error {
			_, err := tx.Node(bare.ID)
			wantKind(t, err, core.NotFound)
			if l, err := tx.Lease(bare.ID); err != nil || l.Generation != 7 {
				t.Errorf("lease of a deleted node is %+v, %v; its generation must go on growing", l, err)
			}
			if events, err := drain(tx.Events(core.EventFilter{Node: bare.ID})); err != nil || len(events) != 1 {
				t.Errorf("events of a deleted node: %v, %v", events, err)
			}
			return nil
		})
		update(t, store, func(tx core.Tx) error { return tx.InsertNode(bare) })
	})

	t.Run("list", func(t *testing.T) { s.listNodes(t) })
}

func (s suite) listNodes(t *testing.T) {
	store := s.make(t)
	update(t, store, func(tx core.Tx) error {
		for number, n := range []core.Node{
			{ID: "e", Pool: "p", State: core.Available},
			{ID: "d", Pool: "p", State: core.Deployed},
			{ID: "c", Pool: "q", State: core.Available},
			{ID: "b", Pool: "q", State: core.Cleaning},
			{ID: "a", Pool: "p", State: core.Available},
		} {
			n.Spec = server(number).Spec
			if err := tx.InsertNode(n); err != nil {
				return err
			}
		}
		return nil
	})
	for _, c := range []struct {
		filter core.NodeFilter
		want   string
	}{
		{core.NodeFilter{}, "a b c d e"},
		{core.NodeFilter{Pool: "p"}, "a d e"},
		{core.NodeFilter{Pool: "nowhere"}, ""},
		{core.NodeFilter{States: []core.State{core.Available}}, "a c e"},
		{core.NodeFilter{States: []core.State{core.Cleaning, core.Deployed}}, "b d"},
		{core.NodeFilter{Pool: "q", States: []core.State{core.Cleaning, core.Deployed}}, "b"},
		{core.NodeFilter{States: []core.State{core.Failed}}, ""},
	} {
		all := read(t, store, func(tx core.Tx) ([]core.Node, error) { return drain(tx.Nodes(c.filter)) })
		var ids []string
		for _, n := range all {
			ids = append(ids, string(n.ID))
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.filter, got, c.want)
		}
	}
}

func (s suite) nodeIdentity(t *testing.T) {
	there := server(1)
	there.Spec.BMC.URL = "https://bmc-1.example"
	byMAC := server(2)
	byMAC.Spec.Identity = core.Identity{Serial: "To be filled by O.E.M.", MACs: []string{"52:54:00:00:00:01"}}
	for _, c := range []struct {
		name   string
		other  core.NodeID // that has it, "" where the node is welcome
		change func(n *core.Node)
	}{
		{"all its own", "", func(*core.Node) {}},
		{"same ID", there.ID, func(n *core.Node) { n.ID = there.ID }},
		{"same UUID, spelled otherwise", there.ID, func(n *core.Node) { n.Spec.Identity.UUID = strings.ToUpper(there.Spec.Identity.UUID) }},
		{"same serial", there.ID, func(n *core.Node) { n.Spec.Identity.Serial = " " + there.Spec.Identity.Serial }},
		{"same BMC", there.ID, func(n *core.Node) { n.Spec.BMC.URL = there.Spec.BMC.URL }},
		{"same BMC, spelled otherwise", there.ID, func(n *core.Node) { n.Spec.BMC.URL = "https://BMC-1.example:443/redfish/v1/" }},
		{"another port", "", func(n *core.Node) { n.Spec.BMC.URL = "https://bmc-1.example:8443" }},
		{"no identity, no BMC", "", func(n *core.Node) { n.Spec = core.NodeSpec{} }},
		{"junk identity", "", func(n *core.Node) {
			n.Spec.Identity = core.Identity{UUID: "03000200-0400-0500-0006-000700080009", Serial: "To be filled by O.E.M."}
		}},
		{"junk identity, same MAC", byMAC.ID, func(n *core.Node) {
			n.Spec.Identity = core.Identity{Serial: "Default string", MACs: []string{"52:54:00:00:00:09", "52-54-00-00-00-01"}}
		}},
		{"same MAC, but a serial that tells", "", func(n *core.Node) { n.Spec.Identity.MACs = byMAC.Spec.Identity.MACs }},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := s.make(t)
			n := server(3)
			c.change(&n)
			update(t, store, func(tx core.Tx) error {
				if err := errors.Join(tx.InsertNode(there), tx.InsertNode(byMAC)); err != nil {
					return err
				}
				err := tx.InsertNode(n)
				if c.other == "" {
					return err
				}
				wantKind(t, err, core.Exists)
				if err == nil || !strings.Contains(err.Error(), string(c.other)) {
					t.Errorf("%v does not name %s", err, c.other)
				}
				return nil // The refusal leaves the transaction whole, and nothing of the node.
			})
			all := read(t, store, func(tx core.Tx) ([]core.Node, error) { return drain(tx.Nodes(core.NodeFilter{})) })
			if want := 2; c.other != "" && len(all) != want {
				t.Errorf("there are %d nodes after the refusal, want %d", len(all), want)
			}
			same(t, "the node that was there", all[0], there)
		})
	}
	t.Run("changed later", s.changedIdentity)
}

// changedIdentity follows an identity from node to node.
func (s suite) changedIdentity(t *testing.T) {
	store := s.make(t)
	stock(t, store, 2)
	a, b := server(0), server(1)
	update(t, store, func(tx core.Tx) error {
		stolen := b
		stolen.Pool, stolen.Spec.Identity.Serial = "elsewhere", a.Spec.Identity.Serial
		err := tx.PutSpec(stolen)
		wantKind(t, err, core.Exists)
		if err == nil || !strings.Contains(err.Error(), string(a.ID)) {
			t.Errorf("%v does not name %s", err, a.ID)
		}
		return nil
	})
	same(t, "after the refusal", read(t, store, func(tx core.Tx) (core.Node, error) { return tx.Node(b.ID) }), b)

	moved := a
	moved.Spec.BMC.URL, moved.Spec.Identity = "https://elsewhere.example", core.Identity{Serial: "NEW00001"}
	update(t, store, func(tx core.Tx) error {
		if err := tx.PutSpec(a); err != nil { // its own identity is no obstacle
			return err
		}
		if err := tx.PutSpec(moved); err != nil {
			return err
		}
		c := server(2)
		c.Spec.BMC.URL, c.Spec.Identity = a.Spec.BMC.URL, a.Spec.Identity
		if err := tx.InsertNode(c); err != nil { // what a had is free now
			return err
		}
		if err := tx.DeleteNode(c.ID); err != nil {
			return err
		}
		return tx.PutSpec(a) // and free again
	})
}

func (s suite) candidates(t *testing.T) {
	store := s.make(t)
	const count = 8
	stock(t, store, count)
	update(t, store, func(tx core.Tx) error {
		other := server(count)
		other.Pool = "other"
		busy := server(count + 1)
		busy.State = core.Deployed
		return errors.Join(tx.InsertNode(other), tx.InsertNode(busy))
	})
	candidates := func(pool string) []core.NodeID {
		all := read(t, store, func(tx core.Tx) ([]core.Node, error) { return drain(tx.Candidates(pool)) })
		var ids []core.NodeID
		for _, n := range all {
			ids = append(ids, n.ID)
		}
		return ids
	}
	firsts := map[core.NodeID]bool{}
	for range 64 {
		ids := candidates(core.DefaultPool)
		firsts[ids[0]] = true
		slices.Sort(ids)
		if unique := slices.Compact(slices.Clone(ids)); len(ids) != count || len(unique) != count {
			t.Fatalf("got %v, want each of %d nodes once", ids, count)
		}
	}
	if len(firsts) == 1 {
		t.Errorf("64 runs started at one node: racers will collide")
	}
	if ids := candidates("other"); len(ids) != 1 {
		t.Errorf("other pool: %v", ids)
	}
	if ids := candidates("nowhere"); len(ids) != 0 {
		t.Errorf("no such pool: %v", ids)
	}
	view(t, store, func(tx core.Tx) error {
		for n, err := range tx.Candidates(core.DefaultPool) {
			if err != nil {
				return err
			}
			same(t, "candidate", n.Spec.Identity.Serial == "" || n.Hardware.CPUs != 64, false)
			break
		}
		_, err := tx.Node(server(0).ID) // a loop that was left is no obstacle
		return err
	})
	// The cheapest come first, and a change of hardware counts at once.
	large, small := server(0), server(count-1)
	large.Hardware.Memory, small.Hardware.Memory = 2*core.TiB, core.GiB
	update(t, store, func(tx core.Tx) error { return errors.Join(tx.PutSpec(large), tx.PutSpec(small)) })
	for range 8 {
		if ids := candidates(core.DefaultPool); len(ids) != count || ids[0] != small.ID || ids[count-1] != large.ID {
			t.Fatalf("got %v, want %s first and %s last", ids, small.ID, large.ID)
		}
	}
	update(t, store, func(tx core.Tx) error { return errors.Join(tx.PutSpec(server(0)), tx.PutSpec(server(count-1))) })
	// Claims make holes; what is left is still found, to the last one.
	for left := count; left > 0; left-- {
		if ids := candidates(core.DefaultPool); len(ids) != left {
			t.Fatalf("got %v, want %d nodes", ids, left)
		}
		update(t, store, func(tx core.Tx) error {
			_, err := claim(tx, core.AllocationID(string(rune('a'+left))), "me")
			return err
		})
	}
	if ids := candidates(core.DefaultPool); len(ids) != 0 {
		t.Errorf("all are claimed, and there are still %v", ids)
	}
}
