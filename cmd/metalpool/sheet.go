package main

import (
	"fmt"
	"io"
	"strings"
)

// sheet is one thing in full: a name and a value per line. Empty values are left
// out, and a name that repeats is written once.
type sheet struct {
	names, values []string
	color         bool
}

func (a *app) sheet() *sheet {
	return &sheet{color: newTable(isTerminal(a.out), 0).color}
}

func (s *sheet) line(name, value string) {
	if value = oneLine(value); value == "" {
		return
	}
	s.names, s.values = append(s.names, name), append(s.values, value)
}

func (s *sheet) print(w io.Writer) error {
	width := 0
	for _, name := range s.names {
		width = max(width, len(name))
	}
	var b strings.Builder
	for i, name := range s.names {
		if i > 0 && s.names[i-1] == name {
			name = ""
		}
		line := fmt.Sprintf("%-*s  %s", width, name, s.values[i])
		if s.color && name == "State" {
			line = paint(line)
		}
		fmt.Fprintln(&b, line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
