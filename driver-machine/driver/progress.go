package driver

import (
	"fmt"
	"strings"
	"sync"
	"unicode"

	"github.com/metalpool/metalpool/core"
)

// percentStep is how coarse a line about a long step is: docker-machine shows
// lines, not bars, and CI keeps each.
const percentStep = 25

// maxLine keeps a line far below the 64 KiB at which docker-machine stops reading
// what a driver prints.
const maxLine = 2000

// newProgress returns a reporter that prints a line where something changed.
func newProgress(print func(...any)) core.Reporter {
	var mu sync.Mutex
	var last core.Progress
	var lastPercent int
	return func(p core.Progress) {
		mu.Lock()
		defer mu.Unlock()
		same := p.Same(last)
		percent, known := p.Percent()
		if percent = percent / percentStep * percentStep; !known {
			percent = -1
		}
		if same && percent <= lastPercent {
			return
		}
		last, lastPercent = p, percent
		print(progressLine(p, percent))
	}
}

// progressLine is one line for people; a percent below 0 is not shown.
func progressLine(p core.Progress, percent int) string {
	var parts []string
	for _, part := range []string{string(p.Node), p.Step, p.Message} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if percent >= 0 {
		parts = append(parts, fmt.Sprintf("%d%% of %s", percent, p.Amount(p.Total)))
	}
	return oneLine(strings.Join(parts, ": "))
}

// oneLine makes a text fit for a log that is read by lines.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ReplaceAll(strings.TrimSpace(s), "\n", "; "))
	if len(s) > maxLine {
		s = strings.ToValidUTF8(s[:maxLine], "") + "…"
	}
	return s
}
