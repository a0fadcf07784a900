package guest

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"github.com/metalpool/metalpool/lab/guest/shell"
)

// interactive reads lines from a terminal and runs each.
func (s *session) interactive(ctx context.Context) int {
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	t := newTerminal(s.channel)
	sh := shell.New(s.g, s.process(t, t, t))
	sign := "$"
	if s.user.uid == 0 {
		sign = "#"
	}
	for {
		line, err := t.line(fmt.Sprintf("%s@%s:%s ", s.user.name, s.g.hostname(), sign))
		if errors.Is(err, errInterrupted) {
			continue
		}
		if err != nil {
			break
		}
		s.g.count(func(st *Stats) { st.Commands++ })
		if _, exited := sh.Run(ctx, line); exited || ctx.Err() != nil {
			break
		}
	}
	return s.end(ctx, hangUp, sh)
}

var errInterrupted = errors.New("interrupted")

// terminal edits lines on a channel. It is the input and the output of the commands
// that run on it.
type terminal struct {
	keys   *keyboard
	editor *term.Terminal
	rest   []byte // of the line that a command has begun to read
}

// keyboard gives the editor one byte at a time, so that nothing is lost when an
// editor is given up, and remembers the last.
type keyboard struct {
	ssh.Channel
	last byte
}

func (k *keyboard) Read(p []byte) (int, error) {
	n, err := k.Channel.Read(p[:min(1, len(p))])
	if n == 1 {
		k.last = p[0]
	}
	return n, err
}

func newTerminal(c ssh.Channel) *terminal {
	k := &keyboard{Channel: c}
	return &terminal{keys: k, editor: term.NewTerminal(k, "")}
}

const ctrlC = 3

// line reads a line. After Ctrl-D the error is io.EOF, after Ctrl-C errInterrupted;
// an editor that has seen one of them is of no further use, so another begins.
func (t *terminal) line(prompt string) (string, error) {
	t.editor.SetPrompt(prompt)
	line, err := t.editor.ReadLine()
	t.editor.SetPrompt("")
	switch {
	case err == nil || errors.Is(err, term.ErrPasteIndicator):
		return line, nil
	case !errors.Is(err, io.EOF):
		return "", err
	}
	t.editor = term.NewTerminal(t.keys, "")
	_, _ = io.WriteString(t.keys, "\r\n")
	if t.keys.last == ctrlC {
		t.keys.last = 0
		return "", errInterrupted
	}
	return "", io.EOF
}

func (t *terminal) Read(p []byte) (int, error) {
	if len(t.rest) == 0 {
		line, err := t.line("")
		if err != nil {
			return 0, io.EOF
		}
		t.rest = []byte(line + "\n")
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

func (t *terminal) Write(p []byte) (int, error) { return t.editor.Write(p) }
