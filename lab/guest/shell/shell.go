package shell

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"github.com/metalpool/metalpool/lab/guest/vfs"
)

const (
	maxSource = 256 << 10 // bytes of one script, as the kernel limits an argument
	maxSteps  = 200_000   // commands that one Run may execute where no pipe keeps it going
	maxDepth  = 200       // of functions, subshells and substitutions in each other
	maxJobs   = 256       // subshells at once
	maxOutput = 16 << 20  // bytes of one $(…)
)

// System runs programs. at is the file that was found; p.Args[0] is how it was
// called. The result is the exit status.
type System interface {
	Exec(ctx context.Context, at string, p *Process) int
}

// Process is what a program is started with.
type Process struct {
	Args  []string
	Env   []string // NAME=value
	Dir   string
	Files vfs.View
	In    io.Reader
	Out   io.Writer
	Err   io.Writer
	PID   int // 0: none of its own
}

// Getenv returns a variable of the process's environment, "" if it is not set.
func (p *Process) Getenv(name string) string {
	for _, pair := range slices.Backward(p.Env) {
		if value, found := strings.CutPrefix(pair, name+"="); found {
			return value
		}
	}
	return ""
}

// Path makes name absolute, seen from the process's directory.
func (p *Process) Path(name string) string { return join(p.Dir, name) }

// join makes name absolute without cleaning it, so that links are followed in the
// order that they are written; "" stays what no file is called.
func join(dir, name string) string {
	if name == "" || path.IsAbs(name) {
		return name
	}
	return dir + "/" + name
}

// LookPath finds the file that a command's name means.
func LookPath(files vfs.View, dir, search, name string) (string, error) {
	if strings.Contains(name, "/") {
		at := join(dir, name)
		info, err := files.Stat(at)
		switch {
		case err != nil:
			return "", err
		case info.IsDir() || !files.Access(at, 1):
			return "", &fs.PathError{Op: "exec", Path: name, Err: fs.ErrPermission}
		}
		return at, nil
	}
	for _, in := range strings.Split(search, ":") {
		at := join(dir, path.Join(in, name))
		if info, err := files.Stat(at); err == nil && !info.IsDir() && files.Access(at, 1) {
			return at, nil
		}
	}
	return "", &fs.PathError{Op: "exec", Path: name, Err: fs.ErrNotExist}
}

// Shell keeps variables, functions and the directory from one Run to the next. It
// is not safe for concurrent use.
type Shell struct {
	system System
	files  vfs.View
	shared *limits

	name   string // $0
	pid    int    // $$
	params []string
	vars   map[string]expand.Variable
	locals []map[string]expand.Variable // per function call, what local variables hid
	funcs  map[string]*syntax.Stmt
	dir    string
	opts   options
	traps  map[string]string

	std    streams
	config *expand.Config
	ctx    context.Context
	jobs   *sync.WaitGroup // background commands of this shell

	status      int
	substituted bool        // a $(…) ran since the command's expansion began
	lasting     []io.Closer // what exec redirected to

	levels  int // of loops still to be left by break or continue
	loops   int
	calls   int // of functions and sourced files
	depth   int
	forgive int // >0 where a failure does not end a shell with -e
}

type options struct{ errexit, nounset, xtrace, pipefail, noglob bool }

type streams struct {
	in       io.Reader
	out, err io.Writer
}

// limits are shared by a shell and its subshells.
type limits struct {
	steps atomic.Int64 // since the beginning, or since a pipe kept it going
	turns atomic.Int64 // of that pipe, as keptGoing saw them last
	jobs  atomic.Int64
}

// New makes a shell as p, whose Args are its name and its parameters.
func New(system System, p *Process) *Shell {
	sh := &Shell{
		system: system, files: p.Files, shared: &limits{},
		name: p.Args[0], pid: cmp.Or(p.PID, 1000), params: p.Args[1:], dir: p.Dir,
		vars: map[string]expand.Variable{}, funcs: map[string]*syntax.Stmt{}, traps: map[string]string{},
		std: streams{p.In, p.Out, p.Err}, jobs: &sync.WaitGroup{},
	}
	for _, pair := range p.Env {
		name, value, _ := strings.Cut(pair, "=")
		if syntax.ValidName(name) {
			sh.vars[name] = expand.Variable{Set: true, Exported: true, Kind: expand.String, Str: value}
		}
	}
	sh.vars["PWD"] = expand.Variable{Set: true, Exported: true, Kind: expand.String, Str: sh.dir}
	sh.set("IFS", " \t\n")
	sh.configure()
	return sh
}

func (sh *Shell) configure() {
	sh.config = &expand.Config{
		Env:      environ{sh},
		CmdSubst: sh.substitute,
		ProcSubst: func(*syntax.ProcSubst) (string, error) {
			return "", fmt.Errorf("process substitution is not supported by the lab's shell")
		},
		NoUnset: sh.opts.nounset,
	}
	if !sh.opts.noglob {
		sh.config.ReadDir2 = func(name string) ([]fs.DirEntry, error) { return sh.files.ReadDir(join(sh.dir, name)) }
	}
}

// Run runs a script and returns its exit status. exited tells that the script
// asked the shell to end. Background commands have ended when ctx has, or by
// themselves when Wait returns.
func (sh *Shell) Run(ctx context.Context, source string) (status int, exited bool) {
	sh.shared.steps.Store(0)
	return sh.runSource(ctx, source)
}

func (sh *Shell) runSource(ctx context.Context, source string) (status int, exited bool) {
	defer sh.contain(&status)
	flow := sh.eval(ctx, "bash", source)
	return sh.status, flow == exits
}

// Finish runs the EXIT trap and closes what exec redirected to.
func (sh *Shell) Finish(ctx context.Context) {
	defer func() {
		for _, c := range sh.lasting {
			if err := c.Close(); err != nil {
				sh.status = sh.fail(1, "write error: %s", Reason(err))
			}
		}
		sh.lasting = nil
	}()
	if script, set := sh.traps["EXIT"]; set {
		delete(sh.traps, "EXIT")
		status := sh.status
		if _, exited := sh.runSource(ctx, script); !exited {
			sh.status = status
		}
	}
}

// Status is the exit status of the last command.
func (sh *Shell) Status() int { return sh.status }

// Wait waits for the background commands.
func (sh *Shell) Wait() { sh.jobs.Wait() }

// contain turns a panic of the parser or the expander, which a typed line must not
// be able to cause but might, into a failed command.
func (sh *Shell) contain(status *int) {
	if problem := recover(); problem != nil {
		sh.complain("the lab's shell cannot run this: %v", problem)
		sh.status = 2
		*status = 2
	}
}

// eval parses and runs source in this shell.
func (sh *Shell) eval(ctx context.Context, name, source string) flow {
	if len(source) > maxSource {
		sh.complain("%s: argument list too long", name)
		sh.status = 126
		return exits
	}
	file, err := syntax.NewParser().Parse(strings.NewReader(source), name)
	if err != nil {
		sh.complain("%v", err)
		sh.status = 2
		return goesOn
	}
	return sh.stmts(ctx, file.Stmts)
}

// child is a subshell: what it changes stays in it.
func (sh *Shell) child() *Shell {
	other := *sh
	other.vars = maps.Clone(sh.vars)
	other.funcs = maps.Clone(sh.funcs)
	other.params = slices.Clone(sh.params)
	other.traps = map[string]string{}
	other.locals, other.lasting = nil, nil
	other.jobs = &sync.WaitGroup{}
	other.loops, other.levels = 0, 0
	other.depth++
	other.configure()
	return &other
}

// fork makes a subshell, which is to be run by live; nil where there are too many.
func (sh *Shell) fork() *Shell {
	if sh.depth >= maxDepth || sh.shared.jobs.Add(1) > maxJobs {
		sh.status = sh.fail(254, "fork: Resource temporarily unavailable")
		return nil
	}
	return sh.child()
}

// live runs a subshell to its end, background commands included, and returns its
// status.
func (sh *Shell) live(ctx context.Context, fn func()) (status int) {
	defer sh.shared.jobs.Add(-1)
	defer sh.contain(&status)
	fn()
	sh.Finish(ctx)
	sh.Wait()
	return sh.status
}

// substitute runs $(…), writing its output to w.
func (sh *Shell) substitute(w io.Writer, cs *syntax.CmdSubst) error {
	sh.substituted = true
	ctx, sub := sh.ctx, sh.fork()
	if sub == nil {
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out := &capped{w: w, left: maxOutput, stop: stop}
	sub.std.out = out
	sh.status = sub.live(ctx, func() {
		word := onlyInput(cs.Stmts)
		if word == nil {
			sub.stmts(ctx, cs.Stmts)
			return
		}
		f, err := sub.open(ctx, word, os.O_RDONLY)
		if err != nil {
			sub.status = sub.fail(1, "%v", err)
			return
		}
		_, err = io.Copy(out, f)
		sub.status = truth(err == nil)
	})
	return nil
}

// capped takes the output of a substitution, and ends it where it is too long. Both
// sides of a pipe may write to it.
type capped struct {
	mu   sync.Mutex
	w    io.Writer
	left int
	stop func()
}

func (c *capped) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) > c.left {
		c.stop()
		return 0, syscall.ENOSPC
	}
	c.left -= len(p)
	return c.w.Write(p)
}

// onlyInput is the file's name in $(<file), else nil.
func onlyInput(stmts []*syntax.Stmt) *syntax.Word {
	if len(stmts) != 1 || stmts[0].Cmd != nil || len(stmts[0].Redirs) != 1 || stmts[0].Redirs[0].Op != syntax.RdrIn {
		return nil
	}
	return stmts[0].Redirs[0].Word
}

func (sh *Shell) complain(format string, args ...any) {
	fmt.Fprintf(sh.std.err, "bash: "+format+"\n", args...)
}

// fail is complain for the place where a command's status is set.
func (sh *Shell) fail(status int, format string, args ...any) int {
	sh.complain(format, args...)
	return status
}

// Reason is an error's cause as programs print it: "No such file or directory".
func Reason(err error) string {
	for {
		wrapped, ok := err.(interface{ Unwrap() error })
		if !ok || wrapped.Unwrap() == nil {
			break
		}
		err = wrapped.Unwrap()
	}
	text := err.Error()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		text = "no such file or directory"
	case errors.Is(err, fs.ErrPermission) && text == fs.ErrPermission.Error():
		text = "permission denied"
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func number(text string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	return n, err == nil
}
