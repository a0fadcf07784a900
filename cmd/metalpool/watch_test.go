package main

import (
	"os"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/internal/attached"
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
		{core.Event{Type: core.StepMet, Step: "power on", Message: "waiting for the agent"}, "power on done, waiting for the agent"},
		{core.Event{Type: core.StepFailed, Step: "erase", Message: "why"}, "erase failed"},
		{core.Event{Type: core.StateChanged, From: core.Cleaning, To: core.Quarantined}, ""},
	} {
		c.event.Node = "n1"
		if w.take([]core.Event{c.event}); w.steps["n1"] != c.want {
			t.Errorf("after %s: %q, want %q", c.event.Type, w.steps["n1"], c.want)
		}
	}
}

// A deploy that is stuck says so wherever somebody may look for it.
func TestAStuckDeployIsSeen(t *testing.T) {
	onFilledPool(t)
	path := os.Getenv("METALPOOL_URL")
	t.Cleanup(func() { attached.End(path) }) // to look at work that nobody does starts a worker
	key, err := seal.Load("", seal.FileOf(path))
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), path, sqlite.Options{KeyFingerprint: key.Fingerprint()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	err = store.Update(t.Context(), func(tx core.Tx) error {
		n, err := tx.Node("r1-n2")
		if err != nil {
			return err
		}
		m, err := tx.Allocation("m-web")
		if err != nil {
			return err
		}
		n.State, m.State = core.Deploying, core.Deploying
		if err := tx.SwapAllocation(m); err != nil {
			return err
		}
		if err := tx.SwapNode(n); err != nil {
			return err
		}
		for _, ev := range []core.Event{
			{Type: core.StateChanged, From: core.Allocated, To: core.Deploying, On: core.Deploy},
			{Type: core.StepMet, Step: "eject media"},
			{Type: core.StepWaits, Step: "ssh", Message: "since 16:25:10, until 16:45:10 UTC: nothing answers at 10.0.1.2:22"},
		} {
			ev.Node, ev.Allocation = n.ID, m.ID
			if err := tx.AddEvent(ev); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = "ssh waits since 16:25:10, until 16:45:10 UTC: nothing answers at 10.0.1.2:22"
	for _, line := range []string{
		"node list", "node list -o json", "node show r1-n2", "node show r1-n2 -o json", "node events r1-n2",
		"machine list", "machine show web-1", "machine show web-1 -o json", "machine logs web-1", "watch --once",
	} {
		got := command(t, strings.Fields(line)...)
		seen := strings.Join(strings.Fields(got.stdout), " ")
		if got.code != exitOK || !strings.Contains(seen, want) {
			t.Errorf("metalpool %s: %d, %s\n%s", line, got.code, got.stderr, got.stdout)
		}
	}
}
