package main

import (
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
		f := follower{a: a, pool: e, filter: filter, flags: flags, over: over, story: a.storyteller(flags.full, filter.Node != "")}
		return f.run(ctx, events)
	case flags.output.json():
		return a.printJSON(list(events))
	}
	return a.story(events, flags.full, filter.Node != "")
}

// story lays out events that are all there.
func (a *app) story(events []core.Event, full, ofOne bool) error {
	if len(events) == 0 {
		a.note("nothing happened, or it is no longer kept")
		return nil
	}
	t := a.storyteller(full, ofOne)
	t.add(events)
	return t.table.print(a.out)
}

// storyteller puts events into a table. What happened on each node is one story in it.
type storyteller struct {
	table   *table
	full    bool
	day     string // of what was told last, where it stands in a line of its own
	watches map[core.NodeID]*stopwatch
	heard   map[core.NodeID][]string // what was last said there, in lines of its own
}

// storyteller begins a story; ofOne is that it is known to be of one node.
func (a *app) storyteller(full, ofOne bool) *storyteller {
	t := a.table("TIME", "NODE", "EVENT", "TOOK", "WHAT")
	if ofOne {
		t.sparing("NODE")
	}
	return &storyteller{
		table: t, full: full,
		watches: map[core.NodeID]*stopwatch{}, heard: map[core.NodeID][]string{},
	}
}

// add puts events into the table, with how long the phase took that each ended, if it did.
func (s *storyteller) add(events []core.Event) {
	for _, ev := range events {
		if s.watches[ev.Node] == nil {
			s.watches[ev.Node] = &stopwatch{}
		}
		p, ended := s.watches[ev.Node].lap(ev)
		what, said := told(ev, s.full)
		if what == "" {
			what = either(ended && p.Bytes > 0, p.moved(), sizeText(ev.Bytes))
		}
		at, day := s.time(ev.At)
		s.table.row(at, string(ev.Node), ev.Text(), either(ended, took(p.took()), ""), what)
		if day != "" {
			s.table.over(day)
		}
		if s.repeats(ev, said) {
			continue // an error quotes what stands above it
		}
		for _, line := range said {
			s.table.under("| " + line)
		}
		if len(said) > 0 {
			s.heard[ev.Node] = said
		} else if ev.Type == core.StepOutput {
			s.heard[ev.Node] = []string{what} // all of it is one line
		}
	}
}

// wideStory is from how many columns on a story has the day in each of its lines.
const wideStory = 120

// time is when an event was, and the day in a line of its own where that is another one.
func (s *storyteller) time(at time.Time) (text, day string) {
	if s.table.width <= 0 || s.table.width >= wideStory {
		return stamp(at), ""
	}
	if day = at.Local().Format(time.DateOnly); day == s.day {
		day = ""
	} else {
		s.day = day
	}
	return clock(at), day
}

// repeats reports whether an event quotes the end of what was said just before on its node.
func (s *storyteller) repeats(ev core.Event, said []string) bool {
	if ev.Type != core.StepFailed && ev.Type != core.StepWarned && ev.Type != core.StateChanged || len(said) < 2 {
		return false
	}
	quoted, heard := said[1:], s.heard[ev.Node] // the first line says whose words they are
	if len(quoted) > len(heard) {
		return false
	}
	for i, line := range heard[len(heard)-len(quoted):] {
		if !strings.HasPrefix(oneLine(line), strings.TrimSuffix(quoted[i], "…")) {
			return false
		}
	}
	return true
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
