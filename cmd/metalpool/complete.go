package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
)

// lookup lists what a word on the command line may be, out of the pool.
type lookup func(ctx context.Context, e core.Operator) ([]string, error)

// completionTime bounds a lookup: a shell hangs for as long.
const completionTime = 3 * time.Second

// find asks the pool. A shell has nowhere to show an error, so that there is none.
func (a *app) find(cmd *cobra.Command, what lookup) []string {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	e, err := a.open(ctx, open.Options{})
	if err != nil {
		return nil
	}
	defer e.Close()
	found, err := what(ctx, e)
	if err != nil {
		return nil
	}
	return found
}

// completeArgs completes every argument.
func (a *app) completeArgs(what lookup) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.find(cmd, what), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeWith completes a flag's value out of the pool.
func completeWith(cmd *cobra.Command, flag string, a *app, what lookup) {
	must(cmd.RegisterFlagCompletionFunc(flag, a.completeArgs(what)))
}

// complete completes a flag's value from a fixed list.
func complete(cmd *cobra.Command, flag string, values ...string) {
	must(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
}

// must is for what only a slip in this package can break.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func nodeIDs(ctx context.Context, e core.Operator) ([]string, error) {
	nodes, err := e.Nodes(ctx, core.NodeFilter{})
	return names(nodes, func(n core.Node) string { return string(n.ID) + "\t" + string(n.State) }), err
}

func poolNames(ctx context.Context, e core.Operator) ([]string, error) {
	pools, err := e.Pools(ctx)
	return names(pools, func(p core.Pool) string { return p.Name }), err
}

func imageNames(ctx context.Context, e core.Operator) ([]string, error) {
	images, err := e.Images(ctx)
	return names(images, func(i core.Image) string { return i.Name }), err
}

// machineNames are the caller's machines by name, and those of others in full.
func machineNames(ctx context.Context, e core.Operator) ([]string, error) {
	machines, err := e.Machines(ctx, core.AllocationFilter{Live: true})
	us := core.DefaultOwner()
	return names(machines, func(m core.Machine) string {
		name := m.Name
		if m.Owner != us {
			name = holder{m}.label()
		}
		return name + "\t" + string(m.State)
	}), err
}

func names[T any](items []T, name func(T) string) []string {
	found := make([]string, len(items))
	for i, item := range items {
		found[i] = name(item)
	}
	return found
}
