package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// TestStoryPage runs the commands of docs/story.md, on a pool where they find something,
// and holds the page to what is kept.
func TestStoryPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "story.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	commands := commandsOf(page)
	if len(commands) < 10 {
		t.Fatalf("it has %d commands", len(commands))
	}
	onFilledPool(t)
	for _, line := range commands {
		args := strings.Fields(line)
		if args[0] != "metalpool" {
			t.Fatalf("%q is not run here", line)
		}
		args = args[1:]
		if slices.Contains(args, "-f") {
			f := follow(t, args...)
			f.until(" ") // there is something to be told
			f.end()
			continue
		}
		if got := command(t, args...); got.code != exitOK || got.stdout == "" {
			t.Errorf("%s\nexits with %d, prints\n%s%s", line, got.code, got.stdout, got.stderr)
		}
	}
	for _, kept := range []string{"the last 2,000 events, and " + core.MostTold.String()} {
		if !strings.Contains(page, kept) {
			t.Errorf("it does not say %q", kept)
		}
	}
	if core.MostEvents != 2000 {
		t.Errorf("it says 2,000, and %d are kept", core.MostEvents)
	}
	for _, ev := range []core.Event{
		{Type: core.StateChanged, From: core.Available, To: core.Allocated, On: core.Claim},
		{Type: core.StepMet, Step: "boot ramdisk"}, {Type: core.StepWaits, Step: "boot ramdisk"}, {Type: core.StepMoves, Step: "write image"},
		{Type: core.StepFailed, Step: "write image"}, {Type: core.StepOutput, Step: "step NAME"}, {Type: core.AgentSaid}, {Type: core.ConsoleSaid},
		{Type: core.AgentRefused}, {Type: core.LeftOut},
	} {
		if !strings.Contains(page, "| `"+ev.Text()+"`") {
			t.Errorf("it does not tell of %q", ev.Text())
		}
	}
}
