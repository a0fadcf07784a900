package bootcfg

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// entry is a boot loader entry: a file of the Boot Loader Specification's type 1, or
// a unified kernel image, its type 2.
type entry struct {
	id        string // the file name without suffixes
	source    string
	title     string
	version   string
	machine   string
	sortKey   string
	exhausted bool // it was tried as often as it may be, and never came up
	arch      string

	size    int // of the file that says so, in bytes
	volume  fs.FS
	linux   string
	initrds []string
	options []string
	image   string // a unified kernel image
}

// readEntries reads those of a directory, at most room of them.
func readEntries(volume fs.FS, name string, room int) ([]entry, error) {
	files, err := list(volume, name)
	if err != nil {
		return nil, err
	}
	var found []entry
	for _, f := range files[:min(len(files), room)] {
		base, ok := cutSuffixFold(f.Name(), ".conf")
		if !ok || f.IsDir() {
			continue
		}
		dir, _ := lookup(volume, name)
		source := path.Join(dir, f.Name())
		text, err := readConfig(volume, source, maxSmall)
		if err != nil {
			return nil, err
		}
		e := parseEntry(text)
		e.volume, e.source, e.size = volume, source, len(text)
		e.id, e.exhausted = cutCounter(base)
		found = append(found, e)
	}
	return found, nil
}

func cutSuffixFold(s, suffix string) (string, bool) {
	if n := len(s) - len(suffix); n >= 0 && strings.EqualFold(s[n:], suffix) {
		return s[:n], true
	}
	return s, false
}

var counter = regexp.MustCompile(`^(.*)\+(\d+)(?:-\d+)?$`)

// cutCounter takes from a file name how often the entry may still be tried.
func cutCounter(base string) (id string, exhausted bool) {
	m := counter.FindStringSubmatch(base)
	if m == nil {
		return base, false
	}
	return m[1], strings.Trim(m[2], "0") == ""
}

func parseEntry(text string) entry {
	var e entry
	for key, value := range settings(text) {
		switch key {
		case "title":
			e.title = value
		case "version":
			e.version = value
		case "machine-id":
			e.machine = value
		case "sort-key":
			e.sortKey = value
		case "architecture":
			e.arch = strings.ToLower(value)
		case "linux":
			e.linux = value
		case "initrd":
			e.initrds = append(e.initrds, strings.Fields(value)...)
		case "options":
			e.options = append(e.options, value)
		case "efi", "uki":
			e.image = value
		}
	}
	return e
}

// settings yields the lines "key value" of a file.
func settings(text string) func(yield func(key, value string) bool) {
	return func(yield func(key, value string) bool) {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			key, value := line, ""
			if at := strings.IndexAny(line, " \t"); at > 0 {
				key, value = line[:at], strings.TrimSpace(line[at:])
			}
			if !yield(strings.ToLower(key), value) {
				return
			}
		}
	}
}

// runsHere says whether the entry is of this architecture.
func (e entry) runsHere() bool { return e.arch == "" || e.arch == architecture }

// hasKernel says whether the entry is one of Linux: others start a shell, or Windows.
func (e entry) hasKernel() bool {
	if e.image != "" {
		return File{Path: e.image, volume: e.volume, section: ".linux"}.there() == nil
	}
	return e.linux != ""
}

// start makes a Start of the entry. What it says of initrds and options is expanded,
// as far as its boot loader knows variables.
func (e entry) start(initrds, options func(string) []string) (Start, error) {
	title := cmp.Or(e.title, e.id)
	if e.image != "" {
		return imageStart(e.volume, e.image, title, e.source)
	}
	if e.linux == "" {
		return Start{}, fmt.Errorf("%s: %q names no kernel", e.source, title)
	}
	s := Start{Title: title, Source: e.source, Kernel: File{Path: e.linux, volume: e.volume}}
	for _, text := range e.initrds {
		for _, name := range initrds(text) {
			s.Initrds = append(s.Initrds, File{Path: name, volume: e.volume})
		}
	}
	var cmdline []string
	for _, text := range e.options {
		cmdline = append(cmdline, options(text)...)
	}
	s.Cmdline = strings.Join(cmdline, " ")
	return s, nil
}

// asWritten is expand of a boot loader that knows no variables.
func asWritten(text string) []string { return []string{text} }

// sortEntries orders entries as systemd-boot's menu does: the first is the default.
func sortEntries(entries []entry) {
	slices.SortStableFunc(entries, func(a, b entry) int {
		if c := compareBool(a.exhausted, b.exhausted); c != 0 {
			return c
		}
		if c := compareBool(a.sortKey == "", b.sortKey == ""); c != 0 {
			return c
		}
		if a.sortKey != "" {
			if c := cmp.Or(strings.Compare(a.sortKey, b.sortKey), strings.Compare(a.machine, b.machine), compareVersions(b.version, a.version)); c != 0 {
				return c
			}
		}
		return compareVersions(b.id, a.id)
	})
}
