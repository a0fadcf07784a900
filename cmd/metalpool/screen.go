package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core"
)

// screen draws a table in place, on the terminal's second buffer, so that what was
// on it before comes back.
type screen struct {
	out io.Writer
}

const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

func newScreen(out io.Writer) *screen {
	_, _ = io.WriteString(out, enterScreen) // the first draw tells
	return &screen{out}
}

func (s *screen) leave() { _, _ = io.WriteString(s.out, leaveScreen) }

// draw writes a frame at once: one write does not flicker.
func (s *screen) draw(rows []watchRow) error {
	width, height := terminalSize(s.out)
	lines := frame(rows, time.Now(), width, height, true)
	_, err := io.WriteString(s.out, home+strings.Join(lines, clearLine+"\r\n")+clearLine+clearBelow)
	return err
}

// frame lays the rack out for a terminal of that size. Where there is no room for
// all nodes, those at rest as they should be are left out first.
func frame(rows []watchRow, now time.Time, width, height int, color bool) []string {
	summary := clip(summarize(rows)+"   "+clock(now), width)
	room := height - 4
	blocks := watchTable(newTable(color, width), rows, now).blocks()
	if height > 0 && countLines(blocks[1:]) > room {
		shown := slices.Clone(rows)
		slices.SortStableFunc(shown, func(x, y watchRow) int { return interest(y.State) - interest(x.State) })
		blocks = watchTable(newTable(color, width), shown, now).blocks()
		fits, hidden := cutBlocks(blocks, max(room-1, 1))
		blocks = append(fits, []string{clip(fmt.Sprintf("… and %d more", hidden), width)})
	}
	return append([]string{summary, ""}, slices.Concat(blocks...)...)
}

// cutBlocks keeps the header and as many rows as fit into so many lines, of the first one
// as much as does, and says how many are hidden.
func cutBlocks(blocks [][]string, room int) (kept [][]string, hidden int) {
	kept = blocks[:1:1]
	for i, block := range blocks[1:] {
		if len(block) > room && i > 0 {
			return kept, len(blocks) - 1 - i
		}
		block = block[:min(len(block), room)]
		kept, room = append(kept, block), room-len(block)
	}
	return kept, 0
}

func countLines(blocks [][]string) (n int) {
	for _, block := range blocks {
		n += len(block)
	}
	return n
}

// interest is how much an operator wants to see a node in that state.
func interest(s core.State) int {
	switch {
	case s == core.Quarantined || s == core.Failed:
		return 3
	case s.Working():
		return 2
	case s == core.Available:
		return 0
	}
	return 1
}

// summarize counts the nodes by state, in the order of a node's life.
func summarize(rows []watchRow) string {
	counts := map[core.State]int{}
	for _, r := range rows {
		counts[r.State]++
	}
	var parts []string
	for _, s := range core.NodeStates {
		if n := counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return words(plural(len(rows), "node")+either(len(parts) > 0, ":", ""), strings.Join(parts, ", "))
}
