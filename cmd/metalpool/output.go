package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"unicode"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/metalpool/metalpool/core"
)

// outputFlag is -o: a table for people, or JSON for programs.
type outputFlag struct{ format string }

func (o *outputFlag) add(cmd *cobra.Command) {
	cmd.Flags().VarP(o, "output", "o", "`format`: table for people, or json for programs")
	complete(cmd, "output", "table", "json")
}

// Set implements pflag.Value.
func (o *outputFlag) Set(s string) error {
	if s != "table" && s != "json" {
		return fmt.Errorf("%q is neither table nor json", s)
	}
	o.format = s
	return nil
}

func (o *outputFlag) String() string { return o.format }

// Type implements pflag.Value.
func (o *outputFlag) Type() string { return "format" }

func (o *outputFlag) json() bool { return o.format == "json" }

// printJSON writes a document. Field names are stable: programs read them.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printLine writes one JSON document per line, for what has no end.
func (a *app) printLine(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// list returns a slice that JSON shows as [] and never as null.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// steering is what a terminal takes for colours and other orders.
var steering = regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]")

// oneLine makes text fit into a cell: no line breaks, no tabs, and nothing with
// which a server's own words could steer a terminal.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, steering.ReplaceAllString(s, ""))
	return strings.Join(strings.Fields(s), " ")
}

// brief is a reason for a line among others, without what a console or a log said: that
// is where one node or machine is shown. It is cut nowhere, for at its end stands what to do.
func brief(reason string) string {
	return oneLine(core.Brief(reason))
}

// clip ends a line at the terminal's edge.
func clip(line string, width int) string {
	runes := []rune(line)
	if width <= 0 || len(runes) <= width {
		return line
	}
	return string(runes[:width-1]) + "…"
}

// isTerminal reports whether people look at w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// terminalWidth is 0 where there is no terminal.
func terminalWidth(w any) int {
	width, _ := terminalSize(w)
	return width
}

func terminalSize(w any) (width, height int) {
	if !isTerminal(w) {
		return 0, 0
	}
	width, height, err := term.GetSize(int(w.(*os.File).Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}
