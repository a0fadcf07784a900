//go:build linux

package main_test

import (
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// TestReplacementHasAServer: a plan that gives a server back asks whether there is another
// one to take, as the plan of a create does.
func TestReplacementHasAServer(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	mine, anns, free := string(r.Lab.Nodes()[0].ID()), string(r.Lab.Nodes()[1].ID()), string(r.Lab.Nodes()[2].ID())
	if _, err := r.Engine(t).Allocate(t.Context(), core.Order{ID: "anns", Owner: "ann", Name: "db-1", Request: core.Request{Node: core.NodeID(anns)}}, nil); err != nil {
		t.Fatal(err)
	}
	for kind, block := range map[string]func(lines ...string) string{
		"machine":    func(lines ...string) string { return machineBlock("web-1", lines...) },
		"allocation": func(lines ...string) string { return allocationBlock("web-1", lines...) },
	} {
		on := func(node string) string { return "node = \"" + node + "\"" }
		w := r.newWork(t, block(on(mine)))
		w.apply(t)
		for _, test := range []struct {
			asks         string
			says         []string
			short, fails bool
			ofMachine    bool
		}{
			{asks: on(free), says: []string{"web-1 is replaced by another server", "The change of node gives node " + mine + " back"}},
			{asks: on(anns), says: []string{"is replaced by another server", anns + " is Allocated"}, short: true},
			{asks: on("n009"), says: []string{"No such node", "there are: " + mine}, fails: true},
			{asks: "arch = \"arm64\"", says: []string{"is replaced by another server", "The change of arch", "not arm64"}, short: true},
			{asks: "requirements {\n memory = \"2TiB\"\n }", says: []string{"its server lacks what is asked for now", "of the 2 TiB memory asked for"}, short: true},
			// Only the server that is given back would do, and it is waited for.
			{asks: on(mine) + "\nimage = \"lab-2\"", says: []string{"is replaced by another server"}, ofMachine: true},
			{asks: on(mine) + "\nimage = \"lab-2\"\nwait = \"0s\"", says: []string{"is replaced by another server", mine + " is Deployed"}, short: true, ofMachine: true},
		} {
			if test.ofMachine && kind != "machine" {
				continue
			}
			w.write(t, block(test.asks))
			run := func() string { return w.run(t, "plan", "-no-color") }
			if test.fails {
				run = func() string { return w.refuse(t) }
			}
			out := run()
			says(t, out, test.says...)
			if told := strings.Contains(out, "No server of pool default fits web-1 now"); told != test.short {
				t.Errorf("%s, %s: a shortage is told: %v\n%s", kind, test.asks, told, out)
			}
			if m, _ := r.machine(t, "web-1"); string(m.Node) != mine {
				t.Fatalf("%s, %s: the machine is %+v", kind, test.asks, m)
			}
		}
		w.write(t, block(on(mine)))
		w.destroy(t)
		r.Settle(t)
	}
}
