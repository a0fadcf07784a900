package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// lifeCycle is written by hand from the design, one row per state, one column per
// trigger that it allows. What is not here is refused.
const lifeCycle = `
(none):      enroll=Quarantined, enroll --erase=Cleaning
Quarantined: repair=Cleaning, prepare again=Preparing, retire=(gone)
Cleaning:    done=Available, done, suspect=Quarantined, give up=Quarantined, restore=Quarantined
Available:   claim=Allocated, prepare=Preparing, pause=Maintenance, unhealthy=Quarantined, retire=(gone), restore=Quarantined
Preparing:   done=Available, refused=Available, give up=Quarantined, restore=Quarantined
Maintenance: resume=Cleaning, retire=(gone)
Allocated:   deploy=Deploying, release=Available, expire=Available, restore=Failed
Deploying:   done=Deployed, give up=Failed, release=Cleaning, node's fault=Cleaning, restore=Failed
Deployed:    redeploy=Deploying, release=Cleaning
Failed:      redeploy=Deploying, release=Cleaning
(gone):
Waiting:
Released:
Expired:
`

func TestEveryStateAndTrigger(t *testing.T) {
	want := map[string]core.State{}
	var states []core.State
	for line := range strings.Lines(strings.TrimSpace(lifeCycle)) {
		from, row, _ := strings.Cut(strings.TrimSpace(line), ":")
		states = append(states, core.State(from))
		row = strings.ReplaceAll(row, "done, suspect", "done; suspect")
		for cell := range strings.SplitSeq(row, ",") {
			if on, to, found := strings.Cut(strings.TrimSpace(cell), "="); found {
				want[from+" + "+strings.ReplaceAll(on, ";", ",")] = core.State(to)
			}
		}
	}
	for _, s := range core.NodeStates {
		if !slices.Contains(states, s) {
			t.Errorf("the table above leaves out %s", s)
		}
	}
	allowed := 0
	for _, from := range states {
		for _, on := range core.Triggers {
			name := fmt.Sprintf("%s + %s", from, on)
			to, err := core.Next(from, on)
			switch {
			case to != want[name]:
				t.Errorf("%s leads to %q, want %q", name, to, want[name])
			case to != "":
				allowed++
			case !core.Is(err, core.Invalid):
				t.Errorf("%s is refused with %v", name, err)
			}
		}
	}
	if allowed != len(want) {
		t.Errorf("%d pairs are allowed, want %d: a trigger is missing from core.Triggers", allowed, len(want))
	}
}

// TestTablesAreWhole finds a state that nothing leads to or that nothing leaves, and a
// pair that is there twice.
func TestTablesAreWhole(t *testing.T) {
	enters, leaves, seen := map[core.State]bool{core.Unborn: true}, map[core.State]bool{core.Gone: true}, map[string]bool{}
	for _, row := range slices.Concat(core.PoolSide, core.OwnerSide) {
		enters[row.To], leaves[row.From] = true, true
		pair := fmt.Sprint(row.From, row.On)
		if seen[pair] {
			t.Errorf("%s + %s is there twice", row.From, row.On)
		}
		seen[pair] = true
	}
	for _, s := range core.NodeStates {
		if !enters[s] || !leaves[s] {
			t.Errorf("%s: entered %t, left %t", s, enters[s], leaves[s])
		}
	}
	for _, row := range core.PoolSide {
		if row.From.Owned() || (row.To.Owned() && row.On != core.Claim) {
			t.Errorf("the pool's side moves an owned node: %+v", row)
		}
	}
	for _, row := range core.OwnerSide {
		if !row.From.Owned() || (row.To == core.Available && row.From != core.Allocated) {
			t.Errorf("the owner's side hands a touched node on: %+v", row)
		}
	}
}

func TestNextSaysWhatIsAllowed(t *testing.T) {
	for _, tt := range []struct {
		from core.State
		on   core.Trigger
		want string
	}{
		{core.Deployed, core.Pause, "maintenance: a node that is Deployed cannot be taken aside; what can be done with it: 'metalpool machine release'"},
		{core.Maintenance, core.Pause, "maintenance: the node is in Maintenance already; what can be done with it: 'metalpool node maintenance --off', 'metalpool node retire'"},
		{core.Available, core.Resume, "maintenance --off: a node that is Available cannot be put back; what can be done with it: 'metalpool node drift --repair', 'metalpool node maintenance', 'metalpool node retire'"},
		{core.Cleaning, core.Repair, "repair: a node that is Cleaning cannot be repaired; its work has to end first ('metalpool reconcile --wait')"},
	} {
		if _, err := core.Next(tt.from, tt.on); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}
