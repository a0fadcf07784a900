package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

func nodeConsoleCommand(a *app) *cobra.Command {
	var tail uint
	cmd := &cobra.Command{
		Use:   "console NODE",
		Short: "Watch a server's serial console",
		Long: `Console shows what a server prints on its serial port, over the SSH of its BMC:
first what the BMC has kept, where it keeps anything, then what comes, until Ctrl-C.
It is there whoever works on the node, also in the middle of a deploy. It only
watches: nothing that is typed goes to the server.

A terminal is shown colours and drawn screens, and none of the other sequences by
which a server could steer it. A file or a pipe gets plain lines.

The BMC's SSH host key is recorded at enrolment, or when its console is first used,
and checked from then on: the BMC's password goes to no other. A key that was changed
for a good reason is accepted with 'metalpool node set NODE --console-key SHA256:…'.`,
		Example: `  metalpool node console r1-n7
  metalpool node console r1-n7 --tail 50
  metalpool node console r1-n7 > r1-n7.log`,
		Args:              exactly("NODE"),
		ValidArgsFunction: a.completeArgs(nodeIDs),
	}
	cmd.Flags().UintVarP(&tail, "tail", "n", 0, "the last so many `lines` of what the BMC has kept, and no more")
	cmd.RunE = a.reads(func(ctx context.Context, e core.Operator, args []string) error {
		id := core.NodeID(args[0])
		if !cmd.Flags().Changed("tail") {
			return a.watchConsole(ctx, e, id)
		}
		lines, err := e.ConsoleTail(ctx, id, int(min(tail, maxTail)))
		if err != nil {
			return err
		}
		for _, line := range lines {
			if _, err := io.WriteString(a.out, line+"\n"); err != nil {
				return err
			}
		}
		if len(lines) == 0 && tail > 0 {
			a.note("%s printed nothing that its BMC has kept; without --tail you see what it prints now", id)
		}
		return nil
	})
	return cmd
}

// maxTail is more lines than any BMC keeps.
const maxTail = 1 << 20

// watchConsole copies a console until Ctrl-C.
func (a *app) watchConsole(ctx context.Context, e core.Operator, id core.NodeID) error {
	console, err := e.Console(ctx, id)
	if err != nil {
		return unlessDone(ctx, err)
	}
	defer console.Close()
	a.note("console of %s; Ctrl-C ends it", id)
	filter := core.ConsoleFilter{Terminal: isTerminal(a.out)}
	if filter.Terminal {
		defer func() { _, _ = io.WriteString(a.out, "\x1b[0m\n") }() // the server's colours end with it
	}
	buffer := make([]byte, 32<<10)
	var shown []byte
	for {
		n, err := console.Read(buffer)
		shown = filter.Clean(shown[:0], buffer[:n])
		if _, err := a.out.Write(shown); err != nil {
			return err
		}
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil // Ctrl-C is how to stop watching
		case errors.Is(err, io.EOF):
			return &core.Error{Op: "watch console", Node: id, Kind: core.Transient, Err: errors.New("the BMC has ended it"), Hint: "look again; another one may have taken it"}
		default:
			return err
		}
	}
}
