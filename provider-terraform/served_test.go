//go:build linux

package main_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/labtest"
)

// metalpool is the operator's command, whose serve others go through.
var metalpool = labtest.Program{Name: "metalpool", Package: "../cmd/metalpool"}

// TestServed takes a rack from nothing to a machine, and back, through a server: the
// configuration is the one that the pool's own host has, and says nothing of a server.
func TestServed(t *testing.T) {
	t.Parallel()
	r := bareRig(t, 1)
	s := r.Serve(t, &metalpool)
	// A server notes the file that a link leads to; the configuration goes on naming the link.
	link := filepath.Join(r.Dir, "current.raw")
	if err := os.Symlink(filepath.Base(r.image("lab")), link); err != nil {
		t.Fatal(err)
	}
	w := r.newWork(t, nodeBlock(n1, r.Lab.Rack().Nodes[0], `pool = metalpool_pool.ci.name`, `erase = true`, `wait_clean = true`)+`
resource "metalpool_image" "lab" {
  name   = "lab"
  source = "`+link+`"
  user   = "debian"
}
resource "metalpool_pool" "ci" {
  name          = "ci"
  default_image = metalpool_image.lab.name
}
resource "metalpool_machine" "web" {
  name       = "web-1"
  pool       = metalpool_pool.ci.name
  node       = metalpool_node.n1.id
  ssh_keys   = ["`+key+`"]
  wait_clean = true
}
data "metalpool_nodes" "all" {
  depends_on = [metalpool_machine.web]
}
output "nodes" { value = [for n in data.metalpool_nodes.all.nodes : n.id] }
`)
	w.settings = append(w.settings, s.Settings()...)
	w.apply(t)
	m, there := r.machine(t, "web-1")
	if !there || m.State != core.Deployed || m.Owner != owner {
		t.Fatalf("%+v", m)
	}
	if i, err := r.Engine(t).Image(t.Context(), "lab"); err != nil || i.Source != r.image("lab") || i.Named != link {
		t.Errorf("the image is %+v, %v", i, err)
	}
	aside := "The owner is " + owner + ", and not team-b"
	if out := w.run(t, "plan", "-no-color"); !strings.Contains(out, "No changes") || strings.Contains(out, "The owner is") {
		t.Errorf("the plan after the apply:\n%s", out)
	}
	told := w.settings
	w.settings = append(slices.Clone(told), "METALPOOL_OWNER=team-b")
	if out := w.run(t, "plan", "-no-color"); !strings.Contains(out, "No changes") || !strings.Contains(out, aside) {
		t.Errorf("the plan of another owner with the same token does not say %q:\n%s", aside, out)
	}
	w.settings = told
	// Behind the same state, the server is another one, and nothing else has changed.
	s.Drain(t)
	s.Restart(t)
	w.destroy(t)
	if nodes, err := r.Engine(t).Nodes(t.Context(), core.NodeFilter{}); err != nil || len(nodes) > 0 {
		t.Errorf("nodes are left: %v, %v", nodes, err)
	}
	for _, line := range r.audited(t) {
		if line.Who != owner || line.From != "127.0.0.1" {
			t.Errorf("unexpected in the audit log: %+v", line)
		}
	}
}

// audited is the audit log, which has at least a line.
func (r *rig) audited(t *testing.T) []core.AuditEntry {
	t.Helper()
	log, err := r.Engine(t).Audit(t.Context(), core.AuditFilter{})
	if err != nil || len(log) == 0 {
		t.Fatalf("the audit log has %d lines: %v", len(log), err)
	}
	return log
}
