package guest

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/metalpool/metalpool/lab/guest/shell"
)

// call is one run of a program.
type call struct {
	*shell.Process
	g   *Guest
	ctx context.Context
}

// program runs with its arguments, its name left out, and returns its exit status.
type program func(c call, args []string) int

// programs are all there are, by name. It is filled by init, since some of them run
// others.
var programs map[string]program

func init() {
	programs = map[string]program{}
	for _, group := range []map[string]program{filePrograms, textPrograms, systemPrograms, servicePrograms, processPrograms} {
		for name, run := range group {
			programs[name] = run
		}
	}
}

// complain prints an error as programs do, and returns the status 1.
func (c call) complain(format string, args ...any) int {
	fmt.Fprintf(c.Err, "%s: %s\n", path.Base(c.Args[0]), fmt.Sprintf(format, args...))
	return 1
}

// failed complains of a file, if err says that something went wrong.
func (c call) failed(what, name string, err error) bool {
	if err != nil {
		c.complain("%s'%s': %s", what, name, shell.Reason(err))
	}
	return err != nil
}

func (c call) printf(format string, args ...any) { fmt.Fprintf(c.Out, format, args...) }

// options takes the leading options off the arguments. Those in withValue take a
// value, in the same word or the next; flags maps the long names to short ones. An
// option that is in neither list is in unknown.
func options(args []string, known, withValue string, long map[string]byte) (set map[byte]string, rest []string, unknown string) {
	set = map[byte]string{}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			break
		}
		if name, isLong := strings.CutPrefix(arg, "--"); isLong {
			name, value, _ := strings.Cut(name, "=")
			flag, found := long[name]
			if !found {
				return set, args, arg
			}
			set[flag] = value
			continue
		}
		for i := 1; i < len(arg); i++ {
			flag := arg[i]
			switch {
			case strings.IndexByte(withValue, flag) >= 0:
				value := arg[i+1:]
				if value == "" && len(args) > 0 {
					value, args = args[0], args[1:]
				}
				set[flag] = value
				i = len(arg)
			case strings.IndexByte(known, flag) >= 0:
				set[flag] = ""
			default:
				return set, args, "-" + string(flag)
			}
		}
	}
	return set, args, ""
}

func has(set map[byte]string, flag byte) bool { _, found := set[flag]; return found }

type depthKey struct{}

// maxDepth is how many programs may have started each other.
const maxDepth = 50

// Exec runs the file at at: one of our programs, or a script.
func (g *Guest) Exec(ctx context.Context, at string, p *shell.Process) int {
	depth, _ := ctx.Value(depthKey{}).(int)
	if depth >= maxDepth {
		fmt.Fprintln(p.Err, "bash: fork: Resource temporarily unavailable")
		return 254
	}
	ctx = context.WithValue(ctx, depthKey{}, depth+1)
	text, err := p.Files.ReadFile(at)
	if err != nil {
		fmt.Fprintf(p.Err, "bash: %s: %s\n", p.Args[0], shell.Reason(err))
		return 126
	}
	if name, ours := strings.CutPrefix(string(text), programMark); ours {
		if run := programs[name]; run != nil {
			return run(call{Process: p, g: g, ctx: ctx}, p.Args[1:])
		}
	}
	if bytes.IndexByte(text, 0) >= 0 {
		fmt.Fprintf(p.Err, "bash: %s: cannot execute binary file: Exec format error\n", p.Args[0])
		return 126
	}
	if first, _, _ := strings.Cut(string(text), "\n"); strings.HasPrefix(first, "#!") {
		words := strings.Fields(strings.TrimPrefix(first, "#!"))
		if len(words) == 0 || !isShell(words[len(words)-1]) && !isShell(words[0]) {
			fmt.Fprintf(p.Err, "bash: %s: %s: bad interpreter: No such file or directory\n", p.Args[0], strings.TrimPrefix(first, "#!"))
			return 126
		}
	}
	return g.script(ctx, p, string(text))
}

func isShell(name string) bool {
	switch path.Base(name) {
	case "sh", "bash", "dash":
		return true
	}
	return false
}

func (g *Guest) script(ctx context.Context, p *shell.Process, text string) int {
	sh := shell.New(g, p)
	sh.Run(ctx, text)
	sh.Finish(ctx)
	sh.Wait()
	return sh.Status()
}

// start runs a command by its name, as the given process.
func (c call) start(p *shell.Process) int {
	at, err := shell.LookPath(p.Files, p.Dir, p.Getenv("PATH"), p.Args[0])
	if err != nil {
		c.complain("%s: command not found", p.Args[0])
		return 127
	}
	return c.g.Exec(c.ctx, at, p)
}
