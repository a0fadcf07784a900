package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// The ways to end. A remote command of `machine ssh` passes its own through.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitDrift  = 3 // nodes are not as wanted; see 'node drift'
)

// usageError is a command line that cannot be right, whatever the pool looks like.
type usageError struct {
	err  error
	help string // the command whose --help tells more
}

func (e *usageError) Error() string {
	if e.help == "" {
		return e.err.Error()
	}
	return e.err.Error() + "; see '" + e.help + " --help'"
}

func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// asUsage marks what a parser of flags refused.
func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err: err}
}

// asLine is asUsage for what cobra says, whose suggestions come on lines of their own.
func asLine(err error) error {
	return asUsage(errors.New(strings.Join(strings.Fields(err.Error()), " ")))
}

// withHelp names the command whose help explains a usage error, unless the error
// says already how to write it.
func withHelp(err error, cmd *cobra.Command) error {
	var usage *usageError
	if errors.As(err, &usage) && cmd != nil && !strings.Contains(usage.err.Error(), "; ") && !strings.Contains(usage.err.Error(), "\n") {
		usage.help = cmd.CommandPath()
	}
	return err
}

func complaint(err error) string { return "metalpool: " + errorText(err) }

// errorText keeps the lines of errors that were joined, and nothing else by which a
// server's own words could steer a terminal.
func errorText(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = oneLine(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n  ")
}

// remoteError is the exit status of a program that ran on a machine, or of ssh
// itself. It spoke for itself.
type remoteError int

func (e remoteError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// answer is a status that a command ends with when it has said all there is to say.
type answer int

func (s answer) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// undecidedError is why a command whose status is an answer has none.
type undecidedError struct{ err error }

func (u *undecidedError) Error() string { return u.err.Error() }
func (u *undecidedError) Unwrap() error { return u.err }

// undecided marks an error of a command whose status 1 is an answer.
func undecided(err error) error {
	if _, ok := errors.AsType[answer](err); ok || err == nil {
		return err
	}
	return &undecidedError{err}
}

// fail tells of one failure among several.
func (a *app) fail(err error) { complain(a.err, err) }

// complain prints an error, once, and returns the status to exit with.
func complain(stderr io.Writer, err error) int {
	var (
		usage  *usageError
		remote remoteError
		said   answer
		unsure *undecidedError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &remote):
		return int(remote)
	case errors.As(err, &said):
		return int(said)
	}
	fmt.Fprintln(stderr, complaint(err))
	var drift *driftError
	switch {
	case errors.As(err, &usage), errors.As(err, &unsure):
		return exitUsage
	case errors.As(err, &drift):
		return exitDrift
	}
	return exitFailed
}
