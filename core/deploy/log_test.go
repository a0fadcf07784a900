package deploy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/core"
)

// What an agent did can be read where a step failed, and its token cannot.
func TestTheAgentTellsItsLog(t *testing.T) {
	d, _ := newDeployer(t)
	s, a, _ := checkedIn(t, d, newMachine(t, filedisk.Faults{}, mib))
	if err := a.Seed(t.Context(), "seed-1", core.SeedOrder{Disk: "none", Filesystem: fat("cidata", mib)}); err == nil {
		t.Fatal("a seed was put on no disk")
	}
	log, err := a.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"checked in", "seed-1", `there is no disk`} {
		if !strings.Contains(log, want) {
			t.Errorf("it does not say %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, s.secret.Token) {
		t.Error("it tells the token")
	}
	newer := dial(t, d, s, 6)
	if _, err := newer.Log(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := a.Log(t.Context()); core.KindOf(err) != core.LeaseLost {
		t.Errorf("an engine that was taken over reads on: %v", err)
	}
}

// Who reports a failure is not kept waiting by an agent that has gone.
func TestTheLogOfAnAgentThatHasGone(t *testing.T) {
	d, _ := newDeployer(t)
	s := offer(t, d, silence)
	ended, cut := run(t, s.params, newMachine(t, filedisk.Faults{}, mib))
	endpoint, err := d.AwaitCheckIn(t.Context(), s.boot.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.boot.Agent = &endpoint
	cut()
	if err := <-ended; err == nil {
		t.Error("the agent that was cut off ended by itself")
	}
	if log, err := dial(t, d, s, 5).Log(t.Context()); core.KindOf(err) != core.Transient {
		t.Errorf("%q, %v", log, err)
	}
}

// A server whose clock is years off is told the time by its engine.
func TestCheckInSetsTheClock(t *testing.T) {
	d, _ := newDeployer(t)
	s := offer(t, d, silence)
	before := time.Now().Truncate(time.Second)
	told := make(chan time.Time, 1)
	run(t, s.params, newMachine(t, filedisk.Faults{}, mib), func(c *agent.Config) { c.SetClock = func(now time.Time) { told <- now } })
	if _, err := d.AwaitCheckIn(t.Context(), s.boot.ID); err != nil {
		t.Fatal(err)
	}
	if got := <-told; got.Before(before) || got.After(time.Now()) {
		t.Errorf("it was told %s at %s", got, before)
	}
}
