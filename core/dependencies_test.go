package core_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDependenciesAreExplained holds docs/dependencies.md to go.mod, both ways.
func TestDependenciesAreExplained(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json", "../go.mod").Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}

	explained := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if name, ok := strings.CutPrefix(line, "- `"); ok {
			name, reason, _ := strings.Cut(name, "`: ")
			explained[name] = strings.TrimSpace(reason) != ""
		}
	}
	required := map[string]bool{}
	for _, r := range mod.Require {
		required[r.Path] = true
		if !r.Indirect && !explained[r.Path] {
			t.Errorf("docs/dependencies.md gives no reason for %s", r.Path)
		}
	}
	if len(required) == 0 {
		t.Fatal("go mod edit names no requirement: the test would check nothing")
	}
	for name := range explained {
		if !required[name] && !strings.HasPrefix(name, "tools/") {
			t.Errorf("docs/dependencies.md explains %s, which go.mod does not require", name)
		}
	}
}
