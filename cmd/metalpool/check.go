package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

func checkCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look whether the pool's invariants hold",
		Long: `Check reads the whole pool in one consistent view and lists every broken invariant:
a node with two owners, one that was handed on without an erase, work that nobody
could finish. It changes nothing, may run beside everything else, and exits with 1
where something is broken.`,
		Example: "  metalpool check",
		Args:    exactly(),
		RunE: a.onPool(func(ctx context.Context, e *core.Engine, _ []string) error {
			violations, err := e.Verify(ctx)
			if err != nil {
				return err
			}
			if o.json() {
				err = a.printJSON(list(violations))
			} else if len(violations) > 0 {
				t := a.table("INVARIANT", "NODE", "MACHINE", "WHAT")
				for _, v := range violations {
					t.row(v.Invariant, string(v.Node), string(v.Allocation), v.What)
				}
				err = t.print(a.out)
			}
			if err != nil {
				return err
			}
			if len(violations) > 0 {
				return fmt.Errorf("check: %s; take the nodes out of use and report it", plural(len(violations), "broken invariant"))
			}
			return a.sayWhole(ctx, e)
		}),
	}
	o.add(cmd)
	return cmd
}

// sayWhole says what was looked at: "all is well" of an empty pool, or of the wrong
// one, would mislead.
func (a *app) sayWhole(ctx context.Context, e *core.Engine) error {
	nodes, err := e.Nodes(ctx, core.NodeFilter{})
	if err != nil {
		return err
	}
	machines, err := e.Machines(ctx, core.AllocationFilter{Live: true})
	if err != nil {
		return err
	}
	a.note("all invariants hold: %s, %s", plural(len(nodes), "node"), plural(len(machines), "machine"))
	return nil
}
