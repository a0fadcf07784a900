// Package docs holds the pages that a program which was installed without them can show.
package docs

import (
	"embed"
	"slices"
	"strings"
)

//go:embed *.md
var pages embed.FS

// Page is the text of the page of that name: "steps" is docs/steps.md.
func Page(name string) (text []byte, found bool) {
	text, err := pages.ReadFile(name + ".md")
	return text, err == nil
}

// Pages names all of them.
func Pages() []string {
	entries, _ := pages.ReadDir(".") // the folder is part of the program
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".md"))
	}
	slices.Sort(names)
	return names
}
