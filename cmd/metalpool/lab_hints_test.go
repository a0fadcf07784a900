package main

import (
	"strings"
	"testing"

	"github.com/metalpool/metalpool/lab"
)

// A rack that moved says how a pool that has it enrolled is told, in commands that this
// program takes.
func TestMovedRackSaysHowToTellThePool(t *testing.T) {
	dir := t.TempDir()
	first, err := lab.Up(t.Context(), lab.Config{Dir: dir, Nodes: 2})
	if err != nil {
		t.Fatal(err)
	}
	from := first.Net()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	// A block that the folder alone would not have taken.
	to := "127.200.0.0/16"
	rack, err := lab.Up(t.Context(), lab.Config{Dir: dir, Net: to})
	if err != nil {
		t.Fatal(err)
	}
	defer rack.Close()
	text := movedText(rack.MovedFrom(), rack)
	for _, want := range []string{
		"moved from " + from + " to " + to,
		"metalpool node set n001 --bmc https://127.200.0.11:8443 --address 127.200.0.11\n",
		"metalpool node set n002 --bmc https://127.200.0.12:8443 --address 127.200.0.12\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	root := newRoot(&app{})
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "  metalpool") {
			checkExample(t, root, "metalpool lab up", line)
		}
	}
}
