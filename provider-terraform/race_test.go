//go:build linux

package main_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// TestTwoApplies has two configurations race for more servers than there are: each
// server goes to one of them, and who gets none is told why.
func TestTwoApplies(t *testing.T) {
	t.Parallel()
	const each, servers = 3, 4
	r := newRig(t, servers)
	var (
		both  sync.WaitGroup
		works []*work
		said  [2]string
	)
	for i := range said {
		w := r.newWork(t, fmt.Sprintf("resource \"metalpool_machine\" \"web\" {\n  count    = %d\n  name     = \"team-%d-${count.index}\"\n  ssh_keys = [%q]\n}\n", each, i, key))
		works = append(works, w)
		both.Go(func() {
			out, _ := w.command(t, "apply", "-auto-approve", "-no-color").CombinedOutput()
			said[i] = string(out)
		})
	}
	both.Wait()
	machines, err := r.Engine(t).Machines(t.Context(), core.AllocationFilter{Live: true})
	if err != nil {
		t.Fatal(err)
	}
	on := map[core.NodeID]string{}
	for _, m := range machines {
		if on[m.Node] != "" || m.State != core.Deployed {
			t.Errorf("%s is %s on %s, which %s has", m.Name, m.State, m.Node, on[m.Node])
		}
		on[m.Node] = m.Name
	}
	refusals := strings.Count(said[0]+said[1], "Error: Could not acquire team-")
	if len(on) != servers || refusals != 2*each-servers {
		t.Errorf("%d of %d servers are taken, %d machines were refused\n%s\n%s", len(on), servers, refusals, said[0], said[1])
	}
	for _, w := range works {
		w.destroy(t)
	}
	r.givenBack(t)
}
