package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// How the small world of poolmodel.go is written in a store, and read in an engine's
// answers.

func worldPool(pool int) string { return fmt.Sprintf("pool-%d", pool) }

func worldNode(pool, node int) core.NodeID {
	return core.NodeID(fmt.Sprintf("%s-n%d", worldPool(pool), node))
}

func (c call) allocation() core.AllocationID {
	return core.AllocationID(fmt.Sprintf("%s-a%d", worldPool(c.Pool), c.ID))
}

func (c call) ownerName() (owner, name string) {
	return fmt.Sprintf("owner-%d@%s", c.owner(), worldPool(c.Pool)), fmt.Sprintf("machine-%d", c.name())
}

func (c call) coreOrder() core.Order {
	o := core.Order{ID: c.allocation(), AcquireTimeout: time.Hour}
	o.Owner, o.Name = c.ownerName()
	o.Request.Pool = worldPool(c.Pool)
	if node, asked := c.node(); asked {
		o.Request.Node = worldNode(c.Pool, node)
	}
	return o
}

// putWorlds makes pools, and their nodes as those are which were erased.
func putWorlds(t *testing.T, store core.Store, pools int) {
	t.Helper()
	update(t, store, func(tx core.Tx) error {
		var errs []error
		for pool := range pools {
			errs = append(errs, tx.PutPool(core.Pool{Name: worldPool(pool), Quota: worldQuota}))
			for node := range worldNodes {
				n := server(pool*worldNodes + node)
				n.ID, n.Pool = worldNode(pool, node), worldPool(pool)
				errs = append(errs, tx.InsertNode(n),
					tx.AddEvent(core.Event{Node: n.ID, Type: core.StateChanged, From: core.Unborn, To: core.Cleaning, On: core.EnrollErase}),
					tx.AddEvent(core.Event{Node: n.ID, Type: core.Erased}),
					tx.AddEvent(core.Event{Node: n.ID, Type: core.StateChanged, From: core.Cleaning, To: core.Available, On: core.Done}))
			}
		}
		return errors.Join(errs...)
	})
}

// ask asks an engine.
func (c call) ask(ctx context.Context, e *core.Engine) (answer, error) {
	var (
		m   core.Machine
		err error
	)
	switch c.Verb {
	case acquire:
		var a core.Allocation
		a, err = e.Acquire(ctx, c.coreOrder(), nil)
		m.ID, m.State, m.Node = a.ID, a.State, a.Node
	case release:
		err = e.Release(ctx, c.allocation(), core.ReleaseOptions{}, nil)
		m.State = core.Released
	case find:
		m, err = e.Machine(ctx, c.allocation())
	case named:
		owner, name := c.ownerName()
		m, err = e.MachineNamed(ctx, owner, name)
	}
	return c.read(m, err)
}

// read makes an answer of what an engine says. An error is that it says what no caller
// should ever hear.
func (c call) read(m core.Machine, err error) (answer, error) {
	if err != nil {
		says, known := map[core.Kind]verdict{core.NoCapacity: full, core.Exists: taken, core.Denied: over, core.NotFound: nothing, core.Busy: busy}[core.KindOf(err)]
		if !known {
			return answer{}, fmt.Errorf("%s: %w", c, err)
		}
		return answer{Says: says}, nil
	}
	if m.State.Ended() {
		return answer{Says: gone}, nil
	}
	id, idErr := strconv.Atoi(strings.TrimPrefix(string(m.ID), worldPool(c.Pool)+"-a"))
	node, nodeErr := strconv.Atoi(strings.TrimPrefix(string(m.Node), worldPool(c.Pool)+"-n"))
	if err := errors.Join(idErr, nodeErr); err != nil || m.State != core.Allocated {
		return answer{}, fmt.Errorf("%s: %s is %s on %q: %w", c, m.ID, m.State, m.Node, err)
	}
	return answer{held, id, node}, nil
}
