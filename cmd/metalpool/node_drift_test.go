package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// Of a rack that has drifted as a whole, people are told what differs on how many nodes.
func TestDriftInSum(t *testing.T) {
	one := func(of, name string) core.Drifted {
		return core.Drifted{Of: of, Difference: core.Difference{Name: name, Wanted: "on", Found: "off"}}
	}
	var drifts []core.Drift
	for i := range 12 {
		d := core.Drift{Differs: []core.Drifted{one("quiet", "QuietBoot"), one("odd", fmt.Sprintf("Odd%02d", i))}}
		if i < 3 {
			d.Differs = append(d.Differs, one(core.OfInventory, "memory"))
		}
		drifts = append(drifts, d)
	}
	lines := inSum(drifts)
	want := []string{"QuietBoot (quiet) differs on 12 of them", "memory (inventory) differs on 3 of them", "Odd00 (odd) differs on 1 of them"}
	if len(lines) != manyNodes+1 || !slices.Equal(lines[:3], want) || lines[manyNodes] != "and 4 more" {
		t.Errorf("it says %q", lines)
	}
	if lines := inSum(drifts[:1]); len(lines) != 3 {
		t.Errorf("of one node it says %q", lines)
	}
}
