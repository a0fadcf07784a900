package shell

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"github.com/metalpool/metalpool/lab/guest/vfs"
)

// redirect changes the shell's streams in the order that is written. What it opened
// is to be closed after the command, even when it fails.
func (sh *Shell) redirect(ctx context.Context, list []*syntax.Redirect) (opened []io.Closer, err error) {
	for _, rd := range list {
		sh.ctx = ctx
		f, err := sh.redirectOne(ctx, rd)
		if f != nil {
			opened = append(opened, f)
		}
		if err != nil {
			return opened, err
		}
	}
	return opened, nil
}

func (sh *Shell) redirectOne(ctx context.Context, rd *syntax.Redirect) (io.Closer, error) {
	fd := "1"
	switch rd.Op {
	case syntax.RdrIn, syntax.RdrInOut, syntax.DplIn, syntax.Hdoc, syntax.DashHdoc, syntax.WordHdoc:
		fd = "0"
	}
	if rd.N != nil {
		fd = rd.N.Value
	}
	if fd != "0" && fd != "1" && fd != "2" {
		return nil, fmt.Errorf("%s: file descriptors above 2 are not supported by the lab's shell", fd)
	}
	switch rd.Op {
	case syntax.Hdoc, syntax.DashHdoc, syntax.WordHdoc:
		return nil, sh.document(rd)
	case syntax.DplIn, syntax.DplOut:
		return nil, sh.duplicate(rd, fd)
	case syntax.RdrIn:
		f, err := sh.open(ctx, rd.Word, os.O_RDONLY)
		if err != nil {
			return nil, err
		}
		sh.std.in = f
		return f, nil
	}
	flag := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	switch rd.Op {
	case syntax.AppOut, syntax.AppAll:
		flag = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	case syntax.RdrOut, syntax.ClbOut, syntax.RdrAll:
	case syntax.RdrInOut:
		flag = os.O_RDWR | os.O_CREATE
	default:
		return nil, fmt.Errorf("%s is not supported by the lab's shell", rd.Op)
	}
	f, err := sh.open(ctx, rd.Word, flag)
	if err != nil {
		return nil, err
	}
	switch {
	case rd.Op == syntax.RdrAll || rd.Op == syntax.AppAll:
		sh.std.out, sh.std.err = f, f
	case fd == "0":
		sh.std.in = f
	case fd == "1":
		sh.std.out = f
	default:
		sh.std.err = f
	}
	return f, nil
}

// document makes a here-document or here-string the input.
func (sh *Shell) document(rd *syntax.Redirect) error {
	if rd.Op == syntax.WordHdoc {
		word, err := expand.Literal(sh.config, rd.Word)
		sh.std.in = strings.NewReader(word + "\n")
		return err
	}
	body, err := expand.Document(sh.config, rd.Hdoc)
	if rd.Op == syntax.DashHdoc {
		var lines strings.Builder
		for line := range strings.Lines(body) {
			lines.WriteString(strings.TrimLeft(line, "\t"))
		}
		body = lines.String()
	}
	sh.std.in = strings.NewReader(body)
	return err
}

func (sh *Shell) duplicate(rd *syntax.Redirect, fd string) error {
	target, err := expand.Literal(sh.config, rd.Word)
	if err != nil {
		return err
	}
	var w io.Writer
	switch target {
	case "1":
		w = sh.std.out
	case "2":
		w = sh.std.err
	case "-":
		w = io.Discard
	case "0":
	default:
		return fmt.Errorf("%s: Bad file descriptor", target)
	}
	switch {
	case fd == "0" && target == "-":
		sh.std.in = eof{}
	case fd == "0" && target == "0":
	case w == nil || fd == "0":
		return fmt.Errorf("%s: Bad file descriptor", target)
	case fd == "1":
		sh.std.out = w
	default:
		sh.std.err = w
	}
	return nil
}

// open opens the file that a redirection names.
func (sh *Shell) open(ctx context.Context, word *syntax.Word, flag int) (*vfs.File, error) {
	sh.ctx = ctx
	names, err := expand.Fields(sh.config, word)
	if err != nil {
		return nil, err
	}
	if len(names) != 1 {
		return nil, fmt.Errorf("ambiguous redirect")
	}
	f, err := sh.files.Open(join(sh.dir, names[0]), flag, 0o644)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", names[0], Reason(err))
	}
	return f, nil
}
