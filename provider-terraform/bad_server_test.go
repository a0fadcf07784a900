//go:build linux

package main_test

import (
	"testing"

	"github.com/metalpool/metalpool/core"
)

// TestBadServer has a server fail in the middle of an apply: the machine goes to another
// one, and nobody gets the bad one after that.
func TestBadServer(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	for _, n := range r.Lab.Nodes() {
		r.wear(t, n.ID())
	}
	w := r.newWork(t, machineBlock("web-1"))
	done := make(chan string)
	go func() { done <- w.apply(t) }()
	moved := r.reach(t, "web-1", func(m core.Machine) bool { return len(m.Moves) > 0 })
	bad := moved.Moves[0]
	for _, n := range r.Lab.Nodes() {
		if n.ID() != bad {
			n.ClearFaults()
		}
	}
	<-done
	made := r.named(t, "web-1")
	if made.State != core.Deployed || made.ID != moved.ID || made.Node == bad {
		t.Errorf("it moved from %s, and is %+v", bad, made)
	}
	w.unchanged(t)
	w.destroy(t)
	r.Settle(t)
	n, err := r.Engine(t).Node(t.Context(), bad)
	if err != nil || n.State != core.Quarantined {
		t.Fatalf("the bad server is %+v: %v", n, err)
	}

	w.apply(t)
	if again := r.named(t, "web-1"); again.Node == bad {
		t.Errorf("the next machine has the bad server %s", bad)
	}
	other := r.newWork(t, machineBlock("web-2"))
	says(t, other.refuse(t), "no server fits now", "1 quarantined")
	w.destroy(t)
}
