package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

// following is a command that goes on until it is told to stop.
type following struct {
	t     *testing.T
	lines chan string
	stop  context.CancelFunc
	ended chan error
}

func follow(t *testing.T, args ...string) *following {
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	f := &following{t, make(chan string), stop, make(chan error, 1)}
	go func() {
		f.ended <- Run(ctx, args, strings.NewReader(""), w, io.Discard)
		w.Close()
	}()
	go func() {
		defer close(f.lines)
		for scan := bufio.NewScanner(r); scan.Scan(); {
			f.lines <- scan.Text()
		}
	}()
	return f
}

// until returns the first line that holds all words.
func (f *following) until(words ...string) string {
	f.t.Helper()
	var seen []string
next:
	for line := range f.lines {
		seen = append(seen, line)
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue next
			}
		}
		return line
	}
	f.t.Fatalf("ended with %v, and no line had %q:\n%s", <-f.ended, words, strings.Join(seen, "\n"))
	return ""
}

// end stops it, which is no failure.
func (f *following) end() {
	f.t.Helper()
	f.stop()
	for range f.lines {
	}
	if err := <-f.ended; err != nil {
		f.t.Errorf("after Ctrl-C: %v", err)
	}
}

func TestEventsFollow(t *testing.T) {
	onFilledPool(t)
	plain := follow(t, "node", "events", "r1-n1", "-f", "-n", "1")
	all := follow(t, "node", "events", "-f", "-o", "json")
	machine := follow(t, "machine", "logs", "web-1", "-f")
	plain.until("r1-n1", "Cleaning → Available")
	machine.until("write image done", " 2m0s  2 GiB, 17.1 MiB/s")
	machine.until("Deploying → Deployed")
	all.until(`"node":"r1-n3"`, "power off")

	if got := command(t, "node", "maintenance", "r1-n1", "--reason", "new memory"); got.code != exitOK {
		t.Fatal(got.stderr)
	}
	plain.until("Available → Maintenance (pause)", "new memory")
	line := all.until("new memory")
	var event struct{ Node, From, To string }
	if err := json.Unmarshal([]byte(line), &event); err != nil || event.Node != "r1-n1" || event.To != "Maintenance" {
		t.Errorf("%s is event %+v, %v", line, event, err)
	}
	plain.end()
	all.end()
	machine.end()
}

// What is gone is followed to its end, and no further.
func TestEventsFollowToTheEnd(t *testing.T) {
	onFilledPool(t)
	node, machine := follow(t, "node", "events", "r1-n4", "-f"), follow(t, "machine", "logs", "alice@desk/web-0", "-f", "-o", "json")
	node.until("r1-n4", "Quarantined")
	for range machine.lines {
	}
	if err := <-machine.ended; err != nil {
		t.Errorf("following a machine that was released: %v", err)
	}
	if got := command(t, "node", "retire", "r1-n4", "--reason", "sold"); got.code != exitOK {
		t.Fatal(got.stderr)
	}
	node.until("Quarantined → (gone) (retire)", "sold")
	for range node.lines {
	}
	if err := <-node.ended; err != nil {
		t.Errorf("following a node that was retired: %v", err)
	}
}

func TestEventsSince(t *testing.T) {
	onFilledPool(t)
	all := command(t, "node", "events", "r1-n2", "--since", "876000h")
	if all.code != exitOK || !strings.Contains(all.stdout, "Deploying → Deployed") {
		t.Errorf("of the last 100 years: %+v", all)
	}
	if got := command(t, "node", "events", "r1-n2", "--since", "1h"); got.code != exitOK || got.stdout != "" || !strings.Contains(got.stderr, "nothing happened, or it is no longer kept") {
		t.Errorf("of the last hour: %+v", got)
	}
	if got := command(t, "node", "events", "--since", "yesterday"); got.code != exitUsage || !strings.Contains(got.stderr, "--since") {
		t.Errorf("since yesterday: %+v", got)
	}
}

// awayPool is a pool that tells of its events, and is away in between.
type awayPool struct {
	core.Operator
	answers []awayAnswer
	after   []int64 // what was asked for
}

type awayAnswer struct {
	events []core.Event
	err    error
}

func (p *awayPool) Events(_ context.Context, f core.EventFilter) ([]core.Event, error) {
	p.after = append(p.after, f.After)
	next := p.answers[0]
	p.answers = p.answers[1:]
	return next.events, next.err
}

// Who follows misses nothing of what happened while the pool did not answer.
func TestEventsFollowGoesOnAfterACut(t *testing.T) {
	cut := &core.Error{Op: "reach https://pool", Kind: core.Transient, Err: errors.New("connection refused")}
	refused := &core.Error{Op: "list events", Kind: core.Denied, Err: errors.New("the token was revoked")}
	synctest.Test(t, func(t *testing.T) {
		pool := &awayPool{answers: []awayAnswer{
			{nil, cut}, {nil, cut}, {nil, nil}, {[]core.Event{{Seq: 7, Node: "n1", Type: core.Note, Message: "second"}}, nil}, {nil, refused},
		}}
		var out, errs strings.Builder
		a := &app{out: &out, err: &errs}
		f := follower{a: a, pool: pool, over: nodeGone(pool, ""), story: a.storyteller(false, false)}
		err := f.run(t.Context(), []core.Event{{Seq: 5, Node: "n1", Type: core.Note, Message: "first"}})
		if !errors.Is(err, refused) {
			t.Errorf("it ended with %v", err)
		}
		if want := []int64{5, 5, 5, 5, 7}; !slices.Equal(pool.after, want) {
			t.Errorf("asked for what is after %d, want %d", pool.after, want)
		}
		if got := strings.Count(out.String(), "\n"); got != 3 || !strings.HasPrefix(out.String(), "TIME") || !strings.Contains(out.String(), "second") {
			t.Errorf("told\n%s", out.String())
		}
		if want := "goes on once the pool answers: " + cut.Error() + "\nthe pool answers again\n"; errs.String() != want {
			t.Errorf("noted %q, want %q", errs.String(), want)
		}
	})
}

func TestWatchLines(t *testing.T) {
	onFilledPool(t)
	plain := follow(t, "watch", "--interval", "100ms")
	first := plain.until("r1-n1")
	if !strings.Contains(first, "Available") {
		t.Errorf("the first line of r1-n1 is %q", first)
	}
	plain.until("r1-n3", "Cleaning", "[boot ramdisk waits since 03:04:05, until 03:28:05 UTC: trying again: insert media: no answer]")
	plain.until("r2-n2", "Failed", "bob@desk/db-1", "ssh: timeout")
	json := follow(t, "watch", "--interval", "100ms", "-o", "json", "--label", "rack=r1")
	json.until(`"node":"r1-n1"`, `"state":"Available"`)

	for _, args := range [][]string{{"node", "maintenance", "r1-n1", "--reason", "new memory"}, {"node", "retire", "r1-n4"}} {
		if got := command(t, args...); got.code != exitOK {
			t.Fatal(got.stderr)
		}
	}
	// One look may see both changes, in either of two looks.
	changed := plain.until("r1-n")
	other := plain.until("r1-n")
	if both := changed + other; !strings.Contains(both, "Maintenance  new memory") || !strings.Contains(both, "(gone)") {
		t.Errorf("the changes were shown as\n%s\n%s", changed, other)
	}
	json.until(`"node":"r1-n4"`, `"state":"(gone)"`, `"reason":"was Quarantined"`)
	plain.end()
	json.end()
}

// What a console said last is lines of its own, under the event.
func TestEventsOfManyWords(t *testing.T) {
	ev := core.Event{Node: "n1", Type: core.StepFailed, Step: "erase", Message: `not done; the agent's log ends: "one", "two"`}
	var out strings.Builder
	a := app{out: &out}
	if err := a.story([]core.Event{ev, {Node: "n1", Type: core.Note, Message: "next"}}, false, false); err != nil {
		t.Fatal(err)
	}
	want := []string{"TIME NODE EVENT TOOK WHAT", "- n1 erase failed - not done", "| the agent's log ends:", "| one", "| two", "- n1 note - next"}
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Of what a step, a console or an agent said the last lines are shown, or all.
func TestEventsOfWhatWasSaid(t *testing.T) {
	var text strings.Builder
	for i := range 30 {
		fmt.Fprintf(&text, "line %d\r\n\n", i)
	}
	for _, kind := range []core.EventType{core.StepOutput, core.ConsoleSaid, core.AgentSaid} {
		ev := core.Event{Type: kind, Message: text.String()}
		what, said := told(ev, false)
		if what != "the last 10 of 30 lines; all with --full" || len(said) != 10 || said[0] != "line 20" || said[9] != "line 29" {
			t.Errorf("%s: %q %q", kind, what, said)
		}
		if what, said = told(ev, true); what != "30 lines" || len(said) != 30 || said[0] != "line 0" {
			t.Errorf("%s, all: %q %q", kind, what, said)
		}
		if what, said = told(core.Event{Type: kind, Message: "done\n"}, false); what != "done" || said != nil {
			t.Errorf("%s, one line: %q %q", kind, what, said)
		}
	}
}
