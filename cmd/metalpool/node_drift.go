package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

// compareParallel is how many BMCs are asked at once: most of it is waiting for them.
const compareParallel = 32

// driftError is nodes that are not as they should be, of which repairable ones are brought
// back by --repair.
type driftError struct{ nodes, of, repairable int }

func (e *driftError) Error() string {
	text := fmt.Sprintf("%s of %d %s not as wanted", number(e.nodes), e.of, either(e.nodes == 1, "is", "are"))
	if e.repairable > 0 {
		text += fmt.Sprintf("; --repair sets up %s of them", either(e.repairable == e.nodes, "all", number(e.repairable)))
	}
	return text
}

// driftOf is what is told of drifts where nothing was done about them.
func driftOf(drifts []core.Drift, of int) *driftError {
	e := &driftError{nodes: len(differing(drifts)), of: of}
	for _, d := range drifts {
		if repairable(d) {
			e.repairable++
		}
	}
	return e
}

func nodeDriftCommand(a *app) *cobra.Command {
	var (
		filter nodeFilter
		o      outputFlag
		repair bool
		reason string
	)
	compare := func(ctx context.Context, e core.Operator, args []string) error {
		ids, err := nodesToCompare(ctx, a, e, filter, args)
		if err != nil || len(ids) == 0 {
			return err
		}
		drifts, err := compareAll(ctx, a, e, ids)
		if repair {
			if !o.json() {
				if err := printDrift(a, drifts); err != nil {
					return err
				}
			}
			var failed error
			drifts, failed = bringBack(ctx, a, e, drifts, reason)
			if uncompared(drifts) == 0 {
				err = nil // what could not be compared at first could be then
			}
			err = errors.Join(err, failed)
		}
		if o.json() {
			err = errors.Join(err, a.printJSON(list(drifts)))
		} else {
			err = errors.Join(err, printDrift(a, drifts))
		}
		if n := uncompared(drifts); n > 0 && len(ids) > 1 {
			err = errors.Join(err, fmt.Errorf("%d of %d could not be compared", n, len(ids)))
		}
		var off error
		if n := len(differing(drifts)); n > 0 && repair {
			off = &driftError{nodes: n, of: len(ids)} // those that could be brought back were
		} else if n > 0 {
			off = driftOf(drifts, len(ids))
		}
		if err != nil && off != nil {
			a.note("%s", off)
		}
		if err = cmp.Or(err, off); err != nil {
			return err
		}
		a.note("%s as wanted", either(len(ids) == 1, string(ids[0])+" is", fmt.Sprintf("all %d nodes are", len(ids))))
		return nil
	}
	cmd := &cobra.Command{
		Use:   "drift [NODE...]",
		Short: "Compare nodes with what their profile sets up, and bring them back",
		Long: `Compare nodes with what the profile of their machine, or of their pool, sets up: BIOS,
RAID, boot order, Secure Boot, firmware versions; and with what was enrolled: disks that
are missing, memory that has shrunk. Only their BMCs are asked, and nothing is changed.

Exits with 1 where a node could not be compared, else with 3 where one differs, else with
0. The others are told either way.

With --repair, those that are Available are brought back, out of the pool meanwhile; the
ones that have an owner are when they are deployed next. What a server will not have
leaves it as it was, Available, and says why. What it took and does not have then
quarantines it; once the profile is mended, --repair brings it back without an erase.`,
		Example: `  metalpool node drift
  metalpool node drift --pool default -o json
  metalpool node drift 'r1-n[01-40]' --repair`,
		ValidArgsFunction: a.completeArgs(nodeIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if repair {
				return a.onPool(compare)(cmd, args)
			}
			return a.reads(compare)(cmd, args)
		},
	}
	filter.add(cmd, a)
	cmd.Flags().BoolVar(&repair, "repair", false, "set those up that differ and are Available")
	cmd.Flags().StringVar(&reason, "reason", "drift", "`why`, for the node's events")
	o.add(cmd)
	return cmd
}

// nodesToCompare are the nodes that are asked for. One that is named is compared whatever it
// does; of all others those at work are left out, since they differ just then.
func nodesToCompare(ctx context.Context, a *app, e core.Operator, f nodeFilter, args []string) (ids []core.NodeID, err error) {
	if len(args) > 0 {
		if f.some() {
			return nil, usagef("say which nodes, or by what they are chosen, not both")
		}
		words, err := expandAll(args)
		for _, word := range words {
			ids = append(ids, core.NodeID(word))
		}
		return ids, err
	}
	nodes, err := f.nodes(ctx, e)
	if err != nil {
		return nil, err
	}
	working := 0
	for _, n := range nodes {
		if n.State.Working() {
			working++
			continue
		}
		ids = append(ids, n.ID)
	}
	if working > 0 {
		a.note("%d at work, not compared", working)
	}
	if len(nodes) == 0 {
		a.note("no nodes%s", either(f.some(), " that fit", ""))
	}
	return ids, nil
}

// compareAll compares nodes, in the order in which they are given. One that could not be
// compared is among them, and says why: so does err, where it is the only one, and else
// a line of its own.
func compareAll(ctx context.Context, a *app, e core.Operator, ids []core.NodeID) (drifts []core.Drift, err error) {
	var mu sync.Mutex
	found := map[core.NodeID]core.Drift{}
	err = each(ctx, a.fail, compareParallel, "compared", ids, func(ctx context.Context, id core.NodeID) error {
		d, err := e.Drift(ctx, id)
		for _, u := range d.Unknown {
			err = errors.Join(err, fmt.Errorf("%s: %s could not be compared: %s", id, u.Of, u.Why))
		}
		if err != nil && len(d.Unknown) == 0 {
			d.Node, d.Unknown = id, []core.Uncompared{{Of: ofNode, Why: err.Error()}}
		}
		mu.Lock()
		defer mu.Unlock()
		found[id] = d
		return err
	})
	if len(ids) > 1 && ctx.Err() == nil {
		err = nil // they are counted by uncompared
	}
	for _, id := range ids {
		if d, there := found[id]; there {
			drifts = append(drifts, d)
			delete(found, id) // a node may be named twice
		}
	}
	return drifts, err
}

// uncompared counts the nodes of which not all could be compared.
func uncompared(drifts []core.Drift) (n int) {
	for _, d := range drifts {
		if len(d.Unknown) > 0 {
			n++
		}
	}
	return n
}

// ofNode is what could not be compared of a node where that is all of it.
const ofNode = "node"

// differing are the nodes that are not as wanted.
func differing(drifts []core.Drift) (ids []core.NodeID) {
	for _, d := range drifts {
		if len(d.Differs) > 0 {
			ids = append(ids, d.Node)
		}
	}
	return ids
}

// settable reports that something differs which a step sets.
func settable(d core.Drift) bool {
	return slices.ContainsFunc(d.Differs, func(one core.Drifted) bool { return one.Of != core.OfInventory })
}

// repairable reports that --repair sets a node up.
func repairable(d core.Drift) bool { return settable(d) && d.State == core.Available || d.Again }

func printDrift(a *app, drifts []core.Drift) error {
	off := differing(drifts)
	if len(off) == 0 {
		return nil
	}
	t := a.table("NODE", "STATE", "PROFILE", "STEP", "WHAT", "WANTED", "FOUND").sparing("PROFILE", "STATE", "STEP")
	for _, d := range drifts {
		for _, one := range d.Differs {
			shown := one.Shown()
			t.row(string(d.Node), string(d.State), d.Profile, one.Of, shown.Name, shown.Wanted, shown.Found)
		}
	}
	if err := t.print(a.out); err != nil || len(off) < manyNodes {
		return err
	}
	for _, line := range inSum(drifts) {
		a.note("%s", line)
	}
	return nil
}

// manyNodes is from how many on what differs is also summed up: nobody reads that many rows.
const manyNodes = 10

// inSum counts on how many nodes the same thing differs, the most frequent first.
func inSum(drifts []core.Drift) (lines []string) {
	type thing struct{ of, name string }
	nodes := map[thing]int{}
	for _, d := range drifts {
		for _, one := range d.Differs {
			nodes[thing{one.Of, one.Name}]++
		}
	}
	things := slices.SortedFunc(maps.Keys(nodes), func(x, y thing) int {
		return cmp.Or(cmp.Compare(nodes[y], nodes[x]), cmp.Compare(x.of, y.of), cmp.Compare(x.name, y.name))
	})
	for _, one := range things[:min(len(things), manyNodes)] {
		lines = append(lines, fmt.Sprintf("%s (%s) differs on %s of them", one.name, one.of, number(nodes[one])))
	}
	if more := len(things) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %s more", number(more)))
	}
	return lines
}

// bringBack sets up the nodes that can be, and compares them anew.
func bringBack(ctx context.Context, a *app, e core.Operator, drifts []core.Drift, reason string) ([]core.Drift, error) {
	var able []core.NodeID
	stay := map[core.State][]string{}
	for _, d := range drifts {
		switch {
		case repairable(d):
			able = append(able, d.Node)
		case settable(d):
			stay[d.State] = append(stay[d.State], string(d.Node))
		}
	}
	for _, state := range slices.Sorted(maps.Keys(stay)) {
		names := stay[state]
		if more := len(names) - manyNodes; more > 0 {
			names = append(names[:manyNodes:manyNodes], fmt.Sprintf("and %s more", number(more)))
		}
		a.note("%s %s %s, and %s", strings.Join(names, ", "), either(len(names) == 1, "is", "are"), state, either(len(names) == 1, "stays as it is", "stay as they are"))
	}
	if len(able) == 0 {
		return drifts, nil
	}
	var (
		mu    sync.Mutex
		begun []core.NodeID
	)
	failed := each(ctx, a.fail, changeParallel, "set up", able, func(ctx context.Context, id core.NodeID) error {
		if _, err := e.SetUp(ctx, id, reason); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		begun = append(begun, id)
		return nil
	})
	failed = errors.Join(failed, a.awaitRest(ctx, e, begun))
	var changed []core.NodeID // of the others all was said
	for _, id := range begun {
		if n, err := e.Node(ctx, id); err == nil && !n.Refused() {
			changed = append(changed, id)
		}
	}
	after, err := compareAll(ctx, a, e, changed)
	for i, d := range drifts {
		if k := slices.IndexFunc(after, func(now core.Drift) bool { return now.Node == d.Node }); k >= 0 {
			drifts[i] = after[k]
		}
	}
	return drifts, errors.Join(failed, err)
}
