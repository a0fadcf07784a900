package bootcfg

import (
	"path"
	"slices"
	"strings"
)

// inert are the commands that change nothing of what starts.
var inert = map[string]bool{
	":": true, "true": true, "echo": true, "insmod": true, "rmmod": true, "export": true, "save_env": true, "terminal_input": true,
	"terminal_output": true, "serial": true, "loadfont": true, "play": true, "background_image": true, "background_color": true,
	"sleep": true, "clear": true, "password": true, "password_pbkdf2": true, "setparams": true, "videoinfo": true, "clearcmd": true,
	"nativedisk": true, "gfxmode": true, "read": true, "pager": true, "keymap": true, "menuentry_options": true, "tpm": true,
}

// command runs a simple command.
func (g *grub) command(args []string, block []statement) (bool, error) {
	if len(args) == 0 {
		return true, nil
	}
	name, args := args[0], args[1:]
	if body, ok := g.functions[name]; ok {
		return g.call(body, args)
	}
	if key, value, ok := strings.Cut(name, "="); ok && isName(key) {
		g.variables[key] = value
		return true, nil
	}
	switch name {
	case "set":
		g.set(args)
		return true, nil
	case "unset":
		for _, key := range args {
			delete(g.variables, key)
		}
		return true, nil
	case "function":
		if len(args) == 1 {
			g.functions[args[0]] = block
		}
		return true, nil
	case "menuentry", "submenu":
		g.menu = append(g.menu, g.newItem(name, args, block))
		return true, nil
	case "[", "test":
		return g.test(args, name == "["), nil
	case "false":
		return false, nil
	case "return":
		return len(args) == 0 || args[0] == "0", errReturn
	case "search", "search.fs_uuid", "search.fs_label", "search.file":
		return g.search(name, args), nil
	case "load_env":
		return g.loadEnv(args), nil
	case "configfile", "source", ".", "normal", "extract_entries_configfile":
		if len(args) == 0 {
			args = []string{g.variables["prefix"] + "/grub.cfg"}
		}
		return g.script(args[0])
	case "blscfg":
		return g.blscfg(args)
	case "linux", "linux16", "linuxefi":
		return g.kernel(args), nil
	case "initrd", "initrd16", "initrdefi":
		return g.initrd(args), nil
	}
	if inert[name] {
		return true, nil
	}
	if !slices.Contains(g.unknown, name) {
		g.unknown = append(g.unknown, name)
	}
	return false, nil
}

func isName(s string) bool {
	return s != "" && !isDigit(s[0]) && prefix(s, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' }) == s
}

func (g *grub) set(args []string) {
	for _, a := range args {
		if key, value, ok := strings.Cut(a, "="); ok {
			g.variables[key] = value
		}
	}
}

// newItem reads what stands before the block of menuentry and submenu.
func (g *grub) newItem(command string, args []string, block []statement) menuItem {
	item := menuItem{submenu: command == "submenu", body: block, source: g.variables["config_file"]}
	for i := 0; i < len(args); i++ {
		a := args[i]
		option, value, inside := strings.Cut(a, "=")
		switch {
		case slices.Contains([]string{"--id", "--class", "--users", "--hotkey", "--source"}, option):
			if !inside && i+1 < len(args) {
				i++
				value = args[i]
			}
			if option == "--id" {
				item.id = value
			}
		case strings.HasPrefix(a, "--"):
		case item.title == "":
			item.title = a
		}
	}
	return item
}

// search sets a variable to the device of a volume, by what that volume has.
func (g *grub) search(command string, args []string) bool {
	by, variable := strings.TrimPrefix(strings.TrimPrefix(command, "search"), "."), "root"
	var rest []string
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "--fs-uuid" || a == "-u":
			by = "fs_uuid"
		case a == "--label" || a == "-l" || a == "--fs-label":
			by = "fs_label"
		case a == "--file" || a == "-f":
			by = "file"
		case strings.HasPrefix(a, "--set="):
			variable = strings.TrimPrefix(a, "--set=")
		case a == "-s" && i+1 < len(args):
			i++
			variable = args[i]
		case a == "--hint" && i+1 < len(args):
			i++
		case strings.HasPrefix(a, "-"):
			if by == "" && (a == "--part-label" || a == "--part-uuid" || a == "--disk-uuid") {
				return false
			}
		default:
			rest = append(rest, a)
		}
	}
	if len(rest) == 0 {
		return false
	}
	name := rest[0]
	if command != "search" && len(rest) > 1 {
		variable = rest[1]
	} else if command == "search" && len(rest) > 1 {
		variable, name = rest[0], rest[1] // "--set root …", as some write it
	}
	for _, v := range g.volumes {
		found := false
		switch by {
		case "fs_uuid":
			found = strings.EqualFold(v.UUID, name)
		case "fs_label":
			found = v.Label == name
		case "file":
			found = exists(v.Files, name)
		}
		if found {
			g.variables[variable] = deviceOf(v)
			return true
		}
	}
	return false
}

// loadEnv reads an environment block: "NAME=value" lines, with escapes.
func (g *grub) loadEnv(args []string) bool {
	file := g.variables["prefix"] + "/grubenv"
	var only []string
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case (a == "-f" || a == "--file") && i+1 < len(args):
			i++
			file = args[i]
		case strings.HasPrefix(a, "--file="):
			file = strings.TrimPrefix(a, "--file=")
		case !strings.HasPrefix(a, "-"):
			only = append(only, a)
		}
	}
	v, name := g.locate(file)
	if v == nil {
		return false
	}
	text, err := readConfig(v.Files, name, maxConfig)
	g.steps += len(text) / stepBytes
	if err != nil || !strings.HasPrefix(text, "# GRUB Environment Block\n") {
		return false
	}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok || strings.HasPrefix(key, "#") || only != nil && !slices.Contains(only, key) {
			continue
		}
		g.variables[key] = strings.NewReplacer(`\\`, `\`, `\`+"\n", "\n").Replace(value)
	}
	return true
}

// kernel is the command linux.
func (g *grub) kernel(args []string) bool {
	f := g.file(args)
	if f == nil {
		return false
	}
	g.linux, g.initrds = f, nil
	g.cmdline = append([]string{bootImage + args[0]}, args[1:]...)
	return true
}

func (g *grub) initrd(args []string) bool {
	var all []File
	for _, a := range args {
		if strings.HasPrefix(a, "--") {
			continue
		}
		f := g.file([]string{a})
		if f == nil {
			return false
		}
		all = append(all, *f)
	}
	g.initrds = all
	return true
}

func (g *grub) file(args []string) *File {
	if len(args) == 0 {
		return nil
	}
	v, name := g.locate(args[0])
	if v == nil || !exists(v.Files, name) {
		if !slices.Contains(g.missing, args[0]) {
			g.missing = append(g.missing, args[0])
		}
		return nil
	}
	return &File{Path: path.Clean("/" + name), volume: v.Files}
}
