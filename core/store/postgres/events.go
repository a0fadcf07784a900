package postgres

import (
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// How events are numbered
//
// Two things are asked of the numbers. What follows from something else comes after it:
// a node's story is read in their order. So they are drawn from a sequence at the end of
// a transaction, while it holds the rows that it has changed; at its beginning would be
// too early.
//
// And whoever asks for the events after the last one that he has seen must miss none.
// Numbers are drawn in one order and committed in another: who has seen 8 would never see a
// 7 that is committed later. So a transaction that is about to draw holds an advisory lock
// until it has ended, whose key is the last number that was drawn before: its own are
// greater. A View looks, before its picture is taken, first which number was drawn last, and then for such locks, and tells of nothing beyond the least of
// these. Whatever it tells of, and all before that, has been committed or never will be.
// Nobody waits for anybody.

// selectDrawing publishes that this transaction is about to draw.
const selectDrawing = "SELECT pg_advisory_xact_lock_shared(($1::bigint << 32) | (last_value & 4294967295)) FROM numbers"

const (
	selectDrawn = "SELECT last_value FROM numbers"
	// selectUndecided reads after which number, as far as 32 bits tell, transactions that
	// have not ended are drawing.
	selectUndecided = `SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid::bigint = $1 AND objsubid = 1
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
)

// look finds how far a View may tell of events. Its picture is taken after that.
func (t *tx) look() error {
	var drawn int64
	var undecided []int64
	batch := &pgx.Batch{}
	batch.Queue(selectDrawn).QueryRow(func(row pgx.Row) error { return row.Scan(&drawn) })
	batch.Queue(selectUndecided, int64(t.store.schema)).Query(func(rows pgx.Rows) (err error) {
		undecided, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	if err := t.conn.SendBatch(t.ctx, batch).Close(); err != nil {
		return t.fail("begin", err)
	}
	t.decided = decided(drawn, undecided)
	return nil
}

// decided is the last number up to which nothing can come in any more: drawn is the
// last one, and undecided are the low 32 bits of numbers after which others draw.
func decided(drawn int64, undecided []int64) int64 {
	last := drawn
	for _, low := range undecided {
		last = min(last, drawn-int64(uint32(drawn)-uint32(low)))
	}
	return last
}

const insertEvent = "INSERT INTO events (tx, " + record.EventColumns + ") VALUES ($1, coalesce($2::bigint, nextval('numbers')), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"

func (t *tx) AddEvent(e core.Event) error {
	if t.imports != nil {
		return t.take(&t.imports.Event, e.Seq, insertEvent, eventRow(0, &e.Seq, e))
	}
	e = e.Bounded()
	e.At = t.now
	t.grown.Add(e)
	return t.tell("store an event", insertEvent, eventRow(t.id, nil, e))
}

// tell holds back a row that is numbered at the end.
func (t *tx) tell(op, query string, row []any) error {
	if err := t.writable(op); err != nil {
		return err
	}
	if t.told == 0 {
		t.held.Queue(selectDrawing, int64(t.store.schema))
	}
	t.told++
	t.held.Queue(query, row...)
	return nil
}

// eventRow is an event as insertEvent takes it: under a number, or the next one.
func eventRow(tx int64, seq *int64, e core.Event) []any {
	return []any{tx, seq, record.Stamp(e.At), text(e.Node), text(e.Allocation), text(e.Attempt), int64(e.Generation), text(e.Type), text(e.From), text(e.To), text(e.On), text(e.Step), text(e.Message), int64(e.Bytes), text(e.By)}
}

func (t *tx) Events(f core.EventFilter) iter.Seq2[core.Event, error] {
	var where record.Where
	if f.Node != "" {
		// The indexes hold only events of some node or allocation; PostgreSQL uses them
		// where the query says so in the same words.
		where.And("node = $%d AND node <> ''", text(f.Node))
	}
	if f.Allocation != "" {
		where.And("allocation = $%d AND allocation <> ''", text(f.Allocation))
	}
	if f.Owner != "" {
		where.And("allocation IN (SELECT id FROM allocations WHERE owner = $%d) AND allocation <> ''", text(f.Owner))
	}
	if !f.Since.IsZero() {
		where.And("at >= $%d", record.Stamp(f.Since))
	}
	return numbered(t, "list events", record.Event, "SELECT "+record.EventColumns+" FROM events", where, span{f.After, f.Limit, f.First, f.Whole})
}

// span is which are listed of what is numbered: those after a number, of these the last
// ones, and of these the first ones. 0 is all.
type span struct {
	after       int64
	last, first int
	whole       bool // also those that earlier ones may come in before
}

// numbered lists a span of what is numbered like events, in that order.
func numbered[T any](t *tx, op string, scan func(record.Row) (T, error), query string, where record.Where, s span) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		err := t.Usable(t.ctx)
		where := where
		switch {
		case err != nil:
		case t.mode.writes():
			err = t.flush(op)
		case !s.whole:
			where.And("seq <= $%d", t.decided)
		}
		if err != nil {
			var zero T
			yield(zero, err)
			return
		}
		if s.after > 0 {
			where.And("seq > $%d", s.after)
		}
		query := query + where.String() + " ORDER BY seq"
		if s.last > 0 {
			where.Args = append(where.Args, s.last)
			query = fmt.Sprintf("SELECT * FROM (%s DESC LIMIT $%d) last ORDER BY seq", query, len(where.Args))
		}
		if s.first > 0 {
			where.Args = append(where.Args, s.first)
			query = fmt.Sprintf("%s LIMIT $%d", query, len(where.Args))
		}
		list(t, op, scan, query, where.Args...)(yield)
	}
}
