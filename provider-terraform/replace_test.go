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

// TestReplacementThatIsRefused: what the pool would not make is refused by the plan, while
// the machine that it would replace is there. The apply would find out after its erase.
func TestReplacementThatIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	pool := core.PoolDeclaration{Name: core.DefaultPool, Profile: new("site")}
	r.declare(t, core.Declaration{
		Steps:    []core.Step{{Name: "clock", CloudInit: &core.CloudInitStep{Config: "timezone: Europe/Berlin\n"}}},
		Profiles: []core.Profile{{Name: "site", Steps: []string{"clock"}}},
		Pools:    []core.PoolDeclaration{pool},
	})
	w := r.newWork(t, machineBlock("web-1"))
	w.apply(t)
	before, _ := r.machine(t, "web-1")
	for asks, words := range map[string][]string{
		`profile = "sight"`: {"Could not choose profile sight web-1", "there are: site"},
		`image = "labb"`:    {"Could not find image labb", "No such image"},
		`user_data = "#cloud-config\ntimezone: UTC\n"`: {"Step clock and the user data disagree on timezone"},
	} {
		w.write(t, machineBlock("web-1", asks))
		says(t, w.refuse(t), append(words, "Nothing was given back", "terraform destroy -refresh=false")...)
		if m, _ := r.machine(t, "web-1"); m.ID != before.ID || m.State != core.Deployed {
			t.Errorf("%s: the machine is %+v", asks, m)
		}
	}
	w.run(t, "destroy", "-refresh=false", "-auto-approve", "-no-color")
	r.givenBack(t)
}
