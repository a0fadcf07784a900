package core_test

import (
	"math"
	"testing"

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
