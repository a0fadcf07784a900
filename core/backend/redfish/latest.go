package redfish

import (
	"errors"
	"net"
	"sync"
	"time"
)

// latest is when the write under way must have left. It is asked again once the
// connection stands, and by the clock on the wall: a laptop may be suspended between
// the fence's word and the first byte, and the clock by which deadlines run stands
// still meanwhile.
type latest struct {
	wall func() time.Time // without a monotonic reading

	mu    sync.Mutex
	until time.Time // zero: whenever
}

func newLatest() *latest {
	return &latest{wall: func() time.Time { return time.Now().Round(0) }}
}

// set begins a write; a zero time ends it.
func (l *latest) set(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until.Round(0)
}

func (l *latest) passed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.until.IsZero() && !l.wall().Before(l.until)
}

// guarded is a connection on which nothing is written too late.
type guarded struct {
	net.Conn
	latest *latest
}

// errTooLate is a write that was held back.
var errTooLate = errors.New("this host was stopped for longer than its lease allows")

func (g guarded) Write(p []byte) (int, error) {
	if g.latest.passed() {
		return 0, errTooLate
	}
	return g.Conn.Write(p)
}
