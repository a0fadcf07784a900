package main

import (
	"testing"

	"github.com/metalpool/metalpool/core"
)

// A step that takes hours is seen to come along.
func TestWatchShowsTheStepUnderWay(t *testing.T) {
	w := &watch{steps: map[core.NodeID]string{}}
	for _, c := range []struct {
		event core.Event
		want  string
	}{
		{core.Event{Type: core.StepMet, Step: "boot ramdisk"}, "boot ramdisk done"},
		{core.Event{Type: core.StepMoves, Step: "erase", Message: "40% of 8 TB"}, "erase 40% of 8 TB"},
		{core.Event{Type: core.Note, Message: "a note"}, "erase 40% of 8 TB"},
		{core.Event{Type: core.StepWaits, Step: "ssh", Message: "since 16:25:10, until 16:45:10 UTC: nothing answers"}, "ssh waits since 16:25:10, until 16:45:10 UTC: nothing answers"},
		{core.Event{Type: core.StepMet, Step: "power on", Message: "waiting for the agent"}, "power on done waiting for the agent"},
		{core.Event{Type: core.StepFailed, Step: "erase", Message: "why"}, "erase failed"},
		{core.Event{Type: core.StateChanged, From: core.Cleaning, To: core.Quarantined}, ""},
	} {
		c.event.Node = "n1"
		if w.take([]core.Event{c.event}); w.steps["n1"] != c.want {
			t.Errorf("after %s: %q, want %q", c.event.Type, w.steps["n1"], c.want)
		}
	}
}
