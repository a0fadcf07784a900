package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

func checkCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look whether the pool's invariants hold",
		Long: `Check reads the whole pool in one consistent view and lists all that is not as it
has to be: a node with two owners, one that was handed on without an erase, work that
nobody could finish or nobody has done for an hour, a secret that the key does not
open, a state that no event led to, damage to the store's own files. It changes
nothing, may run beside everything else, and exits with 1 where it found something.

What each finding means and what to do about it: docs/store.md.`,
		Example: "  metalpool check\n  metalpool check -o json",
		Args:    exactly(),
		RunE: a.reads(func(ctx context.Context, e core.Operator, _ []string) error {
			violations, err := e.Verify(ctx)
			if err != nil {
				return err
			}
			if o.json() {
				err = a.printJSON(list(violations))
			} else if len(violations) > 0 {
				err = a.printViolations(violations)
			}
			if err != nil {
				return err
			}
			if len(violations) > 0 {
				return fmt.Errorf("check: %s", plural(len(violations), "finding"))
			}
			return a.sayWhole(ctx, e)
		}),
	}
	o.add(cmd)
	return cmd
}

// printViolations prints whole lines, also on a terminal: what was cut off might be
// what matters. What to do is said once for all that it is the same for.
func (a *app) printViolations(violations []core.Violation) error {
	t := a.table("INVARIANT", "NODE", "MACHINE", "WHAT")
	t.width = 0
	var next []string
	for _, v := range violations {
		t.row(v.Invariant, string(v.Node), string(v.Allocation), v.What)
		if line := v.Invariant + ": " + v.Next; !slices.Contains(next, line) {
			next = append(next, line)
		}
	}
	if err := t.print(a.out); err != nil {
		return err
	}
	for _, line := range next {
		a.note("%s", line)
	}
	return nil
}

// sayWhole says what was looked at: "all is well" of an empty pool, or of the wrong
// one, would mislead.
func (a *app) sayWhole(ctx context.Context, e core.Operator) error {
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
