//go:build bench

package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/bench"
)

const (
	storyNodes  = 1000
	storyEvents = 1000 // of each node
)

// BenchStories measures a store with 1,000 nodes of 1,000 events each: what that takes, and
// how long it takes to be told what happened to one of them. alone is an empty store, which
// is given the events of one node. size is what the full one takes, in bytes.
func BenchStories(t *testing.T, name string, full, alone core.Store, size func() int64) {
	began := time.Now()
	tellAll(t, full, storyNodes)
	told := time.Since(began)
	tellAll(t, alone, 1)
	bench.Record(t, bench.Result{
		Name: name + ": a store of 1,000 nodes with 1,000 events each", Value: float64(size()) / float64(core.GiB), Op: "<=", Bound: 1, Unit: "GiB",
		Against: "what was agreed on",
	})
	last := core.EventFilter{Limit: 100} // as commands ask, where nothing else is said
	for _, asked := range []struct {
		what   string
		filter core.EventFilter
	}{{"the last 100 events of a node", last}, {"all events of a node", core.EventFilter{}}} {
		large := p95(t, full, storyNodes, asked.filter)
		small := p95(t, alone, 1, asked.filter)
		bench.Record(t, bench.Result{Name: fmt.Sprintf("%s: %s, p95", name, asked.what), Value: large.Seconds() * 1000, Op: "<=", Bound: 50, Unit: "ms", Against: "what was agreed on"})
		if asked.filter == last {
			bench.Record(t, bench.Result{Name: fmt.Sprintf("%s: %s of 1,000, p95", name, asked.what), Value: float64(large) / float64(small), Op: "<=", Bound: 5, Unit: "×", Against: "a store that has no other node"})
		}
	}
	bench.Tell(t, fmt.Sprintf("%s: %d events were told in %s, %.0f bytes each with their indexes", name, storyNodes*storyEvents, told.Round(time.Second), float64(size())/(storyNodes*storyEvents)))
}

// p95 is how long a node's events take, of 400 times.
func p95(t *testing.T, store core.Store, nodes int, f core.EventFilter) time.Duration {
	t.Helper()
	e := core.New(core.Config{Store: store})
	want := storyEvents
	if f.Limit > 0 {
		want = f.Limit
	}
	var took []time.Duration
	for range 400 {
		f.Node = BenchNodeID(rand.IntN(nodes))
		began := time.Now()
		events, err := e.Events(t.Context(), f)
		took = append(took, time.Since(began))
		if err != nil || len(events) != want {
			t.Fatalf("%d events of %s, want %d: %v", len(events), f.Node, want, err)
		}
	}
	slices.Sort(took)
	return took[len(took)*95/100-1]
}

// tellAll has a store tell of nodes that are deployed and cleaned again and again, side by
// side.
func tellAll(t *testing.T, store core.Store, nodes int) {
	t.Helper()
	const atOnce = 50 // nodes, in one transaction
	for round := range storyEvents / len(comeAndGo) {
		for first := 0; first < nodes; first += atOnce {
			update(t, store, func(tx core.Tx) error {
				for i := first; i < min(first+atOnce, nodes); i++ {
					for _, ev := range comeAndGo {
						ev.Node, ev.Allocation = BenchNodeID(i), core.AllocationID(fmt.Sprintf("tf-%08x-%08x", i, round))
						ev.Attempt, ev.Generation = core.AttemptID(fmt.Sprintf("d-%016x%04x", i, round)), uint64(2*round+1)
						ev.By = "metalpool@pool-server-1.example.com/12345"
						if err := tx.AddEvent(ev); err != nil {
							return err
						}
					}
				}
				return nil
			})
		}
	}
}

// comeAndGo are the events of a machine that comes and goes, with a fault that passes and a
// step that says something.
var comeAndGo = []core.Event{
	{Type: core.StateChanged, From: core.Available, To: core.Allocated, On: core.Claim, Message: "ci@runner-7.example.com/build-1234"},
	{Type: core.StateChanged, From: core.Allocated, To: core.Deploying, On: core.Deploy},
	{Type: core.StepWaits, Step: "boot ramdisk", Message: "since 03:04:05, until 03:28:05 UTC: trying again: insert media: transient: POST /redfish/v1/Managers/1/VirtualMedia/Cd/Actions/VirtualMedia.InsertMedia: 503 Service Unavailable: iLO.2.15.ResourceInUseRetryLater; the BMC may be busy or restarting; try again"},
	{Type: core.StepMet, Step: "power on", Message: "waiting for the agent since 03:04:35, until 03:24:35 UTC"},
	{Type: core.StepMet, Step: "boot ramdisk", Message: "at the second try"},
	{Type: core.StepMet, Step: "inspect"},
	{Type: core.StepMoves, Step: "write image", Message: "33% of 2 GiB", Bytes: 700 * core.MiB},
	{Type: core.StepMoves, Step: "write image", Message: "67% of 2 GiB", Bytes: 1400 * core.MiB},
	{Type: core.StepMet, Step: "write image", Bytes: 2 * core.GiB},
	{Type: core.StepMet, Step: "write seed"},
	{Type: core.StepMet, Step: "boot"},
	{Type: core.StepMet, Step: "eject media"},
	{Type: core.StepMet, Step: "ssh"},
	{Type: core.StepOutput, Step: "step agent", Message: "Created symlink /etc/systemd/system/multi-user.target.wants/node-exporter.service.\nnode-exporter.service is active\nregistered with monitoring.example.com\n"},
	{Type: core.StepMet, Step: "step agent"},
	{Type: core.StepMet, Step: "forget login"},
	{Type: core.StateChanged, From: core.Deploying, To: core.Deployed, On: core.Done},
	{Type: core.StateChanged, From: core.Deployed, To: core.Cleaning, On: core.Release, Message: "docker-machine rm"},
	{Type: core.StepMet, Step: "power off"},
	{Type: core.StepMet, Step: "power on", Message: "waiting for the agent since 09:04:35, until 09:24:35 UTC"},
	{Type: core.StepMet, Step: "boot ramdisk"},
	{Type: core.Erased, Step: "erase", Message: "disk S4EVNX0R123456: purge by NVMe sanitize (crypto), verified"},
	{Type: core.StepMet, Step: "erase"},
	{Type: core.StepMet, Step: "park"},
	{Type: core.StateChanged, From: core.Cleaning, To: core.Available, On: core.Done},
}
