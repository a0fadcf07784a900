package shell

import (
	"io"
	"sync"
	"sync/atomic"
)

// pipeSize is what a pipe holds of what nobody has read yet, as the kernel's does. A
// writer that had to wait for each of its lines to be read would have whoever reads do all
// of its work for every one of them.
const pipeSize = 64 << 10

// pipe joins two sides of a |.
type pipe struct {
	mu      sync.Mutex
	changed sync.Cond
	held    []byte
	ended   bool // the writer has written all
	left    bool // nobody reads any more
}

// pipeReader and pipeWriter are the ends. Each counts how often the other kept it going:
// had something for it, or had it wait.
type (
	pipeReader struct {
		*pipe
		turns atomic.Int64
	}
	pipeWriter struct {
		*pipe
		turns atomic.Int64
		stop  func() // ends who writes where nobody reads, as SIGPIPE does
	}
)

func newPipe(stop func()) (*pipeReader, *pipeWriter) {
	p := &pipe{}
	p.changed.L = &p.mu
	return &pipeReader{pipe: p}, &pipeWriter{pipe: p, stop: stop}
}

func (r *pipeReader) Read(to []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.held) == 0 {
		if r.ended {
			return 0, io.EOF
		}
		if r.left {
			return 0, io.ErrClosedPipe
		}
		if len(to) == 0 {
			return 0, nil
		}
		r.changed.Wait()
	}
	r.turns.Add(1)
	n := copy(to, r.held)
	r.held = r.held[n:]
	r.changed.Broadcast()
	return n, nil
}

func (w *pipeWriter) Write(from []byte) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n < len(from) || len(from) == 0 {
		switch room := pipeSize - len(w.held); {
		case w.left || w.ended:
			w.stop()
			return n, io.ErrClosedPipe
		case len(from) == 0:
			return 0, nil
		case room > 0:
			some := from[n:min(n+room, len(from))]
			w.held = append(w.held, some...)
			n += len(some)
			w.changed.Broadcast()
		default:
			w.turns.Add(1)
			w.changed.Wait()
		}
	}
	return n, nil
}

// Close says that this was all.
func (w *pipeWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.changed.Broadcast()
	return nil
}

// Close says that nobody reads any more.
func (r *pipeReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left, r.held = true, nil
	r.changed.Broadcast()
	return nil
}

// keptGoing reports that somebody at the other end of a pipe has kept the shell going
// since it was asked last. Such a loop is no runaway one: it ends when there is nothing
// left to be read, or nobody who reads.
func (sh *Shell) keptGoing() bool {
	var turns int64
	if r, ok := sh.std.in.(*pipeReader); ok {
		turns += r.turns.Load()
	}
	if w, ok := sh.std.out.(*pipeWriter); ok {
		turns += w.turns.Load()
	}
	if before := sh.shared.turns.Load(); turns <= before || !sh.shared.turns.CompareAndSwap(before, turns) {
		return false
	}
	sh.shared.steps.Store(0)
	return true
}
