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

// Who is told that nodes differ is told which of them --repair brings back.
func TestDriftSaysWhatIsRepaired(t *testing.T) {
	of := func(state core.State, what string) core.Drift {
		return core.Drift{State: state, Differs: []core.Drifted{{Of: what}}}
	}
	for want, drifts := range map[string][]core.Drift{
		"2 of 9 are not as wanted; --repair sets up all of them": {of(core.Available, "quiet"), {State: core.Quarantined, Again: true, Differs: []core.Drifted{{Of: "quiet"}}}},
		"3 of 9 are not as wanted; --repair sets up 1 of them":   {of(core.Available, "quiet"), of(core.Deployed, "quiet"), of(core.Available, core.OfInventory)},
		"1 of 9 is not as wanted":                                {of(core.Quarantined, "quiet")},
	} {
		if got := driftOf(drifts, 9).Error(); got != want {
			t.Errorf("it says %q, not %q", got, want)
		}
	}
}
