package core_test

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

func TestProgress(t *testing.T) {
	for _, c := range []struct {
		done, total core.Bytes
		percent     int
		known       bool
	}{
		{0, 0, 0, false},
		{5, 0, 0, false},
		{1, 3, 33, true},
		{3, 3, 100, true},
		{math.MaxInt64 / 2, math.MaxInt64, 50, true}, // where counting in bytes overflows
	} {
		p := core.Progress{Done: c.done, Total: c.total}
		if percent, known := p.Percent(); percent != c.percent || known != c.known {
			t.Errorf("%d of %d: %d%%, %v; want %d%%, %v", c.done, c.total, percent, known, c.percent, c.known)
		}
	}
	p := core.Progress{Node: "n1", Step: "write", Message: "chunk", Done: 1, Total: 2}
	for _, c := range []struct {
		name    string
		earlier core.Progress
		same    bool
	}{
		{"not as far", core.Progress{Node: "n1", Step: "write", Message: "chunk"}, true},
		{"on another node", core.Progress{Node: "n2", Step: "write", Message: "chunk"}, false},
		{"in another step", core.Progress{Node: "n1", Step: "boot", Message: "chunk"}, false},
		{"in other words", core.Progress{Node: "n1", Step: "write"}, false},
	} {
		if p.Same(c.earlier) != c.same {
			t.Errorf("%s: the same is %v", c.name, !c.same)
		}
	}
}

// Who waits is told which step of how many is under way, the operator's among them, and
// for how long at most.
func TestProgressTellsWhichStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.profile(script("agent", "true"))
		e, _ := p.engine()
		said := map[string]string{}
		_, err := e.Create(t.Context(), order("a-1", "web-1"), func(moment core.Progress) {
			if strings.HasPrefix(moment.Message, "step ") {
				said[moment.Step] = moment.Message
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for step, want := range map[string]string{
			"boot ramdisk": "step 1 of 10, at most 24m", "step agent": "step 9 of 10, at most ", "remove management key": "step 10 of 10, at most 2m",
		} {
			if !strings.HasPrefix(said[step], want) {
				t.Errorf("of %s it says %q, want %q", step, said[step], want)
			}
		}
	})
}
