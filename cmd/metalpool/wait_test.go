package main

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

// Who waits for a node that another process cleans sees how that comes along, once and
// from the clean's beginning, and nothing of what was before or of what this process
// reports itself.
func TestWaitTellsWhatOthersDo(t *testing.T) {
	onFilledPool(t)
	path := os.Getenv("METALPOOL_URL")
	key, err := seal.Load("", seal.FileOf(path))
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), path, sqlite.Options{KeyFingerprint: key.Fingerprint()})
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
