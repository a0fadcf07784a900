package core

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	// maxMisses is how often in a row a worker fails at a node before it leaves the node
	// to the next command: its BMC is out of our reach.
	maxMisses = 6
	// share is how much a worker takes at a time: of a hundred nodes that another left,
	// each of several servers is to get its part, and not the first one all.
	share = 4
	// mostAtOnce is how many nodes a process works on for nobody: most of that is waiting
	// for an erase, but each takes a connection or two.
	mostAtOnce = 256
)

// Work finishes what dead workers left, until nothing is left that it could finish:
// every clean, and deploys as takeover.go has it. Nodes that others work on are watched, in
// case those die too. It is the detached worker's life, and a server's. It returns the
// nodes that it has given up, and none that came after its last look.
func (e *Engine) Work(ctx context.Context) (given []NodeID, err error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &rounds{e: e, running: map[string]bool{}, misses: map[string]int{}, due: map[string]time.Time{}, ends: make(chan roundEnd)}
	defer func() {
		cancel() // nobody works on after we said that we ended
		for range len(r.running) {
			<-r.ends
		}
	}()
	blind := 0 // looks in a row that the store refused
	rich := 0  // and those that left something
	for {
		found, err := e.survey(ctx)
		if err != nil {
			// Others count on us to be here: one fault of the store is no reason to go. That
			// it has another key by now is: the next command starts a worker that has it.
			if blind++; blind > maxMisses || errors.Is(err, ErrOutdated) || wait(ctx, e.timing.Retry<<blind) != nil {
				return r.given, err
			}
			e.log.Warn("the store was not read", "tries", blind, "error", err)
			continue
		}
		if blind = 0; r.refusals > maxMisses {
			return r.given, r.refused
		}
		more, hope := r.take(ctx, found)
		if !hope {
			return r.given, nil
		}
		pause := e.timing.Queue
		if !more {
			rich = 0
		} else if rich++; rich > 1 { // by the second one, the others have looked, too
			pause /= 4
		}
		if err := r.rest(ctx, pause/2+rand.N(pause)); err != nil {
			return r.given, err
		}
	}
}

// rounds is what a worker knows from one look to the next.
type rounds struct {
	e       *Engine
	running map[string]bool
	misses  map[string]int       // failures in a row
	due     map[string]time.Time // not before
	ends    chan roundEnd
	given   []NodeID
	// refusals are faults of the store in a row, whatever was worked on, and refused the last.
	refusals int
	refused  error
}

// roundEnd is a piece of work that has ended, by the node's ID or the order's.
type roundEnd struct {
	of  string
	err error
}

// take begins our share of what was found, in an order of our own: several who look at
// the same time do not meet at the same node. more is whether some was left that may be
// taken at once; hope, whether there is anything to come back for.
func (r *rounds) take(ctx context.Context, found lapsed) (more, hope bool) {
	r.given = nil
	type piece struct {
		of string
		do func() error
	}
	var pieces []piece
	for _, id := range found.nodes {
		if r.misses[string(id)] >= maxMisses && !r.running[string(id)] {
			r.given = append(r.given, id)
			continue
		}
		pieces = append(pieces, piece{string(id), func() error {
			_, err := r.e.reconcileNode(ctx, id, ReconcileOptions{}, nil)
			return err
		}})
	}
	for _, id := range found.orders {
		// An order that cannot be begun expires.
		if key := "order " + string(id); r.misses[key] < maxMisses {
			pieces = append(pieces, piece{key, func() error { return r.e.resume(ctx, id, nil) }})
		}
	}
	rand.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
	taken := 0
	for _, p := range pieces {
		if r.running[p.of] || time.Now().Before(r.due[p.of]) {
			continue
		}
		if taken == share || len(r.running) >= mostAtOnce {
			more = taken == share
			break
		}
		taken++
		r.running[p.of] = true
		go func() { r.ends <- roundEnd{p.of, p.do()} }()
	}
	return more, len(pieces)+len(found.held)+len(r.running) > 0
}

// rest waits until the next look, or until nothing is under way any more.
func (r *rounds) rest(ctx context.Context, pause time.Duration) error {
	next := time.NewTimer(pause)
	defer next.Stop()
	for {
		select {
		case done := <-r.ends:
			r.note(done)
			if len(r.running) == 0 {
				return nil
			}
		case <-next.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// note decides when what has ended may be tried again, should it not be done.
func (r *rounds) note(done roundEnd) {
	delete(r.running, done.of)
	pause, refusals := r.e.timing.Queue, 0
	switch {
	case done.err == nil:
		delete(r.misses, done.of)
	case ofStore(done.err):
		refusals, r.refused = r.refusals+1, done.err
		pause = r.e.timing.Retry << min(refusals, maxMisses)
	case !Is(done.err, Busy, LeaseLost):
		r.misses[done.of]++
		pause = r.e.timing.Retry << r.misses[done.of]
		r.e.log.Warn("not finished", "node", done.of, "tries", r.misses[done.of], "error", done.err)
	}
	r.refusals, r.due[done.of] = refusals, time.Now().Add(pause)
}
