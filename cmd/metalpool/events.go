package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

// followEvery is how often -f looks for new events.
const followEvery = 500 * time.Millisecond

// eventsFlags are those of `node events` and `machine logs`.
type eventsFlags struct {
	follow bool
	limit  uint
	output outputFlag
}

func (f *eventsFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.follow, "follow", "f", false, "go on with what happens next, until Ctrl-C")
	cmd.Flags().UintVarP(&f.limit, "limit", "n", 100, "at most so many `events`, the last ones; 0 is all")
	f.output.add(cmd)
}

func nodeEventsCommand(a *app) *cobra.Command {
	var flags eventsFlags
	cmd := &cobra.Command{
		Use:   "events [NODE]",
		Short: "Tell what happened to a node, or to all",
		Example: `  metalpool node events r1-n7
  metalpool node events -f`,
		Args:              optional("NODE"),
		ValidArgsFunction: a.completeArgs(nodeIDs),
		RunE: a.reads(func(ctx context.Context, e core.Operator, args []string) error {
			var filter core.EventFilter
			if len(args) == 1 {
				filter.Node = core.NodeID(args[0])
			}
			return a.tell(ctx, e, filter, flags)
		}),
	}
	flags.add(cmd)
	return cmd
}

// tell prints events, and with -f those to come.
func (a *app) tell(ctx context.Context, e core.Operator, filter core.EventFilter, flags eventsFlags) error {
	filter.Limit = int(flags.limit)
	events, err := e.Events(ctx, filter)
	if err != nil {
		return err
	}
	if len(events) == 0 && filter.Node != "" {
		// A node that was retired still has its story; one that never was has none.
		if _, err := e.Node(ctx, filter.Node); err != nil {
			return err
		}
	}
	if !flags.follow {
		if flags.output.json() {
			return a.printJSON(list(events))
		}
		return a.story(events)
	}
	filter.Limit = 0
	watches, width := map[core.NodeID]*stopwatch{}, 0
	for {
		for _, ev := range events {
			width = max(width, len(ev.Node))
		}
		for _, ev := range events {
			filter.After = ev.Seq
			if watches[ev.Node] == nil {
				watches[ev.Node] = &stopwatch{}
			}
			p, _ := watches[ev.Node].lap(ev)
			if err := a.tellOne(ev, p, width, flags.output); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil // Ctrl-C is how to stop following
		case <-time.After(followEvery):
		}
		if events, err = e.Events(ctx, filter); err != nil {
			return unlessDone(ctx, err)
		}
	}
}

// tellOne prints an event, and how long the phase took that it ended, if it did. width
// is that of the longest name of a node so far.
func (a *app) tellOne(ev core.Event, p phase, width int, o outputFlag) error {
	if o.json() {
		return a.printLine(ev)
	}
	_, err := io.WriteString(a.out, eventLine(ev, p, width)+"\n")
	return err
}

// unlessDone forgets an error that comes from being told to stop.
func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// story lays out events that are all there.
func (a *app) story(events []core.Event) error {
	if len(events) == 0 {
		return nil
	}
	t := newTable(isTerminal(a.out), terminalWidth(a.out))
	t.row("TIME", "NODE", "EVENT", "WHAT")
	for _, ev := range events {
		what, said := core.Apart(ev.Message)
		t.row(stamp(ev.At), string(ev.Node), eventText(ev), cmp.Or(what, sizeText(ev.Bytes)))
		for _, line := range said {
			t.under(3, "| "+line)
		}
	}
	return t.print(a.out)
}

// eventLine is an event in a stream whose later lines nobody knows.
func eventLine(ev core.Event, p phase, width int) string {
	line := fmt.Sprintf("%s  %-*s  %s", stamp(ev.At), width, ev.Node, eventText(ev))
	if p.Name != "" {
		line += " (" + took(p.took()) + either(p.Bytes > 0, ", "+p.moved(), "") + ")"
	}
	what, said := core.Apart(ev.Message)
	if what != "" {
		line += ": " + oneLine(what)
	}
	for _, words := range said {
		line += "\n    | " + oneLine(words)
	}
	return line
}

// eventText says what an event tells of, without its message.
func eventText(ev core.Event) string {
	switch ev.Type {
	case core.StateChanged:
		if ev.From == "" || ev.From == core.Unborn {
			return words("→", string(ev.To), either(ev.On == "", "", "("+string(ev.On)+")"))
		}
		return fmt.Sprintf("%s → %s (%s)", ev.From, ev.To, ev.On)
	case core.StepMet:
		return ev.Step + " done"
	case core.StepMoves:
		return ev.Step
	case core.StepWaits:
		return ev.Step + " waits"
	case core.StepFailed:
		return ev.Step + " failed"
	case core.WorkLeft:
		return ev.Step + " left"
	case core.WorkTaken:
		return ev.Step + " taken over"
	case core.Erased:
		return "erased"
	case core.AgentRefused:
		return "agent refused"
	case core.LeftOut:
		return string(ev.Type)
	}
	return words(string(ev.Type), ev.Step)
}
