package main

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

// changeParallel is how many nodes are changed at once.
const changeParallel = 16

func nodeRepairCommand(a *app) *cobra.Command {
	var wait waitFlag
	cmd := nodeVerb(a, "repair", "repaired", "Put Quarantined nodes back to use: erase all their disks",
		"  metalpool node repair r1-n7 --reason 'disk replaced'\n  metalpool node repair 'r1-n[01-40]' --wait", &wait,
		func(ctx context.Context, e core.Operator, id core.NodeID, reason string) error {
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
		func(ctx context.Context, e core.Operator, id core.NodeID, reason string) error {
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
		func(ctx context.Context, e core.Operator, id core.NodeID, reason string) error {
			erased, err := erasedSinceUse(ctx, e, id)
			if err == nil {
				err = e.Retire(ctx, id, reason)
			}
			if err != nil {
				return err
			}
			a.note("%s is retired; its events stay%s", id, either(erased, "", ". Its disks may still hold data: no erase was verified since it was last in use, see 'metalpool node events "+string(id)+"'"))
			return nil
		})
}

// erasedSinceUse reports whether an erase of the node was verified after it last was
// in the hands of an owner or of an operator, or came from outside.
func erasedSinceUse(ctx context.Context, e core.Operator, id core.NodeID) (bool, error) {
	events, err := e.Events(ctx, core.EventFilter{Node: id})
	for _, ev := range slices.Backward(events) {
		switch {
		case ev.Type == core.Erased:
			return true, err
		case ev.Type == core.StateChanged && (ev.To == core.Deploying || ev.From == core.Maintenance || ev.From == core.Unborn):
			return false, err
		}
	}
	return false, err
}

// nodeVerb is a command that does one thing to each of several nodes.
func nodeVerb(a *app, verb, done, short, example string, wait *waitFlag, do func(context.Context, core.Operator, core.NodeID, string) error) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:               verb + " NODE...",
		Short:             short,
		Long:              short + ". NODE may hold a range, as for enroll: 'r1-n[03-06]'.",
		Example:           example,
		Args:              some("NODE"),
		ValidArgsFunction: a.completeArgs(nodeIDs),
		RunE: a.onPool(func(ctx context.Context, e core.Operator, args []string) error {
			ids, err := expandAll(args)
			if err != nil {
				return err
			}
			var (
				mu    sync.Mutex
				moved []core.NodeID
			)
			err = each(ctx, a.fail, changeParallel, done, ids, func(ctx context.Context, word string) error {
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
