//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/labtest"
)

// claim is a machine as the one who asked for it has it.
type claim struct {
	ID   core.AllocationID
	Host string // its address
}

// TestBesideDockerMachine has several of the real terraform and of the real docker-machine
// want more servers of one pool than there are. It stands here, with the terraform that is
// harder to set up; neither adapter knows of the other.
func TestBesideDockerMachine(t *testing.T) {
	t.Parallel()
	const servers = 4
	r := newRig(t, servers)
	d := labtest.NewDockerMachine(t, r.Rack, &driver, t.TempDir())

	// First come, first served: 4 and 3 are wanted at once.
	works := []*work{r.newWork(t, pair("tf-a")), r.newWork(t, pair("tf-b"))}
	created := []string{"dm-a", "dm-b", "dm-c"}
	applied, ran := make([]string, len(works)), make([]string, len(created))
	var all sync.WaitGroup
	for i, w := range works {
		all.Go(func() {
			out, _ := w.command(t, "apply", "-auto-approve", "-no-color").CombinedOutput()
			applied[i] = string(out)
		})
	}
	for i, name := range created {
		all.Go(func() {
			out, err := d.Command(t, "create", "-d", "metalpool", name).CombinedOutput()
			if ran[i] = string(out); err != nil {
				created[i] = ""
			}
		})
	}
	all.Wait()
	created = slices.DeleteFunc(created, func(name string) bool { return name == "" })
	said := strings.Join(slices.Concat(applied, ran), "\n")
	r.agree(t, d, works, created, servers, said)
	if refused := strings.Count(said, "Error: Could not acquire tf-") + len(ran) - len(created); refused != 2*len(works)+len(ran)-servers || !strings.Contains(said, "no server fits now") {
		t.Errorf("%d were refused:\n%s", refused, said)
	}

	// All of that is given back while others queue for it: each server goes from one to
	// another, erased.
	third, queued := r.newWork(t, pair("tf-c", `wait = "3m"`)), []string{"dm-d", "dm-e"}
	all.Go(func() { third.apply(t) })
	for _, name := range queued {
		all.Go(func() {
			d.Run(t, "create", "-d", "metalpool", "--metalpool-wait", labtest.Patience.String(), name)
		})
	}
	for _, name := range append([]string{"tf-c-0", "tf-c-1"}, queued...) {
		r.reach(t, name, func(m core.Machine) bool { return m.State == core.Waiting })
	}
	for _, w := range works {
		all.Go(func() { w.destroy(t) })
	}
	for _, name := range created {
		all.Go(func() { d.Run(t, "rm", "-y", name) })
	}
	all.Wait()
	r.agree(t, d, []*work{third}, queued, servers, "")

	all.Go(func() { third.destroy(t) })
	all.Go(func() { d.Run(t, append([]string{"rm", "-y"}, queued...)...) })
	all.Wait()
	r.givenBack(t)
	r.takenInTurn(t, 2*servers)
}

// pair is a configuration of two machines.
func pair(name string, lines ...string) string {
	return fmt.Sprintf("resource \"metalpool_machine\" \"pair\" {\n  count    = 2\n  name     = \"%s-${count.index}\"\n  ssh_keys = [%q]\n  %s\n}\n", name, key, strings.Join(lines, "\n  "))
}

// agree checks that what terraform and docker-machine have is what the pool says they
// have, each on a server of its own.
func (r *rig) agree(t *testing.T, d *labtest.DockerMachine, works []*work, created []string, servers int, said string) {
	t.Helper()
	theirs := map[string]claim{}
	for _, w := range works {
		for _, i := range readState(t, filepath.Join(w.dir, "terraform.tfstate")).instances() {
			theirs[i.Attributes["name"].(string)] = claim{core.AllocationID(i.Attributes["id"].(string)), i.Attributes["address"].(string)}
		}
	}
	for _, name := range created {
		var host struct {
			Driver struct {
				AllocationID core.AllocationID
				IPAddress    string
			}
		}
		if err := json.Unmarshal([]byte(d.Run(t, "inspect", name)), &host); err != nil {
			t.Fatal(err)
		}
		theirs[name] = claim{host.Driver.AllocationID, host.Driver.IPAddress}
		if out := d.Run(t, "ssh", name, "hostname"); strings.TrimSpace(out) != name {
			t.Errorf("%s calls itself %q", name, out)
		}
	}
	machines, err := r.Engine(t).Machines(t.Context(), core.AllocationFilter{Live: true})
	if err != nil {
		t.Fatal(err)
	}
	on := map[core.NodeID]string{}
	for _, m := range machines {
		if on[m.Node] != "" || m.State != core.Deployed || theirs[m.Name] != (claim{m.ID, m.Access.Address}) {
			t.Errorf("%s is %s on %s, which %q has: the pool has %+v, and who asked for it %+v", m.Name, m.State, m.Node, on[m.Node], m, theirs[m.Name])
		}
		on[m.Node] = m.Name
	}
	if len(theirs) != servers || len(machines) != servers {
		t.Errorf("there are %v for %d servers, and the pool has %d\n%s", theirs, servers, len(machines), said)
	}
}

// takenInTurn reads the story of each server: nobody took it while somebody had it, and
// it was erased in between.
func (r *rig) takenInTurn(t *testing.T, times int) {
	t.Helper()
	e := r.Engine(t)
	taken := 0
	for _, n := range r.Lab.Nodes() {
		events, err := e.Events(t.Context(), core.EventFilter{Node: n.ID()})
		if err != nil {
			t.Fatal(err)
		}
		var holder core.AllocationID
		erased := false
		for _, event := range events {
			switch {
			case event.Type == core.Erased:
				erased = true
			case event.Type == core.StateChanged && event.To == core.Allocated:
				if holder != "" || !erased {
					t.Errorf("%s went to %s; %q had it, and it was erased: %v", n.ID(), event.Allocation, holder, erased)
				}
				holder, erased = event.Allocation, false
				taken++
			case event.Type == core.StateChanged && event.To == core.Cleaning:
				holder = ""
			}
		}
	}
	if taken != times {
		t.Errorf("servers were taken %d times, and not %d times", taken, times)
	}
}
