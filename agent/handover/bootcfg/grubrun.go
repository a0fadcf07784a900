package bootcfg

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// grub runs scripts as GRUB does, as far as they choose a kernel: variables, tests,
// searches for volumes, menus. What it draws or plays is passed over.
type grub struct {
	volumes   []Volume
	variables map[string]string
	functions map[string][]statement
	arguments []string // of the function that runs
	menu      []menuItem
	sources   []string // the files that run, innermost last
	unknown   []string // commands that we do not know, each once
	missing   []string // kernels and initrds that are not there

	linux   *File
	cmdline []string
	initrds []File

	steps int
}

// menuItem is one line of the menu.
type menuItem struct {
	title, id string
	submenu   bool
	body      []statement
	source    string
	entry     *entry // instead of a body
}

// maxSteps bounds how many commands run in all: a loop in a script need not end. What is
// read and what words expand to count by their length, a step for every stepBytes.
const (
	maxSteps  = 20000
	stepBytes = 256
)

var errSteps = errors.New("the script does not end, or takes too much memory")

// errReturn ends the function that runs.
var errReturn = errors.New("return")

// run runs statements and returns the last one's status.
func (g *grub) run(list []statement) (ok bool, err error) {
	ok = true
	for _, s := range list {
		if g.steps++; g.steps > maxSteps {
			return false, errSteps
		}
		if ok, err = g.statement(s); err != nil {
			return ok, err
		}
		if g.steps > maxSteps { // what its words stand for was cut off
			return false, errSteps
		}
		g.variables["?"] = "0"
		if !ok {
			g.variables["?"] = "1"
		}
	}
	return ok, nil
}

func (g *grub) statement(s statement) (bool, error) {
	switch s.compound {
	case "if":
		for _, b := range s.branches {
			met, err := g.run(b.condition)
			if err != nil {
				return false, err
			}
			if met {
				return g.run(b.body)
			}
		}
		return true, nil
	case "while", "until":
		for {
			met, err := g.run(s.branches[0].condition)
			if err != nil || met == (s.compound == "until") {
				return true, err
			}
			if g.steps++; g.steps > maxSteps {
				return false, errSteps
			}
			if _, err := g.run(s.branches[0].body); err != nil {
				return false, err
			}
		}
	case "for":
		name := s.words[0].plain()
		for _, value := range g.expandAll(s.words[2:]) {
			if g.steps++; g.steps > maxSteps {
				return false, errSteps
			}
			g.variables[name] = value
			if _, err := g.run(s.branches[0].body); err != nil {
				return false, err
			}
		}
		return true, nil
	}
	return g.command(g.expandAll(s.words), s.block)
}

// expandAll expands words. What an unquoted variable holds is split at blanks, and is
// no word at all where it is empty. What is more than the steps allow is left out, and
// then they are at their end.
func (g *grub) expandAll(words []word) []string {
	var all []string
	room := max(0, maxSteps-g.steps) * stepBytes
	size := 0
	for _, w := range words {
		var current strings.Builder
		some := false // there is a word, though it may be empty
		for _, p := range w {
			text := p.text
			if p.variable {
				text = g.value(p.text)
			}
			if size += len(text) + 1; size > room {
				g.steps = maxSteps + 1
				return nil
			}
			if !p.variable || p.quoted {
				current.WriteString(text)
				some = some || text != "" || p.quoted
				continue
			}
			fields := strings.Fields(text)
			for i, field := range fields {
				if i > 0 || some && text[0] == ' ' {
					all = append(all, current.String())
					current.Reset()
				}
				current.WriteString(field)
				some = true
			}
		}
		if some {
			all = append(all, current.String())
		}
	}
	g.steps += size / stepBytes
	return all
}

func (g *grub) value(name string) string {
	switch name {
	case "@", "*":
		return strings.Join(g.arguments, " ")
	case "#":
		return strconv.Itoa(len(g.arguments))
	}
	if n, err := strconv.Atoi(name); err == nil {
		if n >= 1 && n <= len(g.arguments) {
			return g.arguments[n-1]
		}
		return ""
	}
	return g.variables[name]
}

// call runs a function.
func (g *grub) call(body []statement, arguments []string) (bool, error) {
	if g.steps += 10; g.steps > maxSteps { // one that calls itself must not fill the stack
		return false, errSteps
	}
	outer := g.arguments
	g.arguments = arguments
	defer func() { g.arguments = outer }()
	ok, err := g.run(body)
	if errors.Is(err, errReturn) {
		err = nil
	}
	return ok, err
}

// script runs a file. Its place is where relative things are looked for.
func (g *grub) script(name string) (bool, error) {
	v, path := g.locate(name)
	if v == nil {
		return false, nil
	}
	text, err := readConfig(v.Files, path, maxConfig)
	if err != nil {
		return false, nil // as to GRUB, what is not there is a false
	}
	if g.steps += len(text) / stepBytes; g.steps > maxSteps {
		return false, errSteps
	}
	if slices.Contains(g.sources, v.Name+path) || len(g.sources) >= 10 {
		return false, fmt.Errorf("%s runs itself", path)
	}
	g.sources = append(g.sources, v.Name+path)
	defer func() { g.sources = g.sources[:len(g.sources)-1] }()
	list, err := parseGrub(text)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	outer := g.variables["config_file"]
	g.variables["config_file"] = path
	defer func() { g.variables["config_file"] = outer }()
	return g.run(list)
}

// locate splits "(hd0,gpt2)/path"; without a device it is of $root. The volume is nil
// where the device is none of the disk's.
func (g *grub) locate(name string) (*Volume, string) {
	device := g.variables["root"]
	if rest, ok := strings.CutPrefix(name, "("); ok {
		if device, name, ok = strings.Cut(rest, ")"); !ok {
			return nil, ""
		}
	}
	return g.volume(device), name
}

// volume finds hd0,gpt2 and its like: whatever the number of the disk, it is ours.
func (g *grub) volume(device string) *Volume {
	_, partition, _ := strings.Cut(device, ",")
	number, err := strconv.Atoi(strings.TrimLeft(partition, "gptmsdo"))
	if err != nil {
		return nil
	}
	for i := range g.volumes {
		if g.volumes[i].Number == number {
			return &g.volumes[i]
		}
	}
	return nil
}

func deviceOf(v Volume) string { return fmt.Sprintf("hd0,gpt%d", v.Number) }

// newGrub is GRUB as it starts with its configuration on a volume.
func newGrub(volumes []Volume, from Volume, dir string) *grub {
	variables := map[string]string{
		"root": deviceOf(from), "prefix": "(" + deviceOf(from) + ")/" + dir, "cmdpath": "(" + deviceOf(from) + ")/" + dir,
		"grub_platform": "efi", "grub_cpu": map[string]string{"x64": "x86_64", "aa64": "arm64"}[architecture],
		"pager": "0", "lang": "",
		// Ubuntu's images boot without an initrd first, and with it after a panic; kexec
		// has no second try.
		"initrdfail": "1",
	}
	for _, feature := range []string{
		"chainloader_bpb", "ntldr", "platform_search_hint", "default_font_path", "all_video_module",
		"menuentry_id", "menuentry_options", "nativedisk_cmd", "timeout_style", "200_final",
	} {
		variables["feature_"+feature] = "y"
	}
	return &grub{volumes: volumes, variables: variables, functions: map[string][]statement{}}
}
