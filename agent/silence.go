package agent

import (
	"sync"
	"time"
)

// ears notice when nobody has called for too long.
//
// An open call counts as being called all the time; so does work that must go on
// whoever listens.
type ears struct {
	silent chan struct{} // closed, for good, after too long a silence

	mu    sync.Mutex
	limit time.Duration
	calls int       // open now
	work  int       // under way now, that goes on unheard
	quiet time.Time // since when neither
	timer *time.Timer
	came  chan struct{} // closed when somebody calls
}

func newEars(limit time.Duration) *ears {
	e := &ears{silent: make(chan struct{}), limit: limit, quiet: time.Now(), came: make(chan struct{})}
	e.mu.Lock() // expire reads timer
	defer e.mu.Unlock()
	e.timer = time.AfterFunc(limit, e.expire)
	return e
}

func (e *ears) expire() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.calls > 0 || e.work > 0 {
		return // the timer fired while somebody began to call
	}
	if rest := e.limit - time.Since(e.quiet); rest > 0 {
		e.timer.Reset(rest) // and had ended the call already
		return
	}
	select {
	case <-e.silent:
	default:
		close(e.silent)
	}
}

// call notes an open call; the returned function, its end.
func (e *ears) call() (end func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	close(e.came)
	e.came = make(chan struct{})
	e.timer.Stop()
	return func() { e.ended(&e.calls) }
}

// keep notes work that must not be cut off by silence.
func (e *ears) keep() (end func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.work++
	e.timer.Stop()
	return func() { e.ended(&e.work) }
}

func (e *ears) ended(count *int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	*count--
	if e.calls == 0 && e.work == 0 {
		e.quiet = time.Now()
		e.timer.Reset(e.limit)
	}
}

// attended reports whether somebody is calling now; if not, came is closed when
// somebody does.
func (e *ears) attended() (now bool, came <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls > 0, e.came
}

func (e *ears) close() { e.timer.Stop() }
