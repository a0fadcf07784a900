package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

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
	machine.until("write image done (2m0s, 2 GiB, 17.1 MiB/s)")
	machine.until("Deploying → Deployed")
	all.until(`"node":"r1-n3"`, "power off")

	if got := command(t, "node", "maintenance", "r1-n1", "--reason", "new memory"); got.code != exitOK {
		t.Fatal(got.stderr)
	}
	plain.until("Available → Maintenance (pause): new memory")
	line := all.until("new memory")
	var event struct{ Node, From, To string }
	if err := json.Unmarshal([]byte(line), &event); err != nil || event.Node != "r1-n1" || event.To != "Maintenance" {
		t.Errorf("%s is event %+v, %v", line, event, err)
	}
	plain.end()
	all.end()
	machine.end()
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
	if got, want := eventLine(ev, phase{}, 2), "  n1  erase failed: not done\n    | the agent's log ends:\n    | one\n    | two"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var out strings.Builder
	a := app{out: &out}
	if err := a.story([]core.Event{ev, {Node: "n1", Type: core.Note, Message: "next"}}); err != nil {
		t.Fatal(err)
	}
	want := []string{"TIME NODE EVENT WHAT", "- n1 erase failed not done", "| the agent's log ends:", "| one", "| two", "- n1 note next"}
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
