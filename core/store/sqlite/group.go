package sqlite

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// group is a transaction that writers of this process share, one after the other. What
// takes a write its time is the disk, at the commit; of many at once each would wait
// for those of all others. In a group they wait for one. Each has a savepoint, so that
// what fails is undone alone; none returns before the commit, also none that fails: what
// it was refused for may be what another one has just written.
type group struct {
	session *session
	room    int // for how many members, those that have been among them
	members int
	wrote   bool  // a member wants its commit
	broken  error // a statement broke the transaction for all members
	err     error // of the commit
	done    chan struct{}
}

// maxMembers bounds how long other processes wait for a group, and its first member for
// the last.
const maxMembers = 16

// writers hands the right to write from one writer of this process to the next, first
// come first served. What is in open belongs to whoever has it.
type writers struct {
	open *group

	mu      sync.Mutex
	taken   bool
	waiting []chan struct{} // closed to hand the right over
}

// take waits for the right. It returns an error only where the caller does not have it.
func (w *writers) take(ctx context.Context) error {
	w.mu.Lock()
	if !w.taken {
		w.taken = true
		w.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	w.waiting = append(w.waiting, turn)
	w.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := slices.Index(w.waiting, turn); at >= 0 {
		w.waiting = slices.Delete(w.waiting, at, at+1)
		return ctx.Err()
	}
	return nil // it has just been handed over, and has to go on from here
}

// handOver gives the right to the next writer; false where there is none. The caller
// holds mu.
func (w *writers) handOver() bool {
	if len(w.waiting) == 0 {
		return false
	}
	close(w.waiting[0])
	w.waiting = slices.Delete(w.waiting, 0, 1)
	return true
}

// pass gives the right to the next writer; where there is none, the caller keeps it.
func (w *writers) pass() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.handOver()
}

// giveUp gives the right to the next writer, or lays it down.
func (w *writers) giveUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken = w.handOver()
}

// errUndone is a write that was undone together with another one of its group. It is run
// again, alone.
var errUndone = &core.Error{Op: "write to the store", Kind: core.Transient, Err: errors.New("another write of this process broke the transaction of both"), Hint: "try again"}

// updateOnce runs fn as a member of a group: of the one under way, or of a new one. The
// last member, behind whom nobody waits, commits for all. Who is to be alone joins none,
// and nobody joins him.
func (s *Store) updateOnce(ctx context.Context, alone bool, fn func(tx core.Tx) error) (err error) {
	waiting, cancel := context.WithTimeoutCause(ctx, s.turnstile.patience, errPatience)
	defer cancel()
	if s.writers.take(waiting) != nil {
		return s.turnstile.tooLong(waiting)
	}
	if alone && s.writers.open != nil {
		s.endGroup(s.writers.open)
	}
	g := s.writers.open
	if g == nil {
		if g, err = s.beginGroup(waiting); err != nil {
			s.writers.giveUp()
			return err
		}
		if alone {
			g.room = 1
		}
		s.writers.open = g
	}
	// Deferred, so that a panic in fn undoes its part, and nothing of the others'.
	defer func() {
		mine := g.broken != nil // it was whole, or nobody could have joined it
		s.leaveGroup(g)
		<-g.done
		switch {
		case g.broken != nil && !mine, g.err != nil && g.members > 1:
			err = errUndone // also an error: what it was about may be undone
		case err == nil && (g.broken != nil || g.err != nil):
			err = s.explain("commit", errors.Join(g.broken, g.err))
		}
	}()
	return s.member(ctx, g, fn)
}

// beginGroup begins a transaction as the only process that writes.
func (s *Store) beginGroup(ctx context.Context) (*group, error) {
	if err := s.turnstile.enter(ctx); err != nil {
		if s.isClosed() {
			return nil, record.ErrClosed
		}
		return nil, err
	}
	session, err := s.session(ctx)
	if err != nil {
		s.turnstile.leave()
		return nil, err
	}
	if _, err := session.exec("BEGIN IMMEDIATE"); err != nil {
		session.discard()
		s.turnstile.leave()
		return nil, s.explain("begin", err)
	}
	return &group{session: session, room: maxMembers, done: make(chan struct{})}, nil
}

const (
	savepoint = "SAVEPOINT member"
	undo      = "ROLLBACK TO member"
	release   = "RELEASE member"
)

// member runs fn within the group's transaction.
func (s *Store) member(ctx context.Context, g *group, fn func(tx core.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := g.session.exec(savepoint); err != nil {
		g.broken = err
		return s.explain("begin", err)
	}
	t := &tx{ctx: ctx, store: s, session: g.session, now: s.now().UTC().Truncate(time.Microsecond), writes: true}
	keep := false
	defer func() {
		t.Ended = true
		if !keep {
			// SQLite may have rolled all of it back by itself; then there is nothing to undo.
			_, g.broken = g.session.exec(undo)
		}
		if g.broken == nil {
			_, g.broken = g.session.exec(release)
		}
		g.wrote = g.wrote || keep
	}()
	if err := s.stillOurs(g.session); err != nil {
		return err
	}
	if err := fn(t); err != nil {
		return err
	}
	if t.Failed != nil {
		return t.Failed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	keep = true
	return nil
}

// leaveGroup lets the next writer join the group, or ends it.
func (s *Store) leaveGroup(g *group) {
	g.members++
	if g.broken == nil && g.members < g.room && !s.isClosed() && s.writers.pass() {
		return
	}
	s.endGroup(g)
	s.writers.giveUp()
}

// endGroup commits for all members. The caller keeps the right to write.
func (s *Store) endGroup(g *group) {
	if g.broken == nil && g.wrote {
		g.err = s.end(g.session, commit)
	} else {
		_ = s.end(g.session, rollback) // nothing is kept
	}
	s.turnstile.leave()
	s.writers.open = nil
	close(g.done)
}
