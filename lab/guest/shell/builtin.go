package shell

import (
	"context"
	"io"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// builtin returns the command of that name which is part of the shell, or nil.
func builtin(name string) func(ctx context.Context, sh *Shell, args []string) flow {
	switch name {
	case "exit":
		return exit
	case "return":
		return giveBack
	case "break", "continue":
		return leaveLoop
	case "eval":
		return func(ctx context.Context, sh *Shell, args []string) flow {
			sh.status = 0
			return sh.nested(func() flow { return sh.eval(ctx, "eval", strings.Join(args[1:], " ")) })
		}
	case "source", ".":
		return source
	case "command", "builtin":
		return command
	case "exec":
		return execute
	case "wait":
		return plain(func(sh *Shell, _ []string) int { sh.Wait(); return 0 })
	case ":", "true":
		return plain(func(*Shell, []string) int { return 0 })
	case "false":
		return plain(func(*Shell, []string) int { return 1 })
	case "cd":
		return plain((*Shell).cd)
	case "pwd":
		return plain((*Shell).pwd)
	case "echo":
		return plain((*Shell).echo)
	case "printf":
		return plain((*Shell).printf)
	case "test", "[":
		return plain((*Shell).test)
	case "read":
		return plain((*Shell).read)
	case "set":
		return plain((*Shell).setOptions)
	case "shift":
		return plain((*Shell).shift)
	case "unset":
		return plain((*Shell).unset)
	case "type":
		return plain((*Shell).typeOf)
	case "trap":
		return plain((*Shell).trap)
	case "umask":
		return plain(func(sh *Shell, _ []string) int { return sh.print("0022\n") })
	}
	return nil
}

// plain is a builtin that only has a status.
func plain(fn func(sh *Shell, args []string) int) func(context.Context, *Shell, []string) flow {
	return func(_ context.Context, sh *Shell, args []string) flow {
		sh.status = fn(sh, args)
		return goesOn
	}
}

// nested bounds how deep scripts run each other.
func (sh *Shell) nested(fn func() flow) flow {
	if sh.depth >= maxDepth {
		sh.status = sh.fail(1, "maximum nesting level exceeded")
		return exits
	}
	sh.depth++
	defer func() { sh.depth-- }()
	return fn()
}

func (sh *Shell) statusArg(args []string) {
	if len(args) < 2 {
		return
	}
	n, ok := number(args[1])
	if !ok {
		sh.status = sh.fail(2, "%s: %s: numeric argument required", args[0], args[1])
		return
	}
	sh.status = n & 255
}

func exit(_ context.Context, sh *Shell, args []string) flow {
	sh.statusArg(args)
	return exits
}

func giveBack(_ context.Context, sh *Shell, args []string) flow {
	if sh.calls == 0 {
		sh.status = sh.fail(1, "return: can only `return' from a function or sourced script")
		return goesOn
	}
	sh.statusArg(args)
	return returns
}

func leaveLoop(_ context.Context, sh *Shell, args []string) flow {
	levels := 1
	if len(args) > 1 {
		n, ok := number(args[1])
		if !ok || n < 1 {
			sh.status = sh.fail(1, "%s: %s: loop count out of range", args[0], args[1])
			return goesOn
		}
		levels = n
	}
	sh.status = 0
	if sh.loops == 0 {
		return goesOn
	}
	sh.levels = min(levels, sh.loops)
	if args[0] == "break" {
		return leaves
	}
	return repeats
}

func source(ctx context.Context, sh *Shell, args []string) flow {
	if len(args) < 2 {
		sh.status = sh.fail(2, "%s: filename argument required", args[0])
		return goesOn
	}
	script, err := sh.files.ReadFile(join(sh.dir, args[1]))
	if err != nil {
		sh.status = sh.fail(1, "%s: %s", args[1], Reason(err))
		return goesOn
	}
	before := sh.params
	if len(args) > 2 {
		sh.params = args[2:]
	}
	sh.calls++
	how := sh.nested(func() flow { return sh.eval(ctx, args[1], string(script)) })
	sh.calls--
	sh.params = before
	if how == returns {
		return goesOn
	}
	return how
}

// command runs a command that is not a function, or tells of it with -v.
func command(ctx context.Context, sh *Shell, args []string) flow {
	rest := args[1:]
	switch {
	case len(rest) == 0:
		sh.status = 0
		return goesOn
	case rest[0] == "-v" || rest[0] == "-V":
		sh.status = sh.locate(rest[1:], rest[0] == "-V")
		return goesOn
	case rest[0] == "-p" || rest[0] == "--":
		rest = rest[1:]
	}
	if len(rest) == 0 {
		sh.status = 0
		return goesOn
	}
	if run := builtin(rest[0]); run != nil {
		return sh.nested(func() flow { return run(ctx, sh, rest) })
	}
	sh.status = sh.program(ctx, rest)
	return goesOn
}

func execute(ctx context.Context, sh *Shell, args []string) flow {
	if len(args) == 1 {
		sh.status = 0
		return goesOn
	}
	sh.status = sh.program(ctx, args[1:])
	return exits
}

func (sh *Shell) cd(args []string) int {
	dir := sh.vars["HOME"].String()
	switch {
	case len(args) > 2:
		return sh.fail(1, "cd: too many arguments")
	case len(args) == 2 && args[1] == "-":
		dir = sh.vars["OLDPWD"].String()
		sh.print(dir + "\n")
	case len(args) == 2:
		dir = args[1]
	}
	to := path.Clean(join(sh.dir, dir))
	info, err := sh.files.Stat(to)
	switch {
	case err != nil:
		return sh.fail(1, "cd: %s: %s", dir, Reason(err))
	case !info.IsDir():
		return sh.fail(1, "cd: %s: Not a directory", dir)
	case !sh.files.Access(to, 1):
		return sh.fail(1, "cd: %s: Permission denied", dir)
	}
	sh.set("OLDPWD", sh.dir)
	sh.set("PWD", to)
	sh.dir = to
	return 0
}

func (sh *Shell) pwd(args []string) int {
	dir := sh.dir
	if len(args) > 1 && args[1] == "-P" {
		if real, err := sh.files.Real(dir); err == nil {
			dir = real
		}
	}
	return sh.print(dir + "\n")
}

func (sh *Shell) echo(args []string) int {
	end, escapes := "\n", false
	args = args[1:]
	for len(args) > 0 && (args[0] == "-n" || args[0] == "-e" || args[0] == "-E" || args[0] == "-ne" || args[0] == "-en") {
		if strings.Contains(args[0], "n") {
			end = ""
		}
		escapes = strings.Contains(args[0], "e")
		args = args[1:]
	}
	line := strings.Join(args, " ")
	if escapes {
		if text, _, err := expand.Format(sh.config, strings.ReplaceAll(line, "%", "%%"), nil); err == nil {
			line = text
		}
	}
	return sh.print(line + end)
}

// print writes to the output; failing to is a failure, as of a full disk.
func (sh *Shell) print(line string) int {
	if _, err := io.WriteString(sh.std.out, line); err != nil {
		return 1
	}
	return 0
}

func (sh *Shell) printf(args []string) int {
	if len(args) < 2 {
		return sh.fail(2, "printf: usage: printf format [arguments]")
	}
	format, rest := args[1], args[2:]
	var out strings.Builder
	for {
		line, used, err := expand.Format(sh.config, format, rest)
		if err != nil {
			return sh.fail(1, "printf: %v", err)
		}
		out.WriteString(line)
		if rest = rest[used:]; used == 0 || len(rest) == 0 {
			return sh.print(out.String())
		}
	}
}

// read reads one line, byte by byte, since what follows it belongs to the next
// command.
func (sh *Shell) read(args []string) int {
	raw := false
	args = args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if args[0] != "-r" {
			return sh.fail(2, "read: %s is not supported by the lab's shell", args[0])
		}
		raw, args = true, args[1:]
	}
	if len(args) == 0 {
		args = []string{"REPLY"}
	}
	var line []byte
	var one [1]byte
	var err error
	for err == nil && len(line) < maxSource {
		var n int
		if n, err = sh.std.in.Read(one[:]); n == 1 {
			if one[0] == '\n' {
				if !raw && len(line) > 0 && line[len(line)-1] == '\\' {
					line = line[:len(line)-1]
					continue
				}
				break
			}
			line = append(line, one[0])
		}
	}
	values := expand.ReadFields(sh.config, string(line), len(args), raw)
	for i, name := range args {
		value := ""
		if i < len(values) {
			value = values[i]
		}
		if err := sh.assign(name, text(value)); err != nil {
			return sh.fail(1, "read: %v", err)
		}
	}
	return truth(err == nil)
}

func (sh *Shell) setOptions(args []string) int {
	byFlag := map[byte]*bool{'e': &sh.opts.errexit, 'u': &sh.opts.nounset, 'x': &sh.opts.xtrace, 'f': &sh.opts.noglob}
	defer sh.configure()
	for i := 1; i < len(args); i++ {
		arg := args[i]
		if arg == "--" || len(arg) < 2 || (arg[0] != '-' && arg[0] != '+') {
			if arg == "--" {
				i++
			}
			sh.params = slices.Clone(args[i:])
			return 0
		}
		on := arg[0] == '-'
		for _, flag := range []byte(arg[1:]) {
			if flag == 'o' && i+1 < len(args) {
				i++
				long := map[string]*bool{"errexit": &sh.opts.errexit, "nounset": &sh.opts.nounset, "xtrace": &sh.opts.xtrace, "noglob": &sh.opts.noglob, "pipefail": &sh.opts.pipefail}
				if long[args[i]] == nil {
					return sh.fail(2, "set: %s: option is not supported by the lab's shell", args[i])
				}
				*long[args[i]] = on
				continue
			}
			if byFlag[flag] == nil {
				return sh.fail(2, "set: -%c: option is not supported by the lab's shell", flag)
			}
			*byFlag[flag] = on
		}
	}
	return 0
}

func (sh *Shell) shift(args []string) int {
	n := 1
	if len(args) > 1 {
		var ok bool
		if n, ok = number(args[1]); !ok || n < 0 {
			return sh.fail(1, "shift: %s: shift count out of range", args[1])
		}
	}
	if n > len(sh.params) {
		return 1
	}
	sh.params = sh.params[n:]
	return 0
}

func (sh *Shell) unset(args []string) int {
	functions := false
	for _, name := range args[1:] {
		switch {
		case name == "-f":
			functions = true
		case name == "-v":
			functions = false
		case sh.vars[name].ReadOnly && !functions:
			return sh.fail(1, "unset: %s: cannot unset: readonly variable", name)
		case functions || !sh.vars[name].Declared():
			delete(sh.funcs, name)
		default:
			delete(sh.vars, name)
		}
	}
	return 0
}

func (sh *Shell) typeOf(args []string) int { return sh.locate(args[1:], true) }

// locate says what each name would run.
func (sh *Shell) locate(names []string, words bool) int {
	status := 0
	for _, name := range names {
		what, short := "a shell builtin", name
		switch {
		case syntax.IsKeyword(name):
			what = "a shell keyword"
		case sh.funcs[name] != nil:
			what = "a function"
		case builtin(name) != nil:
		default:
			at, err := LookPath(sh.files, sh.dir, sh.vars["PATH"].String(), name)
			if err != nil {
				if words {
					sh.complain("type: %s: not found", name)
				}
				status = 1
				continue
			}
			what, short = at, at
		}
		line := short
		if words {
			line = name + " is " + what
		}
		sh.print(line + "\n")
	}
	return status
}

// trap keeps the EXIT trap. No signal ever arrives here, so traps on signals are
// taken and never run.
func (sh *Shell) trap(args []string) int {
	if len(args) < 3 {
		return 0
	}
	for _, signal := range args[2:] {
		if signal != "EXIT" && signal != "0" {
			continue
		}
		if args[1] == "-" || args[1] == "" {
			delete(sh.traps, "EXIT")
		} else {
			sh.traps["EXIT"] = args[1]
		}
	}
	return 0
}
