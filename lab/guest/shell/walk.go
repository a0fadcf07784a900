package shell

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/pattern"
	"mvdan.cc/sh/v3/syntax"
)

// flow is how a command leaves its surroundings.
type flow int

const (
	goesOn  flow = iota
	leaves       // break, of sh.levels loops
	repeats      // continue, of the sh.levels-th loop
	returns      // from a function or sourced file
	exits        // from the shell
)

func (sh *Shell) stmts(ctx context.Context, list []*syntax.Stmt) flow {
	for _, st := range list {
		if how := sh.stmt(ctx, st); how != goesOn {
			return how
		}
	}
	return goesOn
}

func (sh *Shell) stmt(ctx context.Context, st *syntax.Stmt) flow {
	sh.ctx = ctx
	if ctx.Err() != nil {
		sh.status = 130
		return exits
	}
	if sh.shared.steps.Add(1) > maxSteps && !sh.keptGoing() {
		sh.status = sh.fail(137, "the lab's shell runs at most %d commands at a time that neither read a pipe nor wait for who reads theirs", maxSteps)
		return exits
	}
	if st.Background {
		sh.background(ctx, st)
		return goesOn
	}
	if st.Negated {
		sh.forgive++
	}
	how := sh.redirected(ctx, st)
	if st.Negated {
		sh.forgive--
		if how == goesOn {
			sh.status = truth(sh.status != 0)
		}
	}
	if _, list := st.Cmd.(*syntax.BinaryCmd); how == goesOn && sh.status != 0 && sh.opts.errexit && sh.forgive == 0 && !list && !st.Negated {
		return exits
	}
	return how
}

func truth(b bool) int {
	if b {
		return 0
	}
	return 1
}

// background runs a command in a subshell of its own; it ends with the shell's
// context at the latest.
func (sh *Shell) background(ctx context.Context, st *syntax.Stmt) {
	sub := sh.fork()
	if sub == nil {
		return
	}
	front := *st
	front.Background = false
	sub.std.in = eof{}
	sh.jobs.Go(func() { sub.live(ctx, func() { sub.stmt(ctx, &front) }) })
	sh.status = 0
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// redirected runs a command with its redirections.
func (sh *Shell) redirected(ctx context.Context, st *syntax.Stmt) flow {
	before := sh.std
	closers, err := sh.redirect(ctx, st.Redirs)
	defer func() {
		for _, c := range closers {
			if err := c.Close(); err != nil {
				sh.complain("write error: %s", Reason(err))
				sh.status = 1
			}
		}
	}()
	if err != nil {
		sh.std = before
		sh.status = sh.fail(1, "%v", err)
		return goesOn
	}
	if st.Cmd == nil {
		sh.std = before
		sh.status = 0
		return goesOn
	}
	how := sh.command(ctx, st.Cmd)
	if isExec(st.Cmd) { // exec >file lasts
		sh.lasting = append(sh.lasting, closers...)
		closers = nil
		return how
	}
	sh.std = before
	return how
}

// isExec reports a call of exec that only redirects.
func isExec(cmd syntax.Command) bool {
	call, ok := cmd.(*syntax.CallExpr)
	return ok && len(call.Args) == 1 && call.Args[0].Lit() == "exec"
}

func (sh *Shell) command(ctx context.Context, cmd syntax.Command) flow {
	switch cmd := cmd.(type) {
	case *syntax.CallExpr:
		return sh.call(ctx, cmd)
	case *syntax.BinaryCmd:
		return sh.binary(ctx, cmd)
	case *syntax.Block:
		return sh.stmts(ctx, cmd.Stmts)
	case *syntax.Subshell:
		if sub := sh.fork(); sub != nil {
			sh.status = sub.live(ctx, func() { sub.stmts(ctx, cmd.Stmts) })
		}
	case *syntax.IfClause:
		return sh.ifClause(ctx, cmd)
	case *syntax.WhileClause:
		return sh.whileClause(ctx, cmd)
	case *syntax.ForClause:
		return sh.forClause(ctx, cmd)
	case *syntax.CaseClause:
		return sh.caseClause(ctx, cmd)
	case *syntax.FuncDecl:
		sh.funcs[cmd.Name.Value] = cmd.Body
		sh.status = 0
	case *syntax.TestClause:
		ok, err := sh.testClause(cmd.X)
		if sh.status = truth(ok); err != nil {
			sh.status = sh.fail(2, "%v", err)
		}
	case *syntax.ArithmCmd:
		n, err := expand.Arithm(sh.config, cmd.X)
		if sh.status = truth(n != 0); err != nil {
			sh.status = sh.fail(1, "%v", err)
		}
	case *syntax.DeclClause:
		sh.status = sh.declare(cmd)
	default:
		sh.status = sh.fail(2, "this syntax is not supported by the lab's shell")
	}
	return goesOn
}

func (sh *Shell) binary(ctx context.Context, cmd *syntax.BinaryCmd) flow {
	switch cmd.Op {
	case syntax.AndStmt, syntax.OrStmt:
		sh.forgive++
		how := sh.stmt(ctx, cmd.X)
		sh.forgive--
		if how == goesOn && (sh.status == 0) == (cmd.Op == syntax.AndStmt) {
			return sh.stmt(ctx, cmd.Y)
		}
		return how
	case syntax.Pipe, syntax.PipeAll:
		sh.pipe(ctx, cmd)
	default:
		sh.status = sh.fail(2, "%s is not supported by the lab's shell", cmd.Op)
	}
	if sh.status != 0 && sh.opts.errexit && sh.forgive == 0 {
		return exits
	}
	return goesOn
}

// pipe runs both sides in subshells, at the same time. A side that writes to a
// reader who is gone ends, as with SIGPIPE.
func (sh *Shell) pipe(ctx context.Context, cmd *syntax.BinaryCmd) {
	left := sh.fork()
	if left == nil {
		return
	}
	leftCtx, stop := context.WithCancel(ctx)
	defer stop()
	r, w := newPipe(stop)
	left.std.out = w
	if cmd.Op == syntax.PipeAll {
		left.std.err = left.std.out
	}
	ended := make(chan int, 1)
	go func() {
		status := left.live(leftCtx, func() { left.stmt(leftCtx, cmd.X) })
		_ = w.Close()
		ended <- status
	}()
	if right := sh.fork(); right != nil {
		right.std.in = r
		sh.status = right.live(ctx, func() { right.stmt(ctx, cmd.Y) })
	}
	_ = r.Close()
	if status := <-ended; sh.status == 0 && sh.opts.pipefail {
		sh.status = status
	}
}

func (sh *Shell) ifClause(ctx context.Context, clause *syntax.IfClause) flow {
	for ; clause != nil; clause = clause.Else {
		if len(clause.Cond) == 0 { // else
			return sh.stmts(ctx, clause.Then)
		}
		sh.forgive++
		how := sh.stmts(ctx, clause.Cond)
		sh.forgive--
		if how != goesOn {
			return how
		}
		if sh.status == 0 {
			return sh.stmts(ctx, clause.Then)
		}
	}
	sh.status = 0
	return goesOn
}

func (sh *Shell) whileClause(ctx context.Context, clause *syntax.WhileClause) flow {
	status := 0
	for {
		sh.forgive++
		how := sh.stmts(ctx, clause.Cond)
		sh.forgive--
		if how != goesOn || (sh.status == 0) == clause.Until {
			if how == goesOn {
				sh.status = status
			}
			return how
		}
		how, again := sh.body(ctx, clause.Do)
		if status = sh.status; !again {
			return how
		}
	}
}

func (sh *Shell) forClause(ctx context.Context, clause *syntax.ForClause) flow {
	loop, ok := clause.Loop.(*syntax.WordIter)
	if !ok || clause.Select {
		sh.status = sh.fail(2, "this kind of loop is not supported by the lab's shell")
		return goesOn
	}
	items := sh.params
	if loop.InPos.IsValid() {
		var err error
		if items, err = expand.Fields(sh.config, loop.Items...); err != nil {
			sh.status = sh.fail(1, "%v", err)
			return goesOn
		}
	}
	sh.status = 0
	for _, item := range items {
		sh.set(loop.Name.Value, item)
		if how, again := sh.body(ctx, clause.Do); !again {
			return how
		}
	}
	return goesOn
}

// body runs a loop's commands once and says whether the loop goes on.
func (sh *Shell) body(ctx context.Context, list []*syntax.Stmt) (how flow, again bool) {
	sh.loops++
	how = sh.stmts(ctx, list)
	sh.loops--
	switch how {
	case goesOn:
		return goesOn, ctx.Err() == nil
	case leaves, repeats:
		if sh.levels--; sh.levels > 0 {
			return how, false
		}
		return goesOn, how == repeats
	}
	return how, false
}

func (sh *Shell) caseClause(ctx context.Context, clause *syntax.CaseClause) flow {
	word, err := expand.Literal(sh.config, clause.Word)
	if err != nil {
		sh.status = sh.fail(1, "%v", err)
		return goesOn
	}
	for _, item := range clause.Items {
		for _, p := range item.Patterns {
			glob, err := expand.Pattern(sh.config, p)
			if err != nil {
				sh.status = sh.fail(1, "%v", err)
				return goesOn
			}
			if matches(glob, word) {
				sh.status = 0
				return sh.stmts(ctx, item.Stmts)
			}
		}
	}
	sh.status = 0
	return goesOn
}

func matches(glob, word string) bool {
	expr, err := pattern.Regexp(glob, pattern.EntireString)
	if err != nil {
		return glob == word
	}
	rx, err := regexp.Compile(expr)
	return err == nil && rx.MatchString(word)
}

// call runs a simple command: assignments alone, a function, a builtin or a program.
func (sh *Shell) call(ctx context.Context, call *syntax.CallExpr) flow {
	sh.substituted = false
	args, err := expand.Fields(sh.config, call.Args...)
	if err != nil {
		sh.status = sh.fail(1, "%v", err)
		if errors.As(err, &expand.UnsetParameterError{}) {
			return exits
		}
		return goesOn
	}
	hidden := map[string]expand.Variable{}
	for _, as := range call.Assigns {
		v, err := sh.value(as)
		if err == nil {
			hidden[as.Name.Value] = sh.vars[as.Name.Value]
			v.Exported = len(args) > 0
			err = sh.assign(as.Name.Value, v)
		}
		if err != nil {
			sh.status = sh.fail(1, "%v", err)
			return goesOn
		}
	}
	if len(args) == 0 {
		if !sh.substituted {
			sh.status = 0
		}
		return goesOn
	}
	defer func() {
		for name, old := range hidden {
			sh.vars[name] = old
		}
	}()
	sh.trace(args)
	return sh.run(ctx, args)
}

// trace prints a command that is about to run, for set -x.
func (sh *Shell) trace(args []string) {
	if sh.opts.xtrace {
		_, _ = io.WriteString(sh.std.err, "+ "+strings.Join(args, " ")+"\n")
	}
}

// run runs a command that is expanded already.
func (sh *Shell) run(ctx context.Context, args []string) flow {
	if body, found := sh.funcs[args[0]]; found {
		return sh.function(ctx, body, args[1:])
	}
	if run := builtin(args[0]); run != nil {
		return run(ctx, sh, args)
	}
	sh.status = sh.program(ctx, args)
	return goesOn
}

func (sh *Shell) function(ctx context.Context, body *syntax.Stmt, params []string) flow {
	if sh.depth >= maxDepth {
		sh.status = sh.fail(1, "maximum function nesting level exceeded")
		return exits
	}
	before, loops := sh.params, sh.loops
	sh.params, sh.loops = params, 0
	sh.depth++
	sh.calls++
	sh.locals = append(sh.locals, map[string]expand.Variable{})
	how := sh.stmt(ctx, body)
	for name, old := range sh.locals[len(sh.locals)-1] {
		sh.vars[name] = old
	}
	sh.locals = sh.locals[:len(sh.locals)-1]
	sh.calls--
	sh.depth--
	sh.params, sh.loops = before, loops
	if how == exits {
		return exits
	}
	return goesOn
}

// program finds a program and runs it.
func (sh *Shell) program(ctx context.Context, args []string) int {
	at, err := LookPath(sh.files, sh.dir, sh.vars["PATH"].String(), args[0])
	switch {
	case errors.Is(err, fs.ErrNotExist) && path.Base(args[0]) == args[0]:
		return sh.fail(127, "%s: command not found", args[0])
	case errors.Is(err, fs.ErrNotExist):
		return sh.fail(127, "%s: %s", args[0], Reason(err))
	case err != nil:
		return sh.fail(126, "%s: %s", args[0], Reason(err))
	}
	return sh.system.Exec(ctx, at, &Process{Args: args, Env: sh.env(), Dir: sh.dir, Files: sh.files, In: sh.std.in, Out: sh.std.out, Err: sh.std.err})
}
