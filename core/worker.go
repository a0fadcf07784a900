package core

import (
	"context"
	"time"
)

// Work finishes what dead workers left, until nothing is left that it could finish:
// every clean, and deploys whose caller did not come back in time. Nodes that others
// work on are watched, in case those die too. It is the detached worker's life.
func (e *Engine) Work(ctx context.Context) error {
	type end struct {
		node NodeID
		err  error
	}
	var (
		running = map[NodeID]bool{}
		misses  = map[NodeID]int{}       // failures in a row
		due     = map[NodeID]time.Time{} // not before
		ends    = make(chan end)
	)
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel() // nobody works on after we said that we ended
		for range len(running) {
			<-ends
		}
	}()
	for {
		if err := e.expireAll(ctx); err != nil {
			return err
		}
		nodes, err := e.Nodes(ctx, NodeFilter{States: []State{Cleaning, Deploying, Preparing}})
		if err != nil {
			return err
		}
		hope := len(running) > 0
		for _, n := range nodes {
			if running[n.ID] || misses[n.ID] >= maxMisses {
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
			return nil
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
			return context.Cause(ctx)
		}
	}
}

// maxMisses is how often in a row a worker fails at a node before it leaves the node
// to the next command: its BMC is out of our reach.
const maxMisses = 6
