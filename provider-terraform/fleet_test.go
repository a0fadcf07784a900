//go:build linux

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// TestFleet applies the example of ten machines, which then stand evenly in five racks of
// three servers, and rolls it to another image.
func TestFleet(t *testing.T) {
	t.Parallel()
	const racks, perRack, machines = 5, 3, 10
	r := newRig(t, racks*perRack)
	r.racks(t, racks)
	w := r.example(t, "fleet")
	w.apply(t)
	made := r.fleet(t)
	inRack, on := map[string]int{}, map[core.NodeID]string{}
	for _, m := range made {
		inRack[r.rack(t, m)]++
		if on[m.Node] != "" || m.State != core.Deployed || m.Image != "lab" {
			t.Errorf("%s is %s with %s on %s, which %q has", m.Name, m.State, m.Image, m.Node, on[m.Node])
		}
		on[m.Node] = m.Name
	}
	for i := range racks {
		if rack := rackName(i); inRack[rack] != machines/racks {
			t.Errorf("%d machines stand in rack %s: %v", inRack[rack], rack, inRack)
		}
	}
	if len(made) != machines {
		t.Errorf("there are %d machines", len(made))
	}

	w.script(t, "./roll.sh lab-2")
	rolled := r.fleet(t)
	for name, before := range made {
		if after := rolled[name]; after.ID != before.ID || after.Node != before.Node || after.State != core.Deployed || after.Image != "lab-2" || slices.Equal(after.Access.HostKeys, before.Access.HostKeys) {
			t.Errorf("%s was\n%+v and is rolled to\n%+v", name, before, after)
		}
	}
	w.destroy(t)
	r.givenBack(t)
}

// fleet is all that there is, by name.
func (r *rig) fleet(t *testing.T) map[string]core.Machine {
	t.Helper()
	all, err := r.Engine(t).Machines(t.Context(), core.AllocationFilter{Live: true})
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]core.Machine{}
	for _, m := range all {
		named[m.Name] = m
	}
	return named
}

// script runs what people would type, with this terraform.
func (w *work) script(t *testing.T, line string) {
	t.Helper()
	bin := t.TempDir()
	if err := os.Symlink(w.terraform, filepath.Join(bin, "terraform")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir, cmd.Env = w.dir, append(append(os.Environ(), w.settings...), "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}

// racks has the nodes stand in so many racks.
func (r *rig) racks(t *testing.T, count int) {
	t.Helper()
	e := r.Engine(t)
	for i, n := range r.Lab.Nodes() {
		rack := rackName(i % count)
		if _, err := e.SetNode(t.Context(), n.ID(), core.NodeChange{Labels: map[string]*string{"rack": &rack}}); err != nil {
			t.Fatal(err)
		}
	}
}

// rack is where a machine's server stands.
func (r *rig) rack(t *testing.T, m core.Machine) string {
	t.Helper()
	n, err := r.Engine(t).Node(t.Context(), m.Node)
	if err != nil || n.Spec.Labels["rack"] == "" {
		t.Fatalf("%s has the labels %v: %v", m.Node, n.Spec.Labels, err)
	}
	return n.Spec.Labels["rack"]
}

func rackName(i int) string { return fmt.Sprintf("r%d", i+1) }
