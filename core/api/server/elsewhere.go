package server

import (
	"context"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
)

// elsewhere tells, while a job waits for another process's work on the same allocation,
// what that process writes down of it: the client hears one story, whichever server it
// asks.
type elsewhere struct {
	s      *Server
	id     core.AllocationID
	report core.Reporter

	mu    sync.Mutex
	stop  context.CancelFunc // nil while nothing is waited for
	ended sync.WaitGroup
}

// stepWait is the step of core's progress that says who is waited for.
const stepWait = "wait"

// lookEvery is how often the store is asked for what others do.
const lookEvery = time.Second

// tell passes progress on, and listens to the store from a wait to what comes next.
func (e *elsewhere) tell(p core.Progress) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.Step == stepWait && e.stop == nil {
		var listening context.Context
		listening, e.stop = context.WithCancel(context.Background()) // until what comes next, or leave
		e.ended.Go(func() { e.listen(listening) })
	}
	if p.Step != stepWait {
		e.end()
	}
	e.report(p)
}

// leave stops listening, once the job has ended.
func (e *elsewhere) leave() {
	e.mu.Lock()
	e.end()
	e.mu.Unlock()
	e.ended.Wait()
}

// end is leave without waiting. e.mu is held.
func (e *elsewhere) end() {
	if e.stop != nil {
		e.stop()
		e.stop = nil
	}
}

// listen tells events until ctx ends; none from before it began.
func (e *elsewhere) listen(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	next := core.EventFilter{Allocation: e.id, Limit: 1} // the last one: what follows is told
	for began := false; ; {
		if events, err := e.s.pool.Events(ctx, next); err == nil { // a courtesy
			for _, ev := range events {
				next.After = ev.Seq
				if p, worth := retold(ev); worth && began && ctx.Err() == nil {
					e.report(p)
				}
			}
			began, next.Limit = true, 0
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// retold is an event as progress.
func retold(ev core.Event) (core.Progress, bool) {
	p := core.Progress{Node: ev.Node, Step: ev.Step, Message: ev.Message}
	switch ev.Type {
	case core.StepMet:
		p.Message = "done"
	case core.StepUndone:
		p.Message = "not done"
	case core.StepFailed:
		p.Message = "failed: " + ev.Message
	case core.StepMoves, core.StepWaits:
	default:
		return p, false
	}
	return p, true
}
