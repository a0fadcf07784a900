package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

var codeSpan = regexp.MustCompile("`(metalpool [^`]*)`")

// excerpt takes out of a page of docs/ what its reader types, to the file commands, and the
// examples, to 1.yaml and so on; of what stands below network there, network.yaml: excerpt
// rack-file.md.
func excerpt(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: excerpt PAGE")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", args[0]))
	ts.Check(err)
	write := func(name, text string) { ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600)) }
	var commands, network strings.Builder
	examples := 0
	for i, part := range strings.Split(string(text), "```") {
		switch example, yaml := strings.CutPrefix(part, "yaml\n"); {
		case i%2 == 0:
			for _, span := range codeSpan.FindAllStringSubmatch(part, -1) {
				fmt.Fprintln(&commands, span[1])
			}
		case yaml:
			examples++
			write(fmt.Sprintf("%d.yaml", examples), example)
			_, below, _ := strings.Cut(example, "\n  network:")
			for _, line := range strings.Split(below, "\n")[1:] {
				if inner, is := strings.CutPrefix(line, "    "); is {
					fmt.Fprintln(&network, inner)
				}
			}
		default:
			for line := range strings.Lines(part) {
				if line, _, _ = strings.Cut(line, "#"); strings.HasPrefix(line, "metalpool ") {
					fmt.Fprintln(&commands, strings.TrimSpace(line))
				}
			}
		}
	}
	write("commands", commands.String())
	write("network.yaml", network.String())
}
