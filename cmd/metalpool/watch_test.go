package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// A deploy that is stuck says so wherever somebody may look for it.
func TestAStuckDeployIsSeen(t *testing.T) {
	onFilledPool(t)
	store, err := behind(t.Context(), os.Getenv("METALPOOL_URL"), nil)
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
		met := map[string]time.Time{}
		for _, step := range []string{"boot ramdisk", "inspect", "write image", "write seed", "boot", "eject media"} {
			met[step] = time.Now()
		}
		if err := tx.PutAttempt(core.Attempt{ID: n.Attempt, Node: n.ID, Allocation: m.ID, Job: core.JobDeploy, StartedAt: time.Now(), Met: met}); err != nil {
			return err
		}
		if err := tx.SwapLease(core.Lease{Node: n.ID, Holder: "bob@desk/7/w", Generation: 1, Expires: time.Now().Add(time.Hour)}, 0); err != nil {
			return err
		}
		for _, ev := range []core.Event{
			{Type: core.StateChanged, From: core.Allocated, To: core.Deploying, On: core.Deploy},
			{Type: core.StepMet, Step: "eject media"},
			{Type: core.StepWaits, Step: "ssh", Message: "since 16:25:10, until 16:45:10 UTC: nothing answers at 10.0.1.2:22"},
		} {
			ev.Node, ev.Allocation, ev.Attempt = n.ID, m.ID, n.Attempt
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
		// The events' table has a column for what something took.
		seen := strings.ReplaceAll(strings.Join(strings.Fields(got.stdout), " "), "ssh waits - since", "ssh waits since")
		if got.code != exitOK || !strings.Contains(seen, want) {
			t.Errorf("metalpool %s: %d, %s\n%s", line, got.code, got.stderr, got.stdout)
		}
	}
}
