//go:build linux

package main_test

import (
	"strings"
	"testing"
)

// TestLife goes through the real terraform and the real provider once.
func TestLife(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	w := r.newWork(t, `
resource "metalpool_machine" "web" {
  name     = "web-1"
  ssh_keys = ["`+key+`"]
  labels   = { tier = "web" }
  requirements {
    cpus   = 2
    memory = "1GiB"
    disk {
      size = "1GB"
    }
  }
}
output "known_hosts" { value = metalpool_machine.web.ssh_known_hosts }
`)
	out := w.apply(t)
	m, there := r.machine(t, "web-1")
	if !there || m.State != "Deployed" || m.Labels["tier"] != "web" {
		t.Fatalf("%+v\n%s", m, out)
	}
	if !strings.Contains(out, "known_hosts") || !strings.Contains(out, m.Access.Address) {
		t.Errorf("no known_hosts in\n%s", out)
	}
	if out := w.run(t, "plan", "-no-color", "-detailed-exitcode"); !strings.Contains(out, "No changes") {
		t.Errorf("the plan after the apply:\n%s", out)
	}
	w.destroy(t)
	r.givenBack(t)
}
