package bootcfg

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// grubDirs are where distributions have grub.cfg, on the root file system or on one
// for /boot.
var grubDirs = []string{"boot/grub", "boot/grub2", "grub", "grub2"}

// grubStart runs each grub.cfg of the disk until one starts a kernel. Those that the
// firmware would come to first, on an EFI system partition, lead on to the others.
func grubStart(volumes []Volume) (Start, error) {
	type place struct {
		volume Volume
		dir    string
	}
	var places []place
	for _, v := range volumes {
		if !v.ESP {
			continue
		}
		dirs, err := list(v.Files, "EFI")
		if err != nil {
			return Start{}, err
		}
		efi, _ := lookup(v.Files, "EFI")
		for _, d := range dirs {
			places = append(places, place{v, path.Join(efi, d.Name())})
		}
	}
	for _, v := range volumes {
		for _, dir := range grubDirs {
			places = append(places, place{v, dir})
		}
	}
	var why []string
	steps := 0 // of all scripts together
	for _, p := range places {
		file := path.Join(p.dir, "grub.cfg")
		if !exists(p.volume.Files, file) {
			continue
		}
		g := newGrub(volumes, p.volume, p.dir)
		g.steps = steps
		start, err := g.boot(file)
		if err == nil {
			return start, nil
		}
		steps = g.steps
		why = append(why, fmt.Sprintf("%s of %s: %s", file, p.volume.Name, err))
	}
	if why == nil {
		return Start{}, errNothing
	}
	return Start{}, errors.New(strings.Join(why, "; "))
}

// boot runs a script and then the menu's default.
func (g *grub) boot(file string) (Start, error) {
	if _, err := g.script("/" + file); err != nil && !errors.Is(err, errReturn) {
		return Start{}, err
	}
	title, source := "GRUB's script", "/"+file
	if g.linux == nil { // a script without a menu may have loaded one
		item, err := g.choose(g.variables["default"])
		if err != nil {
			return Start{}, err
		}
		if item.entry != nil {
			start, err := item.entry.start(g.words, g.options)
			if g.steps > maxSteps {
				return Start{}, errSteps
			}
			start.Cmdline = strings.TrimSpace(bootImage + item.entry.linux + " " + start.Cmdline)
			return start, err
		}
		g.variables["chosen"], g.arguments = item.title, nil
		if _, err := g.run(item.body); err != nil && !errors.Is(err, errReturn) {
			return Start{}, fmt.Errorf("%q: %w", item.title, err)
		}
		title, source = item.title, item.source
	}
	if g.linux == nil {
		return Start{}, g.explain(fmt.Sprintf("%q starts no kernel of this disk", title))
	}
	var cmdline []string
	for _, a := range g.cmdline {
		cmdline = append(cmdline, quoteArgument(a))
	}
	return Start{Title: title, Source: source, Kernel: *g.linux, Initrds: g.initrds, Cmdline: strings.Join(cmdline, " ")}, nil
}

// explain adds to what is wrong what may have led to it.
func (g *grub) explain(what string) error {
	if len(g.missing) > 0 {
		what += ": there is no " + strings.Join(g.missing, ", ")
	}
	if len(g.unknown) > 0 {
		what += " (not known here: " + strings.Join(g.unknown, ", ") + ")"
	}
	return errors.New(what)
}

// choose finds the default of a menu: an index, an identifier or a title, with ">"
// between those of a submenu and its own. What is not there is the first, as in GRUB.
func (g *grub) choose(wanted string) (menuItem, error) {
	for range maxNesting {
		if len(g.menu) == 0 {
			return menuItem{}, g.explain("the menu is empty")
		}
		first, rest, _ := strings.Cut(wanted, ">")
		item := g.menu[indexIn(g.menu, first)]
		if !item.submenu {
			return item, nil
		}
		g.menu = nil
		if _, err := g.run(item.body); err != nil && !errors.Is(err, errReturn) {
			return menuItem{}, fmt.Errorf("%q: %w", item.title, err)
		}
		wanted = rest
	}
	return menuItem{}, fmt.Errorf("menus nest deeper than %d", maxNesting)
}

func indexIn(menu []menuItem, wanted string) int {
	if n, err := strconv.Atoi(wanted); err == nil && n >= 0 && n < len(menu) {
		return n
	}
	return max(0, slices.IndexFunc(menu, func(i menuItem) bool {
		return wanted != "" && (i.id == wanted || i.title == wanted)
	}))
}

// blscfg adds boot loader entries to the menu, the newest first.
func (g *grub) blscfg([]string) (bool, error) {
	device := g.variables["boot"]
	if device == "" {
		device = g.variables["root"]
	}
	v := g.volume(device)
	if v == nil {
		return false, nil
	}
	var found []entry
	for _, dir := range []string{g.variables["blsdir"], "loader/entries", "boot/loader/entries"} {
		if dir = strings.Trim(dir, "/"); dir == "" || len(found) > 0 {
			continue
		}
		var err error
		if found, err = readEntries(v.Files, dir, maxEntries); err != nil {
			return false, err
		}
	}
	slices.SortStableFunc(found, func(a, b entry) int { return compareVersions(b.id, a.id) })
	for _, e := range found {
		if g.steps += 1 + e.size/stepBytes; g.steps > maxSteps {
			return false, errSteps
		}
		if e.runsHere() && e.linux != "" {
			g.menu = append(g.menu, menuItem{title: e.title, id: e.id, entry: &e})
		}
	}
	return len(found) > 0, nil
}

// words expands what an entry says about options and initrds: it may hold variables
// of the script and of its environment block.
func (g *grub) words(text string) []string {
	tokens, err := scanGrub(text)
	if err != nil {
		return strings.Fields(text)
	}
	var all []string
	for _, t := range tokens {
		if t.mark != 0 {
			return strings.Fields(text)
		}
		all = append(all, g.expandAll([]word{t.word})...)
	}
	return all
}

// options are words as the kernel is to read them.
func (g *grub) options(text string) []string {
	all := g.words(text)
	for i, a := range all {
		all[i] = quoteArgument(a)
	}
	return all
}

// bootImage is an argument that GRUB adds; some initrds look for the kernel by it.
const bootImage = "BOOT_IMAGE="

// quoteArgument writes an argument as GRUB hands it to the kernel.
func quoteArgument(a string) string {
	var b strings.Builder
	for i := range len(a) {
		if strings.IndexByte(`\'"`, a[i]) >= 0 && !strings.HasPrefix(a[i:], `\x`) {
			b.WriteByte('\\')
		}
		b.WriteByte(a[i])
	}
	if strings.Contains(a, " ") {
		return `"` + b.String() + `"`
	}
	return b.String()
}
