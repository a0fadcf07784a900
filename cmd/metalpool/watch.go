package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
)

func watchCommand(a *app) *cobra.Command {
	var (
		filter nodeFilter
		once   bool
		every  time.Duration
		o      outputFlag
	)
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Watch the rack: a live table of its nodes",
		Long: `Watch shows every node with its state, its machine, and the step of its work that
is under way. On a terminal the table is drawn anew in place until Ctrl-C; elsewhere
there is a line for each node, and then one for each change.`,
		Example: `  metalpool watch
  metalpool watch --state Cleaning,Deploying
  metalpool watch -o json | jq -c 'select(.state == "Quarantined")'`,
		Args: exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			if every < minInterval {
				return usagef("--interval %s would keep the pool busy with looking; give %s or more", every, minInterval)
			}
			return a.look(ctx, open.Options{}, func(ctx context.Context, e core.Operator) error {
				w := &watch{engine: e, filter: filter}
				if once {
					rows, err := w.look(ctx)
					if err != nil {
						return err
					}
					return a.watchOnce(rows, o)
				}
				if isTerminal(a.out) && !o.json() {
					screen := newScreen(a.out)
					defer screen.leave()
					return w.run(ctx, every, screen.draw)
				}
				return w.run(ctx, every, a.lines(o))
			})
		}),
	}
	filter.add(cmd, a)
	cmd.Flags().BoolVar(&once, "once", false, "show the table once")
	cmd.Flags().DurationVar(&every, "interval", time.Second, "look every so `often`")
	o.add(cmd)
	return cmd
}

// watchRow is one node as watch shows it.
type watchRow struct {
	Node    core.NodeID `json:"node"`
	State   core.State  `json:"state"`
	Machine string      `json:"machine,omitempty"`
	Step    string      `json:"step,omitempty"`
	Since   time.Time   `json:"since"`
	Reason  string      `json:"reason,omitempty"`
}

// watch reads the rack again and again.
type watch struct {
	engine core.Operator
	filter nodeFilter
}

// minInterval is as often as a person can read.
const minInterval = 100 * time.Millisecond

// run looks again and again until Ctrl-C, which is how to stop watching.
func (w *watch) run(ctx context.Context, every time.Duration, show func([]watchRow) error) error {
	for {
		rows, err := w.look(ctx)
		if err != nil {
			return unlessDone(ctx, err)
		}
		if err := show(rows); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

func (w *watch) look(ctx context.Context) ([]watchRow, error) {
	nodes, err := w.filter.nodes(ctx, w.engine)
	if err != nil {
		return nil, err
	}
	holders, err := machinesByNode(ctx, w.engine)
	if err != nil {
		return nil, err
	}
	steps, err := stepsUnderWay(ctx, w.engine)
	if err != nil {
		return nil, err
	}
	rows := make([]watchRow, len(nodes))
	for i, n := range nodes {
		rows[i] = watchRow{Node: n.ID, State: n.State, Machine: holders[n.ID].label(), Step: steps[n.ID], Since: n.Since, Reason: whyNode(n)}
	}
	return rows, nil
}

// stepsUnderWay tells of the nodes at work how far that is, or what it waits for.
func stepsUnderWay(ctx context.Context, e core.Operator) (map[core.NodeID]string, error) {
	stages, err := e.Stages(ctx)
	steps := make(map[core.NodeID]string, len(stages))
	for _, s := range stages {
		steps[s.Node] = s.String()
	}
	return steps, err
}

func (a *app) watchOnce(rows []watchRow, o outputFlag) error {
	if o.json() {
		return a.printJSON(rows)
	}
	return watchTable(newTable(isTerminal(a.out), terminalWidth(a.out)), rows, time.Now()).print(a.out)
}

// watchTable puts the rack into an empty table.
func watchTable(t *table, rows []watchRow, now time.Time) *table {
	t.header = []string{"NODE", "STATE", "MACHINE", "SINCE", "STEP", "WHY"}
	for _, r := range rows {
		t.row(string(r.Node), string(r.State), r.Machine, age(now, r.Since), brief(r.Step), brief(r.Reason))
	}
	return t
}

// lines shows what changed since it was called last, a line each.
func (a *app) lines(o outputFlag) func([]watchRow) error {
	before, width := map[core.NodeID]watchRow{}, 0
	return func(rows []watchRow) error {
		for _, r := range rows {
			width = max(width, len(r.Node))
		}
		for _, r := range rows {
			if before[r.Node] == r {
				continue
			}
			before[r.Node] = r
			if err := a.watchLine(r, width, o); err != nil {
				return err
			}
		}
		for id, old := range before {
			if !slices.ContainsFunc(rows, func(r watchRow) bool { return r.Node == id }) {
				delete(before, id)
				gone := watchRow{Node: id, State: core.Gone, Since: time.Now(), Reason: "was " + string(old.State)}
				if err := a.watchLine(gone, width, o); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func (a *app) watchLine(r watchRow, width int, o outputFlag) error {
	if o.json() {
		return a.printLine(r)
	}
	what := words(r.Machine, either(r.Step != "", "["+r.Step+"]", ""), brief(r.Reason))
	_, err := fmt.Fprintf(a.out, "%s  %-*s  %-11s  %s\n", clock(time.Now()), width, r.Node, r.State, oneLine(what))
	return err
}
