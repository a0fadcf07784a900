package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/metalpool/metalpool/core"
)

// envPassword holds the password of the BMCs. A flag would show in `ps`.
const envPassword = "METALPOOL_BMC_PASSWORD"

// maxPassword is longer than any BMC takes; a file beyond it is the wrong file.
const maxPassword = 4096

// passwordFlag is where a password comes from; or another secret, which what then names.
type passwordFlag struct{ file, from, what string }

func (p *passwordFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "password-file", "", "`file` with the BMC's password, - is standard input (default: "+envPassword+", else asked for on a terminal)")
	cmd.Flags().StringVar(&p.from, "password-from", "", "look for the BMC's password there each time it is needed, and keep only this `reference`: env:NAME, file:/path, or 'exec:program arguments'")
}

// read returns the password from where the operator put it.
func (p *passwordFlag) read(ctx context.Context, a *app, prompt string) (string, error) {
	password, ok, err := p.given(a)
	switch {
	case err != nil || ok:
		return password, err
	case !terminalInput(a.in):
		return "", usagef("no password for the BMC; give --password-file FILE, or - for standard input, or set %s", envPassword)
	}
	return a.ask(ctx, prompt)
}

// given is read without asking anybody; ok is false where there is none.
func (p *passwordFlag) given(a *app) (password string, ok bool, err error) {
	switch {
	case p.from != "" && p.file != "":
		return "", false, usagef("give --password-file or --password-from, not both")
	case p.from != "" && !core.IsReference(p.from):
		return "", false, usagef("--password-from takes env:NAME, file:/path or exec:program, and no password, which would show in `ps`")
	case p.from != "":
		return p.from, true, nil
	}
	switch p.file {
	case "":
		password, ok = os.LookupEnv(envPassword)
		return password, ok, nil
	case "-":
		password, err = readSecret(a.in, p.of(), "standard input")
	default:
		var file *os.File
		if file, err = os.Open(p.file); err != nil {
			return "", false, usagef("--%s-file: %w", p.of(), err)
		}
		defer file.Close()
		password, err = readSecret(file, p.of(), p.file)
	}
	return password, err == nil, err
}

// of is what it asks for, as people call it.
func (p *passwordFlag) of() string { return cmp.Or(p.what, "password") }

// readSecret takes the first line. More than one is refused: a file with user and
// password, or a private key, would fail later and less clearly.
func readSecret(r io.Reader, what, name string) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPassword+1))
	if err != nil {
		return "", usagef("read %s from %s: %w", what, name, err)
	}
	line, rest, _ := strings.Cut(string(data), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case len(data) > maxPassword:
		return "", usagef("%s is longer than a %s", name, what)
	case strings.TrimSpace(rest) != "":
		return "", usagef("%s has more than one line; put the %s alone into it", name, what)
	case line == "":
		return "", usagef("%s holds no %s", name, what)
	}
	return line, nil
}

func terminalInput(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// ask prompts on the terminal without echo. Ctrl-C leaves the terminal as it was.
func (a *app) ask(ctx context.Context, prompt string) (string, error) {
	file := a.in.(*os.File)
	before, err := term.GetState(int(file.Fd()))
	if err != nil {
		return "", fmt.Errorf("ask for password: %w", err)
	}
	fmt.Fprintf(a.err, "%s: ", prompt)
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1) // so that an answer after Ctrl-C blocks nobody
	go func() {
		text, err := term.ReadPassword(int(file.Fd()))
		answers <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.err)
		return "", errors.Join(context.Cause(ctx), term.Restore(int(file.Fd()), before))
	case got := <-answers:
		fmt.Fprintln(a.err)
		switch {
		case errors.Is(got.err, io.EOF):
			return "", usagef("no password was typed")
		case got.err != nil:
			return "", fmt.Errorf("ask for password: %w", got.err)
		case len(got.text) == 0:
			return "", usagef("no password was typed")
		}
		return string(got.text), nil
	}
}
