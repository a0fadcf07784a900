package lab_test

import (
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
)

// Another lab took the addresses while this one was down: the rack moves, and a pool
// that is told of it takes its servers as the same ones.
func TestTheRackMoves(t *testing.T) {
	dir := t.TempDir()
	l := up(t, lab.Config{Dir: dir, Nodes: 2})
	p := newPool(t, l)
	key := newKey(t)
	try(t, l.Close())
	other := up(t, lab.Config{Net: l.Net()})

	_, err := lab.Up(t.Context(), lab.Config{Dir: dir})
	if !core.Is(err, core.Busy) {
		t.Fatalf("on addresses that are taken: %v", err)
	}
	_, free, named := strings.Cut(err.Error(), "--net ")
	free, _, _ = strings.Cut(free, "'")
	if !named || free == other.Net() {
		t.Fatalf("no way out in: %v", err)
	}
	moved := up(t, lab.Config{Dir: dir, Net: free, Nodes: 3})
	if moved.Net() != free || moved.MovedFrom() != l.Net() {
		t.Errorf("moved from %q to %q, want from %q to %q", moved.MovedFrom(), moved.Net(), l.Net(), free)
	}
	seen := map[string]bool{}
	for i, n := range moved.Rack().Nodes {
		if seen[n.Address] {
			t.Errorf("%s is at %s, as another one is", n.ID, n.Address)
		}
		seen[n.Address] = true
		if i == 2 {
			break // not enrolled
		}
		if n.BMC.Fingerprint != l.Rack().Nodes[i].BMC.Fingerprint {
			t.Errorf("the BMC of %s has another certificate", n.ID)
		}
		_, err := p.SetNode(t.Context(), n.ID, core.NodeChange{URL: &n.BMC.URL, Address: &n.Address})
		try(t, err)
	}
	m, err := p.Create(t.Context(), order("web-1", key), nil)
	try(t, err)
	if out, err := onMachine(t.Context(), m, key, "hostname"); err != nil || out != "web-1\n" {
		t.Errorf("on a machine of the rack that moved: %q, %v", out, err)
	}

	try(t, moved.Close())
	again := up(t, lab.Config{Dir: dir})
	if again.Net() != free || again.MovedFrom() != "" {
		t.Errorf("started again, the rack is at %s, moved from %q", again.Net(), again.MovedFrom())
	}
}
