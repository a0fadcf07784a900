package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/metalpool/metalpool/core"
)

// followEvery is how often -f looks for new events.
const followEvery = 500 * time.Millisecond

// ending tells why there is nothing more to follow; "" while there is. It is asked at
// first, and whenever a state has changed, until it begins to say that something ends.
type ending func(ctx context.Context) (why string, ends bool, err error)

// nodeGone ends with a node's retirement; that of all nodes with nothing.
func nodeGone(e core.Operator, id core.NodeID) ending {
	return func(ctx context.Context) (string, bool, error) {
		if id == "" {
			return "", false, nil
		}
		_, err := e.Node(ctx, id)
		if core.Is(err, core.NotFound) {
			return fmt.Sprintf("node %s is not in the inventory any more", id), true, nil
		}
		return "", false, err
	}
}

// machineGone ends once a machine was given up, and its node was cleaned of it.
func machineGone(e core.Operator, id core.AllocationID) ending {
	return func(ctx context.Context) (string, bool, error) {
		m, err := e.Machine(ctx, id)
		if err != nil || !m.State.Ended() {
			return "", false, err
		}
		why := fmt.Sprintf("machine %s is %s", holder{m}.label(), m.State)
		if m.Node == "" {
			return why, true, nil
		}
		switch n, err := e.Node(ctx, m.Node); {
		case core.Is(err, core.NotFound):
			return why, true, nil
		case err != nil:
			return "", true, err
		case n.State == core.Cleaning:
			return "", true, nil
		default:
			return fmt.Sprintf("%s; node %s is %s", why, n.ID, n.State), true, nil
		}
	}
}

// follower tells events as they come, and goes on after the last one where the store or
// its server was away.
type follower struct {
	a      *app
	pool   core.Operator
	filter core.EventFilter
	flags  eventsFlags
	over   ending

	story *storyteller
	ends  bool // it is asked each time now
	away  bool // what was last told of the store
}

func (f *follower) run(ctx context.Context, events []core.Event) error {
	f.filter.Limit = 0
	f.ends = true // also where all was over before
	for {
		why, err := f.look(ctx, events)
		if events = nil; err == nil && why == "" {
			f.pause(ctx)
			events, err = f.pool.Events(ctx, f.filter)
		}
		switch {
		case ctx.Err() != nil, err != nil && !passing(err):
			return unlessDone(ctx, err) // Ctrl-C is how to stop following
		case why != "" && err == nil:
			f.a.note("%s", why)
			return nil
		}
		if f.heard(err); err != nil {
			f.pause(ctx)
		}
	}
}

func (f *follower) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(followEvery):
	}
}

// look tells events, and finds out whether it is over. What is written while the end is
// looked for is told before that.
func (f *follower) look(ctx context.Context, events []core.Event) (why string, err error) {
	if err := f.tell(events); err != nil {
		return "", &deafError{err}
	}
	if !f.ends {
		return "", nil
	}
	if why, f.ends, err = f.over(ctx); err != nil {
		f.ends = true
		return "", err
	}
	if why == "" {
		return "", nil
	}
	if events, err = f.pool.Events(ctx, f.filter); err != nil {
		return "", err
	}
	return why, f.tell(events)
}

func (f *follower) tell(events []core.Event) error {
	for _, ev := range events {
		f.filter.After = ev.Seq
		f.ends = f.ends || ev.Type == core.StateChanged
	}
	if !f.flags.output.json() {
		f.story.add(events)
		_, err := io.WriteString(f.a.out, f.story.table.more())
		return err
	}
	for _, ev := range events {
		if err := f.a.printLine(ev); err != nil {
			return err
		}
	}
	return nil
}

// heard says once that nothing is heard, and once that it is again.
func (f *follower) heard(err error) {
	switch away := err != nil; {
	case away == f.away:
		return
	case away:
		f.a.note("goes on once the pool answers: %v", err)
	default:
		f.a.note("the pool answers again")
	}
	f.away = err != nil
}

// deafError is that nobody takes what is told: that does not pass.
type deafError struct{ error }

func (d *deafError) Unwrap() error { return d.error }

// passing reports whether who follows waits for an error to pass.
func passing(err error) bool {
	return core.Is(err, core.Transient, core.Busy) && !errors.As(err, new(*deafError))
}

// unlessDone forgets an error that comes from being told to stop.
func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}
