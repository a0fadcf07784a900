package enginetest

import (
	"sync"
	"time"
)

// When says where in a call a host freezes.
type When int

const (
	// Before the call took effect: until the host thaws nothing was sent.
	Before When = iota
	// Late is a call that is on its way when the host freezes, and lands at the last
	// moment that its deadline allows. A call without a deadline is as Before.
	Late
	// After it took effect, and before the caller knew.
	After
)

func (w When) String() string { return [...]string{"before", "late", "after"}[w] }

// freezer counts the calls of a host and stops it in the middle of one: that call and
// all others return only when the host thaws. What ran on the host is abandoned as
// a kill -9 abandons it, no defer runs; thawed, it is a laptop that was opened again.
type freezer struct {
	mu     sync.Mutex
	at     int    // 0: never
	name   string // "": never
	when   When
	calls  []string
	down   bool
	frozen chan struct{} // closed: the host is frozen
	thawed chan struct{} // closed: it goes on
}

func newFreezer() *freezer {
	return &freezer{frozen: make(chan struct{}), thawed: make(chan struct{})}
}

// call runs effect as one call that the host makes. until is the deadline that its
// fence gave it.
func (f *freezer) call(name string, until time.Time, effect func() error) error {
	f.mu.Lock()
	if f.down {
		f.mu.Unlock()
		<-f.thawed
		return effect()
	}
	f.calls = append(f.calls, name)
	hit, when := len(f.calls) == f.at || name == f.name, f.when
	if hit {
		f.down = true
		close(f.frozen)
	}
	f.mu.Unlock()
	switch {
	case !hit:
		return effect()
	case when == After:
		err := effect()
		<-f.thawed
		return err
	case when == Late && !until.IsZero():
		land := time.NewTimer(time.Until(until) - time.Millisecond)
		defer land.Stop()
		<-land.C
		err := effect()
		<-f.thawed
		return err
	}
	<-f.thawed
	return effect()
}

// Freeze makes the host freeze at its n-th call from now on.
func (h *Host) Freeze(n int, when When) {
	h.freezer.mu.Lock()
	defer h.freezer.mu.Unlock()
	h.freezer.at, h.freezer.when = len(h.freezer.calls)+n, when
}

// FreezeIn makes the host freeze in its next call of that name.
func (h *Host) FreezeIn(name string, when When) {
	h.freezer.mu.Lock()
	defer h.freezer.mu.Unlock()
	h.freezer.name, h.freezer.when = name, when
}

// Frozen is closed once the host is frozen.
func (h *Host) Frozen() <-chan struct{} { return h.freezer.frozen }

// Down reports whether the host is frozen now.
func (h *Host) Down() bool {
	h.freezer.mu.Lock()
	defer h.freezer.mu.Unlock()
	return h.freezer.down
}

// Thaw lets a host go on; where it never froze, it will not.
func (h *Host) Thaw() {
	h.freezer.mu.Lock()
	defer h.freezer.mu.Unlock()
	h.freezer.at, h.freezer.name = 0, ""
	if h.freezer.down {
		h.freezer.down = false
		close(h.freezer.thawed)
	}
}

// Calls are the names of the calls that the host has made.
func (h *Host) Calls() []string {
	h.freezer.mu.Lock()
	defer h.freezer.mu.Unlock()
	return append([]string(nil), h.freezer.calls...)
}
