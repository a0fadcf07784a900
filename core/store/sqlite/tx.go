package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// maxRuns bounds how often Update runs its function when that loses its
// compare-and-swap each time.
const maxRuns = 10

// View runs fn on one unchanging picture of the store.
func (s *Store) View(ctx context.Context, fn func(tx core.Tx) error) error {
	select {
	case s.readers <- struct{}{}:
		defer func() { <-s.readers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	session, err := s.session(ctx)
	if err != nil {
		return err
	}
	if _, err := session.exec("BEGIN DEFERRED"); err != nil {
		session.discard()
		return s.explain("begin", err)
	}
	t := &tx{ctx: ctx, store: s, session: session, now: s.now().UTC().Truncate(time.Microsecond)}
	// Deferred, so that a panic in fn ends the transaction too.
	defer func() {
		t.Ended = true
		_ = s.end(session, rollback) // nothing was written
	}()
	if err := s.stillOurs(session); err != nil {
		return err
	}
	if err := fn(t); err != nil {
		return err
	}
	if t.Failed != nil {
		return t.Failed
	}
	return ctx.Err()
}

// Update runs fn as the only writer at that time. Where others of this process wait to
// write, it is committed together with what they do.
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
	var err error
	alone := false
	for range maxRuns {
		// Others take their turn between two runs.
		err = s.updateOnce(ctx, alone, fn)
		switch {
		case errors.Is(err, errUndone):
			alone = true // whatever happens then is its own
		case !errors.Is(err, core.ErrConflict):
			return err
		}
	}
	return err
}

const (
	commit   = "COMMIT"
	rollback = "ROLLBACK"
)

// end ends the transaction of a session, and keeps the session where it has ended.
func (s *Store) end(session *session, how string) error {
	_, err := session.exec(how)
	if err != nil {
		session.discard()
		return err
	}
	s.giveBack(session)
	return nil
}

// tx is a core.Tx. Its verbs are in the files named for what they store.
type tx struct {
	// Where a statement failed SQLite may have rolled back by itself, so that the
	// transaction must not be committed, though fn went on.
	record.Use
	ctx     context.Context
	store   *Store
	session *session
	now     time.Time
	writes  bool
	imports *record.Numbers // set in an Import, which brings its own
	grown   record.Growth   // the stories that it adds to
}

var _ core.Tx = (*tx)(nil)

func (t *tx) Now() time.Time { return t.now }

// fail records that the transaction is broken.
func (t *tx) fail(op string, err error) error {
	err = t.store.explain(op, err)
	if t.Failed == nil {
		t.Failed = err
	}
	return err
}

// write runs a statement that changes rows, and tells how many it changed.
func (t *tx) write(op, query string, args ...any) (int64, error) {
	if err := t.Usable(t.ctx); err != nil {
		return 0, err
	}
	if !t.writes {
		return 0, record.Broken(op, errors.New("View does not write"))
	}
	result, err := t.session.exec(query, args...)
	if duplicate(err) {
		return 0, err // The statement has been undone, and the transaction is whole.
	}
	if err != nil {
		return 0, t.fail(op, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, t.fail(op, err)
	}
	return n, nil
}

// swap is write where one row is expected: none is ErrConflict.
func (t *tx) swap(op, query string, args ...any) error {
	n, err := t.write(op, query, args...)
	if err == nil && n == 0 {
		return core.ErrConflict
	}
	return err
}

// read reads one row; false where there is none.
func (t *tx) read(op, query string, args []any, dest ...any) (bool, error) {
	if err := t.Usable(t.ctx); err != nil {
		return false, err
	}
	err := t.session.row(query, args, dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, t.fail(op, err)
	}
	return true, nil
}

// list yields the rows of a query one by one as they are asked for.
func list[T any](t *tx, op string, scan func(record.Row) (T, error), query string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if err := t.Usable(t.ctx); err != nil {
			yield(zero, err)
			return
		}
		rows, err := t.session.query(query, args...)
		if err != nil {
			yield(zero, t.fail(op, err))
			return
		}
		t.Drained = op
		defer func() {
			t.Drained = ""
			if err := rows.Close(); err != nil {
				_ = t.fail(op, err) // Nobody asks any more; the transaction fails by it.
			}
		}()
		for rows.Next() {
			item, err := scan(rows)
			if err == nil {
				err = t.ctx.Err()
			}
			if err != nil {
				yield(zero, t.fail(op, err))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(zero, t.fail(op, err))
		}
	}
}
