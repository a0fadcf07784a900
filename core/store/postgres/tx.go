package postgres

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// tx is a core.Tx. Its verbs are in the files named for what they store.
type tx struct {
	// Where a statement failed the server has given the transaction up, whatever fn makes
	// of it.
	record.Use
	ctx   context.Context
	store *Store
	conn  *pgx.Conn
	mode  mode
	now   time.Time

	id    int64 // of the transaction; 0 in a View
	drawn int64 // the number that was drawn last when it began
	held  pgx.Batch
	told  int // how much in held is numbered, or was
	grown record.Growth

	imports *record.Numbers // set in an Import, which brings its own

	absent  map[string]bool   // what was read, and is not there
	seen    map[string]string // documents, as they were read
	owners  map[string]bool   // whose allocations nobody else decides upon
	decided int64             // the last number that a View may tell of
}

var _ core.Tx = (*tx)(nil)

func (t *tx) Now() time.Time { return t.now }

// fail records that the transaction is broken, and whether it may be run again.
func (t *tx) fail(op string, err error) error {
	switch {
	case t.ctx.Err() != nil:
		err = t.ctx.Err()
	case overtaken(err):
		return t.rerun(told(err))
	case gone(err), t.conn.IsClosed():
		err = &goneError{err}
	default:
		err = t.store.explain(op, err)
	}
	if t.Failed == nil {
		t.Failed = err
	}
	return err
}

// writable refuses to write in a View.
func (t *tx) writable(op string) error {
	if err := t.Usable(t.ctx); err != nil {
		return err
	}
	if !t.mode.writes() {
		return record.Broken(op, errors.New("View does not write"))
	}
	return nil
}

// write runs a statement that changes rows, and tells how many it changed.
func (t *tx) write(op, query string, args ...any) (int64, error) {
	if err := t.writable(op); err != nil {
		return 0, err
	}
	tag, err := t.conn.Exec(t.ctx, query, args...)
	if err != nil {
		return 0, t.fail(op, err)
	}
	return tag.RowsAffected(), nil
}

// swap is write where one row is expected: none is ErrConflict.
func (t *tx) swap(op, query string, args ...any) error {
	n, err := t.write(op, query, args...)
	if err == nil && n == 0 {
		return core.ErrConflict
	}
	return err
}

// flush writes what was held back for the commit.
func (t *tx) flush(op string) error {
	if t.held.Len() == 0 {
		return nil
	}
	batch := t.held
	t.held = pgx.Batch{}
	if err := t.conn.SendBatch(t.ctx, &batch).Close(); err != nil {
		return t.fail(op, err)
	}
	return nil
}

// read reads one row; false where there is none.
func (t *tx) read(op, query string, args []any, dest ...any) (bool, error) {
	if err := t.Usable(t.ctx); err != nil {
		return false, err
	}
	err := t.conn.QueryRow(t.ctx, query, args...).Scan(dest...)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, t.fail(op, err)
	}
	return true, nil
}

// one reads what the query yields, of which there is at most one.
func one[T any](t *tx, op string, scan func(record.Row) (T, error), query string, args ...any) (found T, ok bool, err error) {
	for item, err := range list(t, op, scan, query, args...) {
		return item, err == nil, err
	}
	return found, false, nil
}

// list yields the rows of a query one by one as they are asked for.
func list[T any](t *tx, op string, scan func(record.Row) (T, error), query string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if err := t.Usable(t.ctx); err != nil {
			yield(zero, err)
			return
		}
		rows, err := t.conn.Query(t.ctx, query, args...)
		if err != nil {
			yield(zero, t.fail(op, err))
			return
		}
		t.Drained = op
		left := true
		defer func() {
			t.Drained = ""
			rows.Close()
			if err := rows.Err(); left && err != nil {
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
		left = false
		if err := rows.Err(); err != nil {
			yield(zero, t.fail(op, err))
		}
	}
}

// text is what PostgreSQL takes as text: it refuses a zero byte and what is no UTF-8,
// and a BMC may say such things. No event is lost for it.
func text[S ~string](s S) string {
	return strings.ReplaceAll(strings.ToValidUTF8(string(s), "\uFFFD"), "\x00", "\uFFFD")
}
