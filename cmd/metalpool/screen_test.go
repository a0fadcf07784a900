package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

func TestFrame(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	rows := []watchRow{
		{Node: "n1", State: core.Available, Since: now.Add(-time.Hour)},
		{Node: "n2", State: core.Deployed, Machine: "alice/web-1", Since: now.Add(-50 * time.Hour)},
		{Node: "n3", State: core.Deploying, Machine: "alice/web-2", Step: "inspect done", Since: now.Add(-90 * time.Second)},
		{Node: "n4", State: core.Quarantined, Since: now, Reason: "disk S1: smart says that it fails"},
	}
	for _, test := range []struct {
		name          string
		width, height int
		want          string
	}{
		{"room for all", 0, 0, `
4 nodes: 1 Quarantined, 1 Available, 1 Deploying, 1 Deployed   03:04:05

NODE  STATE        MACHINE      SINCE  STEP          WHY
n1    Available    -            1h     -             -
n2    Deployed     alice/web-1  2d     -             -
n3    Deploying    alice/web-2  1m     inspect done  -
n4    Quarantined  -            now    -             disk S1: smart says that it fails`},
		{"too narrow", 40, 24, `
4 nodes: 1 Quarantined, 1 Available, 1 …

NODE  STATE        MACHINE      SINCE
n1    Available    -            1h
n2    Deployed     alice/web-1  2d
n3    Deploying    alice/web-2  1m
    step: inspect done
n4    Quarantined  -            now
    why: disk S1: smart says that it
    fails`},
		// What is wrong or under way is what there is room for.
		{"too low", 0, 7, `
4 nodes: 1 Quarantined, 1 Available, 1 Deploying, 1 Deployed   03:04:05

NODE  STATE        MACHINE      SINCE  STEP          WHY
n4    Quarantined  -            now    -             disk S1: smart says that it fails
n3    Deploying    alice/web-2  1m     inspect done  -
… and 2 more`},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines := frame(rows, now, test.width, test.height, false)
			if got := strings.Join(lines, "\n"); got != strings.TrimPrefix(test.want, "\n") {
				t.Errorf("frame is\n%s\nwant%s", got, test.want)
			}
			if test.height > 0 && len(lines) >= test.height {
				t.Errorf("%d lines on %d rows: the terminal would scroll", len(lines), test.height)
			}
		})
	}
}

func TestFrameOfAnySizeFits(t *testing.T) {
	var rows []watchRow
	for i := range 100 {
		rows = append(rows, watchRow{Node: core.NodeID(fmt.Sprintf("node-%03d", i)), State: core.NodeStates[i%len(core.NodeStates)], Reason: "ä long reason"})
	}
	for width := 1; width < 100; width += 7 {
		for height := 6; height < 120; height += 9 {
			lines := frame(rows, time.Now(), width, height, false)
			if len(lines) >= height {
				t.Errorf("%d lines on %d rows", len(lines), height)
			}
			for _, line := range lines {
				if n := len([]rune(line)); n > width {
					t.Errorf("a line of %d characters on %d columns: %q", n, width, line)
				}
			}
		}
	}
}

func TestColoursCoverTheStateAlone(t *testing.T) {
	table := newTable(true, 0, "NODE", "STATE", "WHY")
	table.row("n1", "Quarantined", "was Failed before")
	table.row("n2", "Deployed", "")
	got := table.lines()
	want := []string{
		bold + "NODE  STATE        WHY" + plain,
		"n1    " + red + "Quarantined" + plain + "  was Failed before",
		"n2    Deployed     -",
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d is %q, want %q", i, got[i], want[i])
		}
	}
}

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                          "plain",
		"two\r\nlines\tand a tab":        "two lines and a tab",
		"\x1b[31mred\x1b[0m and \x1b[2J": "red and",
		"bell\a nul\x00 csi\u009b31m":    "bell nul csi 31m",
		"  grüße  ":                      "grüße",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", text, got, want)
		}
	}
}
