package main

import (
	"context"
	"errors"
	"fmt"
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
func (a *app) awaitRest(ctx context.Context, e *core.Engine, ids []core.NodeID) error {
	p := a.progress()
	defer p.stop()
	left := ids
	var failures []error
	for {
		var working []core.NodeID
		for _, id := range left {
			n, err := e.Node(ctx, id)
			switch {
			case err != nil:
				failures = append(failures, err)
			case n.State.Working():
				working = append(working, id)
			case n.State == core.Quarantined:
				failures = append(failures, fmt.Errorf("%s is Quarantined: %s", id, n.Reason))
			default:
				p.done(id, "%s is %s", id, n.State)
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
