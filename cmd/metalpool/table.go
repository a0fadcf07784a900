package main

import (
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// table lays out columns. A file or a pipe gets all of them, a line for each row. On a
// terminal it keeps to the terminal's width and loses nothing that is needed: a last cell
// for which there is no room, why a node is out of use say, stands in lines of its own
// under its row, and columns that can be done without are left out.
type table struct {
	header  []string
	rows    []tableRow
	without []string // columns that can be done without, the least needed first
	atLeast []int    // how wide each column is whatever is in it
	kept    *layout  // of one that goes on: its columns stay where they are, while there is room
	shared  int      // how many columns at the beginning rows share with those before them
	color   bool
	width   int // of the terminal; 0: no limit
}

type tableRow struct {
	over  string // a line before it, from its beginning on
	cells []string
	said  []string // lines under it
}

const (
	columnGap = "  "
	underRow  = "    " // before what stands under a row
	// lastRoom is what the last column is to have beside the others, if it needs that
	// much, before columns are left out for it.
	lastRoom = 20
)

func (a *app) table(header ...string) *table {
	return newTable(isTerminal(a.out), terminalWidth(a.out), header...)
}

func newTable(color bool, width int, header ...string) *table {
	return &table{header: header, color: color && os.Getenv("NO_COLOR") == "", width: width}
}

// sparing names the columns that are left out where there is no room, in this order.
func (t *table) sparing(columns ...string) *table {
	t.without = columns
	return t
}

// sharing says that the first columns are mostly the same in several rows, which stand
// together. Where there is no room, these columns stand above such rows, once.
func (t *table) sharing(columns int) *table {
	t.shared = columns
	return t
}

// row adds a row, with lines to stand under it. A tab or a line break in a cell would
// break the columns.
func (t *table) row(cells ...string) {
	shown := make([]string, len(cells))
	for i, cell := range cells {
		if shown[i] = oneLine(cell); shown[i] == "" {
			shown[i] = "-"
		}
	}
	t.rows = append(t.rows, tableRow{cells: shown})
}

// over adds a line before the row that was added last, of what it and those after it share.
func (t *table) over(text string) { t.rows[len(t.rows)-1].over = oneLine(text) }

// under adds a line under the row that was added last.
func (t *table) under(text string) {
	last := &t.rows[len(t.rows)-1]
	last.said = append(last.said, oneLine(text))
}

// layout is which columns there are, by their places in the header.
type layout struct {
	above  []int // in a line of their own before the rows that share them
	beside []int // next to each other
	below  []int // in lines of their own under each row
	widths []int // of all columns
}

// arrange finds a layout: at first whatever can be done without goes, from the least
// needed on; then go above what rows share, and below one after the other of the last.
func (t *table) arrange() layout {
	l := layout{widths: make([]int, len(t.header))}
	for i, name := range t.header {
		l.beside = append(l.beside, i)
		l.widths[i] = utf8.RuneCountInString(name)
		if i < len(t.atLeast) {
			l.widths[i] = max(l.widths[i], t.atLeast[i])
		}
		for _, r := range t.rows {
			l.widths[i] = max(l.widths[i], utf8.RuneCountInString(r.cells[i]))
		}
	}
	if k := t.kept; k != nil {
		if same := (layout{k.above, k.beside, k.below, l.widths}); same.holds(t.width) {
			return same
		}
	}
	for _, name := range t.without {
		if l.fits(t.width) {
			return l
		}
		l.beside = slices.DeleteFunc(l.beside, func(i int) bool { return t.header[i] == name })
	}
	if t.shared > 0 && !l.fits(t.width) {
		l.above, l.beside = l.beside[:t.shared], l.beside[t.shared:]
	}
	for len(l.beside) > 1 && !l.fits(t.width) {
		end := len(l.beside) - 1
		if len(l.below) == 0 && l.upTo(end)+lastLeast <= t.width {
			return l // what is too long of the last column goes below, and that alone
		}
		l.below = slices.Insert(l.below, 0, l.beside[end])
		l.beside = l.beside[:end]
	}
	return l
}

// lastLeast is the room in which a last column is still one.
const lastLeast = 8

// fits reports whether there is room for all columns that are beside each other.
func (l layout) fits(width int) bool {
	end := len(l.beside) - 1
	if width <= 0 || end < 0 {
		return true
	}
	last := l.widths[l.beside[end]]
	if len(l.below) == 0 {
		last = min(last, lastRoom)
	}
	return l.upTo(end)+last <= width
}

// holds reports whether there is room for what is beside each other, but for the end of
// the last column of all.
func (l layout) holds(width int) bool {
	end := len(l.beside) - 1
	last := l.widths[l.beside[end]]
	if len(l.below) == 0 {
		last = min(last, lastLeast)
	}
	return width <= 0 || l.upTo(end)+last <= width
}

// upTo is how many characters the first columns take, with the gap after each.
func (l layout) upTo(end int) (width int) {
	if len(l.above) > 0 {
		width = len(underRow)
	}
	for _, i := range l.beside[:end] {
		width += l.widths[i] + len(columnGap)
	}
	return width
}

// blocks are the lines of each row, the header's first.
func (t *table) blocks() [][]string {
	l := t.arrange()
	blocks := make([][]string, 0, len(t.rows)+1)
	heading := append(t.shares(l, t.header, nil), t.line(l, t.header))
	if t.color {
		for i, line := range heading {
			heading[i] = bold + line + plain
		}
	}
	blocks = append(blocks, heading)
	before := []string(nil)
	for _, r := range t.rows {
		block := append(t.shares(l, r.cells, before), t.block(l, r)...)
		if r.over != "" {
			block = append([]string{clip(r.over, t.width)}, block...)
		}
		blocks = append(blocks, block)
		before = r.cells
	}
	return blocks
}

// shares is the line above a row, where the row before has another one.
func (t *table) shares(l layout, cells, before []string) []string {
	same := func(i int) bool { return before != nil && before[i] == cells[i] }
	if len(l.above) == 0 || !slices.ContainsFunc(l.above, func(i int) bool { return !same(i) }) {
		return nil
	}
	return []string{clip(t.beside(l.above, l, cells), t.width)}
}

// block is a row: its line, and what stands under that.
func (t *table) block(l layout, r tableRow) []string {
	beside, under := slices.Clone(r.cells), []string(nil)
	end := len(l.beside) - 1
	if last := l.beside[end]; t.width > 0 && len(l.below) == 0 && end > 0 && l.upTo(end)+utf8.RuneCountInString(r.cells[last]) > t.width {
		under = append(under, r.cells[last])
		beside[last] = ""
	}
	for _, i := range l.below {
		if r.cells[i] != "-" {
			under = append(under, strings.ToLower(t.header[i])+": "+r.cells[i])
		}
	}
	first := t.line(l, beside)
	if t.color {
		first = paint(first)
	}
	lines := []string{first}
	for _, text := range slices.Concat(under, r.said) {
		room := t.width - len(underRow)
		if t.width <= 0 {
			room = 0
		}
		for _, part := range wrap(text, room) {
			lines = append(lines, clip(underRow+part, t.width))
		}
	}
	return lines
}

// line puts the cells beside each other.
func (t *table) line(l layout, cells []string) string {
	line := t.beside(l.beside, l, cells)
	if len(l.above) > 0 {
		line = underRow + line
	}
	return clip(line, t.width)
}

func (t *table) beside(columns []int, l layout, cells []string) string {
	var b strings.Builder
	for place, i := range columns {
		b.WriteString(cells[i])
		if place < len(columns)-1 {
			b.WriteString(strings.Repeat(" ", l.widths[i]-utf8.RuneCountInString(cells[i])) + columnGap)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// lines returns the table's lines.
func (t *table) lines() []string { return slices.Concat(t.blocks()...) }

func (t *table) print(w io.Writer) error {
	_, err := io.WriteString(w, strings.Join(t.lines(), "\n")+"\n")
	return err
}

// more takes the rows that were added since it was called last out of the table, as the
// lines of one that has no end: columns do not become narrower or move, and the header
// comes once.
func (t *table) more() string {
	if len(t.rows) == 0 {
		return ""
	}
	l := t.arrange()
	blocks := t.blocks()
	if t.kept != nil {
		blocks = blocks[1:]
	}
	t.rows, t.kept, t.atLeast = nil, &l, append(slices.Clone(l.widths[:len(l.widths)-1]), 0) // the last column has no end
	return strings.Join(slices.Concat(blocks...), "\n") + "\n"
}

// wrap breaks a text into lines of at most so many characters; 0: no limit. A word goes
// into a line of its own before it is broken.
func wrap(text string, width int) (lines []string) {
	if width <= 0 {
		return []string{text}
	}
	line := []rune(nil)
	for _, word := range strings.Fields(text) {
		rest := []rune(word)
		if len(line) > 0 && len(line)+1+len(rest) <= width {
			line = append(append(line, ' '), rest...)
			continue
		}
		if len(line) > 0 {
			lines = append(lines, string(line))
		}
		for len(rest) > width {
			lines = append(lines, string(rest[:width]))
			rest = rest[width:]
		}
		line = rest
	}
	return append(lines, string(line))
}
