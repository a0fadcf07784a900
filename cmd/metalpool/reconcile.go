package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

func reconcileCommand(a *app) *cobra.Command {
	var (
		options core.ReconcileOptions
		o       outputFlag
	)
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Finish what dead workers left",
		Long: `Reconcile goes on with the work of processes that died: it finishes every clean,
and gives up deploys whose caller did not come back within the grace period. Nodes
that somebody works on are left to him; --wait waits for those, too.

Nothing is lost without it: a server of the pool does the same, and so does, in the
background, what the next command that changes the pool starts.`,
		Example: "  metalpool reconcile\n  metalpool reconcile --abandon-deploys",
		Args:    exactly(),
		// It does itself what was left.
		RunE: a.reads(func(ctx context.Context, e core.Operator, _ []string) error {
			p := a.progress()
			outcomes, err := e.Reconcile(ctx, options, p.report)
			p.stop()
			if o.json() {
				if printed := a.printJSON(list(outcomes)); err == nil {
					err = printed
				}
				return err
			}
			if len(outcomes) == 0 {
				a.note("nothing was left to finish")
				return err
			}
			t := a.table("NODE", "WAS", "IS", "NOTE")
			for _, out := range outcomes {
				t.row(string(out.Node), string(out.From), string(out.To), out.Note)
			}
			if printed := t.print(a.out); err == nil {
				err = printed
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&options.AbandonDeploys, "abandon-deploys", false, "give up deploys of dead workers at once, without the grace period")
	cmd.Flags().BoolVar(&options.Wait, "wait", false, "until no node is at work, whoever works on it")
	o.add(cmd)
	return cmd
}
