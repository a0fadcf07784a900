package main

import (
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// A step that failed is told with its words once, and not with each event that its
// failure leads to; and -f tells the same as what is printed at once.
func TestStoriesSayEverythingOnce(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	why := `it ended with status 7; its output ends: "line two", "cannot reach the mirror"`
	events := []core.Event{
		{At: at, Node: "n1", Type: core.StateChanged, From: core.Allocated, To: core.Deploying, On: core.Deploy},
		{At: at.Add(90 * time.Second), Node: "n1", Type: core.StepMet, Step: "write image", Bytes: 2 * core.GiB},
		{At: at.Add(95 * time.Second), Node: "n1", Type: core.StepOutput, Step: "step agent", Message: "line one\nline two\ncannot reach the mirror\n"},
		{At: at.Add(95 * time.Second), Node: "n1", Type: core.StepFailed, Step: "step agent", Message: why},
		{At: at.Add(96 * time.Second), Node: "n1", Type: core.StateChanged, From: core.Deploying, To: core.Failed, On: core.GiveUp, Message: "step agent: " + why},
		{At: at.Add(99 * time.Second), Node: "n1", Type: core.StateChanged, From: core.Failed, To: core.Cleaning, On: core.Release, Message: `gone; its console ends: "panic"`},
	}
	var out, errs strings.Builder
	a := &app{out: &out, err: &errs}
	if err := a.story(events, false, false); err != nil {
		t.Fatal(err)
	}
	want := `
TIME                 NODE  EVENT                          TOOK   WHAT
2026-01-02 03:04:05  n1    Allocated → Deploying (deploy)  -      -
2026-01-02 03:05:35  n1    write image done               1m30s  2 GiB, 22.8 MiB/s
2026-01-02 03:05:40  n1    step agent said                -      3 lines
    | line one
    | line two
    | cannot reach the mirror
2026-01-02 03:05:40  n1    step agent failed              5s     it ended with status 7
2026-01-02 03:05:41  n1    Deploying → Failed (give up)   -      step agent: it ended with status 7
2026-01-02 03:05:44  n1    Failed → Cleaning (release)    -      gone
    | its console ends:
    | panic
`
	if strings.Join(strings.Fields(out.String()), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("the story is\n%s\nwant%s", out.String(), want)
	}
	teller := a.storyteller(false, false)
	teller.add(events[:1])
	followed := teller.table.more()
	for _, ev := range events[1:] {
		teller.add([]core.Event{ev})
		followed += teller.table.more()
	}
	if strings.Join(strings.Fields(followed), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("followed, it is\n%s\nwant%s", followed, want)
	}
}
