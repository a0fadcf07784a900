package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
)

// Who waits for a node that another process cleans sees how that comes along, once and
// from the clean's beginning, and nothing of what was before or of what this process
// reports itself.
func TestWaitTellsWhatOthersDo(t *testing.T) {
	onFilledPool(t)
	path := os.Getenv("METALPOOL_URL")
	store, err := behind(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	e, err := open.Engine(t.Context(), path, open.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	happens := func(ev core.Event) {
		ev.Node = "r1-n3"
		if err := store.Update(t.Context(), func(tx core.Tx) error { return tx.AddEvent(ev) }); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	p := &progress{out: &out, nodes: map[core.NodeID]*track{}, now: time.Now}
	w := watcher{seen: map[core.NodeID]int64{}}
	look := func() { w.look(t.Context(), e, "r1-n3", p) }

	const theirs = "bob@desk/1"
	happens(core.Event{Type: core.StepMet, Step: "of an earlier clean", By: theirs})
	happens(core.Event{Type: core.StateChanged, From: core.Quarantined, To: core.Cleaning, On: core.Repair})
	happens(core.Event{Type: core.StepMet, Step: "power off", By: theirs})
	look()
	happens(core.Event{Type: core.StepMet, Step: "boot ramdisk", By: theirs})
	happens(core.Event{Type: core.StepMoves, Step: "erase", Message: "40% of 8 TB", By: theirs})
	happens(core.Event{Type: core.Note, Message: "a note", By: theirs})
	happens(core.Event{Type: core.StepMet, Step: "park", By: fmt.Sprintf("me@here/%d", os.Getpid())})
	look()
	look()
	const want = "r1-n3: power off: done\nr1-n3: boot ramdisk: done\nr1-n3: erase: 40% of 8 TB\n"
	if out.String() != want {
		t.Errorf("it told\n%s\nwant\n%s", out.String(), want)
	}
}

func TestAfterClean(t *testing.T) {
	long := "disk S1: sentinels are still there; its console ends: \"" + strings.Repeat("x", 500) + "\""
	for _, tt := range []struct {
		node core.Node
		want string
	}{
		{core.Node{ID: "n1", State: core.Available}, "n1 is Available"},
		{core.Node{ID: "n1", State: core.Cleaning}, "n1 is Cleaning"},
		{core.Node{ID: "n1", State: core.Available, Spec: core.NodeSpec{EraseFault: "1 erase failed before one was verified: disk S1: I/O error"}},
			"n1 is Available, but 1 erase failed before one was verified: disk S1: I/O error; see 'metalpool node events n1'"},
		{core.Node{ID: "n1", State: core.Quarantined, Reason: long, Spec: core.NodeSpec{EraseFault: "erase 3 of at most 3 failed: disk S1"}}, "n1 is Quarantined"},
	} {
		if got := afterClean(tt.node); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	err := quarantined(core.Node{ID: "n1", State: core.Quarantined, Reason: long})
	if want := "n1 is Quarantined: disk S1: sentinels are still there; see 'metalpool node show n1'"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}
