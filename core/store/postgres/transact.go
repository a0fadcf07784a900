package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// maxRuns bounds how often Update runs its function when that loses its
// compare-and-swap each time.
const maxRuns = 10

// View runs fn on one unchanging picture of the store. It runs it again where the
// connection broke.
func (s *Store) View(ctx context.Context, fn func(tx core.Tx) error) error {
	return s.whileGone(ctx, func() error { return s.transact(ctx, reading, fn) })
}

// Update runs fn until it was committed, or failed for a reason of its own.
func (s *Store) Update(ctx context.Context, fn func(tx core.Tx) error) error {
	var grown record.Growth
	err := s.update(ctx, func(t core.Tx) error {
		err := fn(t)
		grown = t.(*tx).grown
		return err
	})
	if err == nil {
		s.shorten(ctx, s.stories.Grown(grown))
	}
	return err
}

func (s *Store) update(ctx context.Context, fn func(tx core.Tx) error) error {
	how := writing
	for run := 1; ; run++ {
		err := s.whileGone(ctx, func() error { return s.transact(ctx, how, fn) })
		switch {
		case errors.Is(err, errAlone):
			how = alone
		case !errors.Is(err, core.ErrConflict) || run >= maxRuns:
			return err
		}
		if err := pause(ctx, time.Millisecond<<min(run, 5)); err != nil {
			return err
		}
	}
}

// whileGone runs once again, and again, while the server is gone and nothing can have
// been committed, for as long as the store's patience lasts.
func (s *Store) whileGone(ctx context.Context, run func() error) error {
	end := time.Now().Add(s.patience)
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := run()
		var gone *goneError
		if !errors.As(err, &gone) {
			return err
		}
		if time.Now().Add(wait).After(end) {
			return s.explain("use the store", gone.error)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// goneError is a connection that broke before anything was committed.
type goneError struct{ error }

func (e *goneError) Unwrap() error { return e.error }

// pause waits for about d: those who got into each other's way do not meet again.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connection takes one that leads to a server which can be written to.
func (s *Store) connection(ctx context.Context) (*pgxpool.Conn, error) {
	if s.closed.Err() != nil {
		return nil, record.ErrClosed
	}
	limited, cancel := context.WithTimeoutCause(ctx, s.patience, errPatience)
	defer cancel()
	conn, err := s.pool.Acquire(limited)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case s.closed.Err() != nil:
		return nil, record.ErrClosed
	case limited.Err() != nil:
		return nil, &core.Error{Op: "use the store", Kind: core.Busy, Err: fmt.Errorf("%s: no connection came free, or could be made, within %s", s.address.shown, s.patience),
			Hint: "try again; if it stays so, see whether the server answers, and raise pool_max_conns in the address"}
	case unreached(err):
		return nil, &goneError{err}
	}
	return nil, s.explain("connect to the store", err)
}

// errPatience is the cause when a wait has lasted for the store's patience.
var errPatience = errors.New("patience is over")

// first takes the first connection. Somebody may wait who has mistyped the host, so
// that only a server which is just starting is waited for.
func (s *Store) first(ctx context.Context) (conn *pgxpool.Conn, err error) {
	end := time.Now().Add(s.patience)
	for {
		conn, err = s.pool.Acquire(ctx)
		if code(err) != cannotConnectNow || time.Now().After(end) {
			return conn, err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// transact runs fn in one transaction.
func (s *Store) transact(ctx context.Context, how mode, fn func(tx core.Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	conn, err := s.connection(ctx)
	if err != nil {
		return err
	}
	// Release closes a connection that is in the middle of something.
	defer conn.Release()
	t := &tx{ctx: ctx, store: s, conn: conn.Conn(), mode: how}
	if err := t.begin(); err != nil {
		return err
	}
	kept := false
	// Deferred, so that a panic in fn rolls back too.
	defer func() {
		t.Ended = true
		if !kept {
			t.rollback()
		}
	}()
	err = fn(t)
	// What fn made of a statement that broke does not count: it may run again.
	var gone *goneError
	if t.Failed != nil && (err == nil || errors.Is(t.Failed, core.ErrConflict) || errors.Is(t.Failed, errAlone) || errors.As(t.Failed, &gone)) {
		return t.Failed
	}
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	kept = true
	return t.commit()
}
