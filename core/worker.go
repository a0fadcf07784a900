package core

import (
	"context"
	"time"
)

// Work finishes what dead workers left, until nothing is left that it could finish:
// every clean, and deploys whose caller did not come back in time. Nodes that others
// work on are watched, in case those die too. It is the detached worker's life. It
// returns the nodes that it has given up, and none that came after its last look.
func (e *Engine) Work(ctx context.Context) (given []NodeID, err error) {
	type end struct {
		node NodeID
		err  error
	}
	var (
		running = map[NodeID]bool{}
		misses  = map[NodeID]int{}       // failures in a row
		due     = map[NodeID]time.Time{} // not before
		ends    = make(chan end)
		blind   int // looks in a row that the store refused
	)
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel() // nobody works on after we said that we ended
		for range len(running) {
			<-ends
		}
	}()
	for {
		nodes, err := e.atWork(ctx)
		if err != nil {
			// Others count on us to be here: one fault of the store is no reason to go. That
			// it has another key by now is: the next command starts a worker that has it.
			if blind++; blind > maxMisses || Is(err, Denied) || wait(ctx, e.timing.Retry<<blind) != nil {
				return given, err
			}
			e.log.Warn("the store was not read", "tries", blind, "error", err)
			continue
		}
		blind, given = 0, nil
		hope := len(running) > 0
		for _, n := range nodes {
			if running[n.ID] {
				continue
			}
			if misses[n.ID] >= maxMisses {
				given = append(given, n.ID)
				continue
			}
			hope = true
			if time.Now().Before(due[n.ID]) {
				continue
			}
			running[n.ID] = true
			go func() {
				_, err := e.reconcileNode(ctx, n.ID, ReconcileOptions{}, nil)
				ends <- end{n.ID, err}
			}()
		}
		if !hope {
			return given, nil
		}
		select {
		case done := <-ends:
			delete(running, done.node)
			pause := e.timing.Queue
			switch {
			case done.err == nil:
				delete(misses, done.node)
			case !Is(done.err, Busy, LeaseLost):
				misses[done.node]++
				pause = e.timing.Retry << misses[done.node]
				e.log.Warn("node not finished", "node", done.node, "tries", misses[done.node], "error", done.err)
			}
			due[done.node] = time.Now().Add(pause)
		case <-time.After(e.timing.Queue):
		case <-ctx.Done():
			return given, context.Cause(ctx)
		}
	}
}

// atWork lists the nodes at work, once what was never deployed in time is let go, and
// what was to be kept only so long.
func (e *Engine) atWork(ctx context.Context) ([]Node, error) {
	if err := e.expireAll(ctx); err != nil {
		return nil, err
	}
	if err := e.endAll(ctx); err != nil {
		return nil, err
	}
	return e.Nodes(ctx, NodeFilter{States: []State{Cleaning, Deploying, Preparing}})
}

// maxMisses is how often in a row a worker fails at a node before it leaves the node
// to the next command: its BMC is out of our reach.
const maxMisses = 6
