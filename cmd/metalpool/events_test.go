package main

import (
	"io"
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

// On a narrow terminal the day stands once, and what has room stays beside its event; and
// whatever comes later with -f, columns stay under their names.
func TestStoriesOnNarrowTerminals(t *testing.T) {
	at := time.Date(2026, 1, 2, 23, 59, 58, 0, time.Local)
	events := []core.Event{
		{At: at, Node: "n1", Type: core.StateChanged, To: core.Cleaning, On: core.EnrollErase, Message: "https://127.93.0.11:8443"},
		{At: at.Add(time.Second), Node: "n1", Type: core.StepMet, Step: "power off"},
		{At: at.Add(2 * time.Second), Node: "n1", Type: core.Erased, Message: "AD71B82220A3: clear by file hole, verified"},
		{At: at.Add(3 * time.Second), Node: "n1", Type: core.StateChanged, From: core.Cleaning, To: core.Available, On: core.Done},
	}
	want := `TIME      NODE  EVENT                        TOOK  WHAT
2026-01-02
23:59:58  n1    → Cleaning (enroll --erase)  -     https://127.93.0.11:8443
23:59:59  n1    power off done               1s    -
2026-01-03
00:00:00  n1    erased                       -
    AD71B82220A3: clear by file hole, verified
00:00:01  n1    Cleaning → Available (done)  -     -
`
	teller := func() *storyteller {
		s := (&app{out: io.Discard}).storyteller(false, false)
		s.table.width = 80
		return s
	}
	once := teller()
	once.add(events)
	if got := strings.Join(once.table.lines(), "\n") + "\n"; got != want {
		t.Errorf("at once it is\n%s\nwant\n%s", got, want)
	}
	one, followed := teller(), ""
	for _, ev := range events {
		one.add([]core.Event{ev})
		followed += one.table.more()
	}
	if followed != want {
		t.Errorf("followed, it is\n%s\nwant\n%s", followed, want)
	}

	// A column that could be done without at first does not come back.
	sparing := (&app{out: io.Discard}).storyteller(false, true)
	sparing.table.width = 70
	var lines []string
	for _, ev := range []core.Event{
		{At: at, Node: "n1", Type: core.StateChanged, From: core.Quarantined, To: core.Cleaning, On: core.Repair, Message: strings.Repeat("why ", 9)},
		{At: at, Node: "n1", Type: core.StepMet, Step: "park"},
		{At: at, Node: "n1", Type: core.StepMet, Step: strings.Repeat("a-step-of-a-long-name", 3)},
	} {
		sparing.add([]core.Event{ev})
		lines = append(lines, strings.Split(sparing.table.more(), "\n")...)
	}
	told := strings.Join(strings.Fields(strings.Join(lines, " ")), " ")
	if strings.Contains(told, "n1") || !strings.Contains(told, "name done") {
		t.Errorf("it is\n%s", told)
	}
}
