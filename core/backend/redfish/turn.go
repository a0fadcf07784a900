package redfish

import (
	"context"
	"sync"
)

// turns holds for the whole process, whatever number of Connectors it has: many
// BMCs mix up two clients that work at the same time.
var turns = turnstile{bmcs: map[string]*queue{}}

// turnstile lets one job at a time have each BMC.
type turnstile struct {
	mu   sync.Mutex
	bmcs map[string]*queue
}

type queue struct {
	free chan struct{} // holds one token while nobody has the BMC
	jobs int           // that have it or wait for it; at 0 the queue is forgotten
}

// take waits for its turn; leave gives it to the next one.
func (t *turnstile) take(ctx context.Context, key string) (leave func(), err error) {
	t.mu.Lock()
	q := t.bmcs[key]
	if q == nil {
		q = &queue{free: make(chan struct{}, 1)}
		q.free <- struct{}{}
		t.bmcs[key] = q
	}
	q.jobs++
	t.mu.Unlock()

	select {
	case <-q.free:
		return func() { q.free <- struct{}{}; t.forget(key, q) }, nil
	case <-ctx.Done():
		t.forget(key, q)
		return nil, context.Cause(ctx)
	}
}

func (t *turnstile) forget(key string, q *queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.jobs--; q.jobs == 0 {
		delete(t.bmcs, key)
	}
}
