package driver

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

func TestProgressIsCoarse(t *testing.T) {
	var lines []string
	report := newProgress(func(args ...any) { lines = append(lines, fmt.Sprint(args...)) })
	report(core.Progress{Step: "queue", Message: "waiting for a node"})
	report(core.Progress{Step: "queue", Message: "waiting for a node"})
	report(core.Progress{Node: "n1", Step: "power"})
	for done := core.Bytes(0); done <= 1000; done++ {
		report(core.Progress{Node: "n1", Step: "write", Done: done * core.MiB, Total: 1000 * core.MiB})
	}
	report(core.Progress{Node: "n2", Step: "write", Done: 0, Total: 2 * core.GiB}) // moved on
	want := []string{
		"queue: waiting for a node", "n1: power",
		"n1: write: 0% of 1000 MiB", "n1: write: 25% of 1000 MiB", "n1: write: 50% of 1000 MiB", "n1: write: 75% of 1000 MiB", "n1: write: 100% of 1000 MiB",
		"n2: write: 0% of 2 GiB",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// docker-machine reads by lines and stops at a long one.
func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"a\nb\n":                     "a; b",
		"a\x1b[31mb\r":               "a [31mb",
		strings.Repeat("x", maxLine): strings.Repeat("x", maxLine),
	} {
		if got := oneLine(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	if got := oneLine(strings.Repeat("é", maxLine)); len(got) > maxLine+len("…") || strings.Contains(got, "\ufffd") {
		t.Errorf("a long line became %d bytes, ending %q", len(got), got[len(got)-8:])
	}
}
