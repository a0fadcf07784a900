package main

import (
	"context"
	"errors"
	"sync"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

// changeParallel is how many nodes are changed at once.
const changeParallel = 16

func nodeRepairCommand(a *app) *cobra.Command {
	var wait waitFlag
	cmd := nodeVerb(a, "repair", "repaired", "Put Quarantined nodes back to use: erase all their disks",
		"  metalpool node repair r1-n7 --reason 'disk replaced'", &wait,
		func(ctx context.Context, e *core.Engine, id core.NodeID, reason string) error {
			return a.sayState(e.Repair(ctx, id, reason))
		})
	wait.add(cmd)
	return cmd
}

func nodeMaintenanceCommand(a *app) *cobra.Command {
	var (
		off  bool
		wait waitFlag
	)
	cmd := nodeVerb(a, "maintenance", "moved", "Take Available nodes aside, or put them back",
		"  metalpool node maintenance r1-n7 --reason 'new memory'\n  metalpool node maintenance r1-n7 --off", &wait,
		func(ctx context.Context, e *core.Engine, id core.NodeID, reason string) error {
			if off {
				return a.sayState(e.Resume(ctx, id, reason))
			}
			return a.sayState(e.Pause(ctx, id, reason))
		})
	cmd.Flags().BoolVar(&off, "off", false, "put them back; all their disks are erased, since nobody knows what was done to them")
	wait.add(cmd)
	return cmd
}

func nodeRetireCommand(a *app) *cobra.Command {
	return nodeVerb(a, "retire", "retired", "Take nodes out of the pool for good",
		"  metalpool node retire r1-n7 --reason 'sold'", &waitFlag{},
		func(ctx context.Context, e *core.Engine, id core.NodeID, reason string) error {
			if err := e.Retire(ctx, id, reason); err != nil {
				return err
			}
			a.note("%s is retired; its events stay", id)
			return nil
		})
}

// nodeVerb is a command that does one thing to each of several nodes.
func nodeVerb(a *app, verb, done, short, example string, wait *waitFlag, do func(context.Context, *core.Engine, core.NodeID, string) error) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:               verb + " NODE...",
		Short:             short,
		Example:           example,
		Args:              some("NODE"),
		ValidArgsFunction: a.completeArgs(nodeIDs),
		RunE: a.onPool(func(ctx context.Context, e *core.Engine, ids []string) error {
			var (
				mu    sync.Mutex
				moved []core.NodeID
			)
			err := each(ctx, a.fail, changeParallel, done, ids, func(ctx context.Context, word string) error {
				id := core.NodeID(word)
				err := do(ctx, e, id, reason)
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					moved = append(moved, id)
				}
				return err
			})
			if wait.wait {
				err = errors.Join(err, a.awaitRest(ctx, e, moved))
			}
			return err
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`why`, for the node's events")
	return cmd
}

// sayState tells where a node is now.
func (a *app) sayState(n core.Node, err error) error {
	if err == nil {
		a.note("%s is %s", n.ID, n.State)
	}
	return err
}
