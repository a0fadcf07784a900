// Command metalpool is the operator's command: it enrolls nodes, keeps pools and
// images, takes and gives back machines, and shows what the rack is doing.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/metalpool/metalpool/core/open"
)

func main() {
	if open.RunWorker() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	err := Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	os.Exit(complain(os.Stderr, err))
}

// Run runs one command line. Data goes to stdout, everything else to stderr. The
// error is for complain: it was not printed.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	a := &app{in: stdin, out: stdout, err: stderr}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !a.running {
		// Cobra refused the line before any of our code ran: for a flag perhaps, of a
		// command that there is not.
		if word := unknownWord(root, args); word != "" {
			err = unknownVerb(cmd, word)
		} else {
			err = asLine(err)
		}
	}
	return withHelp(err, cmd)
}
