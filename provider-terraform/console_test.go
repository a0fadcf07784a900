//go:build linux

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// consoleBlock looks at a machine's console, and hands what it saw to a program.
const consoleBlock = `
variable "panic" {
  default = "Kernel panic"
}
ephemeral "metalpool_console" "web" {
  machine_id = metalpool_machine.web.id
  lines      = 20
  lifecycle {
    postcondition {
      condition     = !strcontains(self.text, var.panic)
      error_message = "The server panics."
    }
  }
}
resource "terraform_data" "log" {
  triggers_replace = metalpool_machine.web.ssh_host_key
  provisioner "local-exec" {
    command     = "printf %s \"$TEXT\" > console.log"
    environment = { TEXT = ephemeral.metalpool_console.web.text }
  }
}
`

// TestConsole reads a console in plan and apply; nothing of it is stored.
func TestConsole(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	w := r.newWork(t, machineBlock("web-1")+consoleBlock)
	w.settings = append(w.settings, "TF_LOG=trace", "TF_LOG_PATH="+filepath.Join(w.dir, "trace.log"))
	w.apply(t)
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const printed = "Reached target multi-user.target"
	if seen := read("console.log"); !strings.Contains(seen, printed) || strings.Count(seen, "\n") > 20 || strings.ContainsAny(seen, "\r\x1b") {
		t.Errorf("the console has shown %q", seen)
	}
	for _, name := range []string{"terraform.tfstate", "trace.log"} {
		if strings.Contains(read(name), printed) {
			t.Errorf("what a console has shown is in %s", name)
		}
	}
	fails := func(config, says string) {
		t.Helper()
		w.write(t, machineBlock("web-1")+config)
		out, err := w.command(t, "plan", "-no-color").CombinedOutput()
		if err == nil || !strings.Contains(string(out), says) {
			t.Errorf("the plan: %v, and does not say %q:\n%s", err, says, out)
		}
	}
	fails(strings.Replace(consoleBlock, "Kernel panic", printed, 1), "The server panics.")
	if _, err := r.Engine(t).Create(t.Context(), core.Order{ID: "anns", Owner: "ann", Name: "db-1", Keys: []string{key}}, nil); err != nil {
		t.Fatal(err)
	}
	fails(strings.Replace(consoleBlock, "metalpool_machine.web.id", `"anns"`, 1), `say owner = "ann"`)
}
