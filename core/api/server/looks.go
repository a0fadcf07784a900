package server

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// lookTime is for how long what a BMC has said is told again: many who watch a machine are
// to cost its BMC no more than one.
const lookTime = time.Second

// mostLook bounds one look, whoever still waits for it.
const mostLook = 2 * time.Minute

// looks are answers of BMCs by what was asked; those who ask while one is on its way wait
// for the same.
type looks[T any] struct {
	fresh time.Duration

	mu sync.Mutex
	by map[string]*look[T]
}

type look[T any] struct {
	done chan struct{} // closed once these are there
	seen T
	err  error
	// defect is what the question met, and where. Each who waited meets it again, and so
	// is told of it, and logged, as whoever asks by himself.
	defect string
}

func newLooks[T any](fresh time.Duration) *looks[T] {
	return &looks[T]{fresh: fresh, by: map[string]*look[T]{}}
}

// at asks, or tells what somebody else was told a moment ago. What was found is shared:
// nobody changes it.
func (l *looks[T]) at(ctx context.Context, what string, ask func(context.Context) (T, error)) (T, error) {
	l.mu.Lock()
	k, there := l.by[what]
	if !there {
		k = &look[T]{done: make(chan struct{})}
		l.by[what] = k
		go l.ask(context.WithoutCancel(ctx), what, k, ask)
	}
	l.mu.Unlock()
	select {
	case <-k.done:
		if k.defect != "" {
			panic(k.defect)
		}
		return k.seen, k.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// ask goes on for others where the one who began has gone.
func (l *looks[T]) ask(ctx context.Context, what string, k *look[T], ask func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeout(ctx, mostLook)
	defer cancel()
	defer time.AfterFunc(l.fresh, func() { l.drop(what, k) })
	defer close(k.done)
	defer func() {
		if what := recover(); what != nil {
			k.defect = fmt.Sprintf("%v\n%s", what, debug.Stack())
		}
	}()
	k.seen, k.err = ask(ctx)
}

// forget has the next one ask anew: what is known has been changed.
func (l *looks[T]) forget(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.by, what)
}

func (l *looks[T]) drop(what string, k *look[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by[what] == k {
		delete(l.by, what)
	}
}
