package rackfile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFaults bounds how many faults of a file are told at once.
const maxFaults = 20

// faults are all that is wrong with a file.
type faults struct {
	in  string // its path; "" where it has none
	all []fault
	// places are where the first so many of them are: a file may have thousands.
	places map[spotted]bool
	noted  int
}

type spotted struct{ line, column int }

// fault is one of them. Its line is 0 where it is of no part.
type fault struct {
	line, column int
	text         string
}

func (f *faults) at(n *yaml.Node, format string, args ...any) {
	f.all = append(f.all, fault{n.Line, n.Column, fmt.Sprintf(format, args...)})
}

// within reports whether something is wrong in a part already: what is said of the whole
// would only be what follows from it.
func (f *faults) within(n *yaml.Node) bool {
	if f.places == nil {
		f.places = map[spotted]bool{}
	}
	for ; f.noted < len(f.all); f.noted++ {
		f.places[spotted{f.all[f.noted].line, f.all[f.noted].column}] = true
	}
	return f.found(n)
}

func (f *faults) found(n *yaml.Node) bool {
	return f.places[spotted{n.Line, n.Column}] || f.places[spotted{n.Line, 0}] || slices.ContainsFunc(n.Content, f.found)
}

// err is one error of all, a line for each.
func (f *faults) err() error {
	if len(f.all) == 0 {
		return nil
	}
	slices.SortStableFunc(f.all, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	var lines []string
	if n := len(f.all); n > 1 {
		lines = append(lines, fmt.Sprintf("%d faults", n))
	}
	for i, one := range f.all {
		if i == maxFaults {
			lines = append(lines, fmt.Sprintf("and %d more", len(f.all)-maxFaults))
			break
		}
		text := one.text
		if one.line > 0 {
			text = spot(f.in, one.line, one.column) + ": " + text
		}
		lines = append(lines, text)
	}
	return errors.New(strings.Join(lines, "\n"))
}

// spot names a place in a file as editors and people do. column is 0 for all of the line.
func spot(path string, line, column int) string {
	switch {
	case path == "":
		return fmt.Sprintf("line %d", line)
	case column == 0:
		return fmt.Sprintf("%s:%d", path, line)
	}
	return fmt.Sprintf("%s:%d:%d", path, line, column)
}
