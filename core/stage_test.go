package core

import (
	"testing"
	"time"
)

func TestTheStageOfAnAttempt(t *testing.T) {
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	after := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	event := func(s int, of EventType, step, message string) Event {
		return Event{At: after(s), Type: of, Step: step, Message: message}
	}
	booted := map[string]time.Time{stepRamdisk: after(30), stepInspect: after(31)}
	for name, tt := range map[string]struct {
		job    Job
		met    map[string]time.Time
		events []Event
		want   string
	}{
		"the first": {JobDeploy, nil, nil, "boot ramdisk since 12:00:00 UTC"},
		"the ramdisk is on its way": {JobDeploy, nil, []Event{event(4, StepMet, stepOn, "waiting for the agent since 12:00:04, until 12:20:04 UTC")},
			"boot ramdisk: powered on, waiting for the agent since 12:00:04, until 12:20:04 UTC"},
		"the next after one that is done": {JobDeploy, booted, []Event{event(31, StepMet, stepInspect, "")}, "write image since 12:00:31 UTC"},
		"how far it is":                   {JobDeploy, booted, []Event{event(31, StepMet, stepInspect, ""), event(40, StepMoves, stepWrite, "45% of 2 GiB")}, "write image 45% of 2 GiB"},
		"not what somebody else is told": {JobDeploy, booted, []Event{event(40, StepMoves, stepWrite, "45% of 2 GiB"), event(41, AgentRefused, stepRamdisk, "10.0.0.9: why"), event(42, Note, "", "changed by the operator")},
			"write image 45% of 2 GiB"},
		"what it waits for": {JobDeploy, booted, []Event{event(40, StepMoves, stepWrite, "45% of 2 GiB"), event(60, StepWaits, stepWrite, "since 12:00:45, until 12:05:45 UTC: its agent at x does not answer")},
			"write image waits since 12:00:45, until 12:05:45 UTC: its agent at x does not answer"},
		"again after it failed": {JobDeploy, map[string]time.Time{stepInspect: after(31)}, []Event{event(40, StepWaits, stepRamdisk, "of the first try"), event(50, StepFailed, stepWrite, "why")},
			"boot ramdisk since 12:00:50 UTC"},
		"anew by another":  {JobDeploy, booted, []Event{event(40, StepMoves, stepWrite, "45% of 2 GiB"), event(99, WorkTaken, stepWrite, "by p")}, "write image since 12:01:39 UTC"},
		"given up":         {JobDeploy, booted, []Event{event(99, WorkTaken, stepOff, "by p, to end it")}, "power off since 12:01:39 UTC"},
		"given up, no BMC": {JobDeploy, booted, []Event{event(99, WorkTaken, stepOff, "by p"), event(120, StepWaits, stepOff, "since 12:01:39")}, "power off waits since 12:01:39"},
		"given up and off": {JobDeploy, map[string]time.Time{stepOff: after(100)}, []Event{event(99, WorkTaken, stepOff, "by p"), event(100, StepMet, stepOff, "")}, "eject media since 12:01:40 UTC"},
		"gone on with": {JobDeploy, booted, []Event{event(99, WorkTaken, stepOff, "by p, to end it"), event(120, WorkTaken, stepWrite, "by q")},
			"write image since 12:02:00 UTC"},
		"a clean":       {JobClean, map[string]time.Time{stepOff: after(2)}, nil, "boot ramdisk since 12:00:02 UTC"},
		"all but ended": {JobClean, map[string]time.Time{stepOff: after(2), stepRamdisk: after(3), stepErase: after(4), stepPark: after(5)}, nil, ""},
	} {
		s := stageOf(Attempt{Job: tt.job, StartedAt: began, Met: tt.met}, tt.events)
		s.Worker = "root@vm/1"
		if got := s.String(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
