package lifecycle_test

import (
	"os"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core/internal/lifecycle"
)

func TestPageShowsTheTables(t *testing.T) {
	page, err := os.ReadFile("../../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	want, err := lifecycle.Insert(string(page))
	if err != nil {
		t.Fatal(err)
	}
	if want != string(page) {
		t.Error("docs/architecture.md shows another life cycle than core/state.go; run 'make generate'")
	}
}

func TestDiagram(t *testing.T) {
	diagram := lifecycle.Diagram()
	for _, line := range []string{
		"    [*] --> Quarantined: enroll\n",
		"    Cleaning --> Quarantined: done, suspect / give up / restore\n",
		"    Available --> Allocated: claim\n",
		"    Deploying --> Cleaning: release / node's fault\n",
		"    Maintenance --> [*]: retire\n",
	} {
		if strings.Count(diagram, line) != 1 {
			t.Errorf("the diagram has not once the line %q:\n%s", line, diagram)
		}
	}
}

func TestInsertNeedsItsPlace(t *testing.T) {
	if _, err := lifecycle.Insert("# A page\n" + lifecycle.Begin + "\n"); err == nil {
		t.Error("a page without an end was taken")
	}
}
