package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

// eventsFlags are those of `node events` and `machine logs`.
type eventsFlags struct {
	follow bool
	full   bool
	limit  uint
	since  string
	cmd    *cobra.Command
	output outputFlag
}

func (f *eventsFlags) add(cmd *cobra.Command) {
	f.cmd = cmd
	cmd.Flags().BoolVarP(&f.follow, "follow", "f", false, "go on with what happens next, until Ctrl-C or until it is gone")
	cmd.Flags().UintVarP(&f.limit, "limit", "n", 100, "at most so many `events`, the last ones; 0 is all, as with --since")
	cmd.Flags().StringVar(&f.since, "since", "", "only what is not `older` than this, such as 2h")
	cmd.Flags().BoolVar(&f.full, "full", false, "all lines of what steps, consoles and agents said, not their last ones")
	f.output.add(cmd)
}

// selects puts into a filter what of it the flags say.
func (f *eventsFlags) selects(filter *core.EventFilter) error {
	back, err := core.ParseDuration("--since", f.since)
	if err != nil {
		return asUsage(err)
	}
	filter.Limit = int(f.limit)
	if back > 0 {
		filter.Since = time.Now().Add(-back)
		if !f.cmd.Flags().Changed("limit") {
			filter.Limit = 0
		}
	}
	return nil
}

func nodeEventsCommand(a *app) *cobra.Command {
	var flags eventsFlags
	cmd := &cobra.Command{
		Use:   "events [NODE]",
		Short: "Tell what happened to a node, or to all",
		Example: `  metalpool node events r1-n7
  metalpool node events r1-n7 --since 2h
  metalpool node events -f`,
		Args:              optional("NODE"),
		ValidArgsFunction: a.completeArgs(nodeIDs),
		RunE: a.reads(func(ctx context.Context, e core.Operator, args []string) error {
			var filter core.EventFilter
			if len(args) == 1 {
				filter.Node = core.NodeID(args[0])
			}
			return a.tell(ctx, e, filter, flags, nodeGone(e, filter.Node))
		}),
	}
	flags.add(cmd)
	return cmd
}

// tell prints events, and with -f those to come, until it is over.
func (a *app) tell(ctx context.Context, e core.Operator, filter core.EventFilter, flags eventsFlags, over ending) error {
	if err := flags.selects(&filter); err != nil {
		return err
	}
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
	switch {
	case flags.follow:
		f := follower{a: a, pool: e, filter: filter, flags: flags, over: over, watches: map[core.NodeID]*stopwatch{}}
		return f.run(ctx, events)
	case flags.output.json():
		return a.printJSON(list(events))
	}
	return a.story(events, flags.full)
}

// story lays out events that are all there.
func (a *app) story(events []core.Event, full bool) error {
	if len(events) == 0 {
		a.note("nothing happened, or it is no longer kept")
		return nil
	}
	t := a.table("TIME", "NODE", "EVENT", "WHAT")
	for _, ev := range events {
		what, said := told(ev, full)
		t.row(stamp(ev.At), string(ev.Node), ev.Text(), cmp.Or(what, sizeText(ev.Bytes)))
		for _, line := range said {
			t.under("| " + line)
		}
	}
	return t.print(a.out)
}

// eventLine is an event in a stream whose later lines nobody knows.
func eventLine(ev core.Event, p phase, width int, full bool) string {
	line := fmt.Sprintf("%s  %-*s  %s", stamp(ev.At), width, ev.Node, ev.Text())
	if p.Name != "" {
		line += " (" + took(p.took()) + either(p.Bytes > 0, ", "+p.moved(), "") + ")"
	}
	what, said := told(ev, full)
	if what != "" {
		line += ": " + oneLine(what)
	}
	for _, words := range said {
		line += "\n    | " + oneLine(words)
	}
	return line
}

// saidLines is how many lines are shown of what a step, a console or an agent said.
const saidLines = 10

// told is an event's message: what belongs on the event's line, and the lines under it.
func told(ev core.Event, full bool) (what string, said []string) {
	switch ev.Type {
	case core.StepOutput, core.ConsoleSaid, core.AgentSaid:
	default:
		return core.Apart(ev.Message)
	}
	for line := range strings.Lines(ev.Message) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			said = append(said, line)
		}
	}
	if len(said) == 1 {
		return said[0], nil
	}
	what = fmt.Sprintf("%d lines", len(said))
	if more := len(said) - saidLines; more > 0 && !full {
		what = fmt.Sprintf("the last %d of %d lines; all with --full", saidLines, len(said))
		said = said[more:]
	}
	return what, said
}
