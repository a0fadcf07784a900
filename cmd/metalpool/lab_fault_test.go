package main

import (
	"os"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/bmc"
)

// Help and docs/lab.md explain every kind of fault, in the same words.
func TestEveryFaultIsExplained(t *testing.T) {
	help := command(t, "lab", "fault", "add", "--help").stdout
	docs, err := os.ReadFile("../../docs/lab.md")
	if err != nil {
		t.Fatal(err)
	}
	meanings := map[string]string{}
	for _, k := range lab.FaultKinds() {
		meanings[string(k)] = k.Meaning()
	}
	for _, k := range bmc.Kinds() {
		meanings[string(k)] = k.Meaning()
	}
	for kind, meaning := range meanings {
		if meaning == "" {
			t.Errorf("what %s means is not said", kind)
		}
		if !strings.Contains(help, "\n  "+kind) || !strings.Contains(help, "  "+meaning+"\n") {
			t.Errorf("help does not explain %s", kind)
		}
		if row := "| `" + kind + "` | " + meaning; !strings.Contains(string(docs), row) {
			t.Errorf("docs/lab.md has no row %s", row)
		}
	}
	if !strings.Contains(help, "docs/lab.md") {
		t.Error("help does not say where more is")
	}
}

func TestWhenAFaultHits(t *testing.T) {
	for _, c := range []struct {
		nth, count int
		want       string
	}{
		{1, 1, "the next time"},
		{1, 3, "the next 3 times"},
		{2, 1, "the 2nd time"},
		{3, 9, "the 3rd to the 11th time"},
		{21, 92, "the 21st to the 112th time"},
		{1, lab.Forever, "every time until it is cleared"},
		{4, lab.Forever, "every time from the 4th on, until it is cleared"},
	} {
		if got := when(c.nth, c.count); got != c.want {
			t.Errorf("from %d, %d times: %q, want %q", c.nth, c.count, got, c.want)
		}
	}
}
