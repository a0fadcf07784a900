package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

// lookEvery is how often --wait looks at nodes that another process cleans.
const lookEvery = time.Second

// waitFlag is --wait, for commands that send nodes through a clean.
type waitFlag struct{ wait bool }

func (w *waitFlag) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.wait, "wait", false, "until they are erased, and Available or Quarantined")
}

// awaitRest waits until no work is left on the nodes, and says where each ended.
// Cleans that nobody works on are done here; those of another process are watched.
func (a *app) awaitRest(ctx context.Context, e core.Operator, ids []core.NodeID) error {
	p := a.progress()
	defer p.stop()
	left := ids
	others := watcher{seen: map[core.NodeID]int64{}}
	var failures []error
	for {
		var working []core.NodeID
		for _, id := range left {
			n, err := e.Node(ctx, id)
			if err == nil && n.State != core.Quarantined { // that one's reason is told below
				others.look(ctx, e, id, p)
			}
			switch {
			case err != nil:
				failures = append(failures, err)
			case n.State.Working():
				working = append(working, id)
			case n.State == core.Quarantined:
				failures = append(failures, quarantined(n))
			case n.Refused():
				failures = append(failures, fmt.Errorf("%s is Available as before: %s", n.ID, brief(n.Reason)))
			default:
				p.done(id, "%s", afterClean(n))
			}
		}
		if left = working; len(left) == 0 {
			return errors.Join(failures...)
		}
		if _, err := e.Reconcile(ctx, core.ReconcileOptions{}, p.report); err != nil && ctx.Err() == nil {
			// What failed is tried again, by whoever comes next: us, or the worker.
			p.line("%s", errorText(err))
		}
		select {
		case <-ctx.Done():
			return errors.Join(append(failures, context.Cause(ctx))...)
		case <-time.After(lookEvery):
		}
	}
}

// afterClean says how a node is after a clean, in a line. A disk that was erased only
// when asked again is worth a look, although it is as clean as any.
func afterClean(n core.Node) string {
	text := fmt.Sprintf("%s is %s", n.ID, n.State)
	if n.Spec.EraseFault == "" || n.State == core.Quarantined {
		return text
	}
	return text + ", but " + brief(n.Spec.EraseFault) + "; see 'metalpool node events " + string(n.ID) + "'"
}

// quarantined is the failure of a clean that ended so: the reason, once.
func quarantined(n core.Node) error {
	return fmt.Errorf("%s is Quarantined: %s; see 'metalpool node show %s'", n.ID, brief(n.Reason), n.ID)
}

// watcher tells what another process does on nodes that we wait for.
type watcher struct {
	seen map[core.NodeID]int64 // the last event that was told, or there before
}

// recent is how many events the first look goes back for the beginning of a clean: more
// than one has.
const recent = 50

func (w *watcher) look(ctx context.Context, e core.Operator, id core.NodeID, p *progress) {
	after, began := w.seen[id]
	filter := core.EventFilter{Node: id, After: after}
	if !began {
		filter.Limit = recent
	}
	events, err := e.Events(ctx, filter)
	if err != nil {
		return // the wait itself will say so
	}
	if !began {
		events = w.begin(id, events)
	}
	for _, ev := range events {
		w.seen[id] = ev.Seq
		if strings.HasSuffix(ev.By, fmt.Sprintf("/%d", os.Getpid())) {
			continue
		}
		switch ev.Type {
		case core.StepMet:
			p.report(core.Progress{Node: id, Step: ev.Step, Message: "done"})
		case core.StepUndone:
			p.report(core.Progress{Node: id, Step: ev.Step, Message: "not done"})
		case core.StepMoves, core.StepWaits, core.StepFailed:
			p.report(core.Progress{Node: id, Step: ev.Step, Message: core.Brief(ev.Message)})
		}
	}
}

// begin drops what was before the node's last clean began, which is no news. What the
// clean did before we looked is, or the quickest nodes would tell nothing.
func (w *watcher) begin(id core.NodeID, events []core.Event) []core.Event {
	w.seen[id] = 0
	for i, ev := range slices.Backward(events) {
		w.seen[id] = max(w.seen[id], ev.Seq)
		if ev.Type == core.StateChanged && ev.To.Working() {
			return events[i:]
		}
	}
	return nil
}
