package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// begin starts the transaction.
//
// An Update gets its ID here: by it is found out what became of a commit whose answer was
// lost.
func (t *tx) begin() error {
	batch := &pgx.Batch{}
	var (
		key, mark string
		schema    int64
	)
	if !t.mode.writes() {
		if err := t.look(); err != nil {
			return err
		}
		batch.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
		batch.Queue("SELECT transaction_timestamp(), " + selectOurs).QueryRow(func(row pgx.Row) error { return row.Scan(&t.now, &key, &mark, &schema) })
	} else {
		lock := "SELECT pg_advisory_xact_lock_shared($1::int4, $2::int4)"
		if t.mode == alone {
			lock = "SELECT pg_advisory_xact_lock($1::int4, $2::int4)"
		}
		batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
		batch.Queue(lock, writers, int32(t.store.schema))
		batch.Queue("SELECT transaction_timestamp(), pg_current_xact_id()::text::bigint, (SELECT last_value FROM numbers), " + selectOurs).QueryRow(func(row pgx.Row) error {
			return row.Scan(&t.now, &t.id, &t.drawn, &key, &mark, &schema)
		})
	}
	err := t.conn.SendBatch(t.ctx, batch).Close()
	t.now = t.now.UTC()
	if err == nil {
		err = t.store.stillOurs(key, mark, schema)
	}
	if err == nil {
		return nil
	}
	t.rollback()
	return t.fail("begin", err)
}

// rollback undoes; a connection on which that fails is closed with its release.
func (t *tx) rollback() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), t.store.patience)
	defer cancel()
	if !t.conn.IsClosed() && t.conn.PgConn().TxStatus() != 'I' {
		_, _ = t.conn.Exec(ctx, "ROLLBACK")
	}
}

// A commit whose answer was lost
//
// The connection may break after the commit was sent. Whether the server had heard of it
// is then asked for, and never guessed: it is committed where the rows are found that it
// left, with its ID and the time of its beginning. PostgreSQL also tells of a transaction's
// ID whether that was committed, but a server that crashed gives the ID of a transaction
// it has lost to another one. So that is asked only to see whether somebody is still at it.
// After a failover the rows of the server count that has taken over.

// commit writes what was held back, and commits, in one round trip. It does not end
// with the caller's context: what has begun is to be known.
func (t *tx) commit() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), t.store.patience)
	defer cancel()
	if t.mode.writes() {
		t.mark()
	}
	batch := &t.held
	var ended pgconn.CommandTag
	batch.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		ended = tag
		return nil
	})
	err := t.conn.SendBatch(ctx, batch).Close()
	switch {
	case err == nil && ended.String() == "COMMIT":
		return nil
	case err == nil:
		return record.Broken("commit", fmt.Errorf("the server says %s", ended))
	case !t.mode.writes():
		return t.fail("end", err)
	case code(err) != "" && !gone(err) && !t.conn.IsClosed():
		t.rollback()
		return t.fail("commit", err) // an answer: it was not
	}
	return t.outcome(err)
}

// keptMarks is for how many numbers a mark is kept: far more than are drawn while anybody
// may still look for it.
const keptMarks = 1 << 20

// mark leaves a row for a transaction that tells of nothing else.
func (t *tx) mark() {
	if t.told > 0 {
		return
	}
	t.held.Queue("INSERT INTO marks (seq, tx, at) VALUES (nextval('numbers'), $1, $2)", t.id, record.Stamp(t.now))
	if t.id%1024 == 0 { // now and then
		t.held.Queue("DELETE FROM marks WHERE seq < $1", t.drawn-keptMarks)
	}
}

// outcome finds out whether the transaction was committed: nil where it was, and a
// goneError where it was not, so that it may be run again. Where that cannot be known,
// the error says so.
func (t *tx) outcome(lost error) error {
	s := t.store
	// What is wrapped must not read as a connection that broke: it would be run again.
	unknown := func(why error) error {
		return &core.Error{Op: "commit", Kind: core.Transient,
			Err:  fmt.Errorf("%s: the connection broke (%s), and whether the change was committed is not known: %s", s.address.shown, told(lost).Error(), told(why).Error()),
			Hint: "look before you ask again; to ask again under the same ID does no harm"}
	}
	end := time.Now().Add(s.patience)
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		committed, err := t.committed()
		switch {
		case err == nil && committed:
			return nil
		case err == nil:
			return &goneError{lost}
		case !errors.As(err, new(*goneError)) && !errors.Is(err, errUnderWay):
			return unknown(err)
		}
		if time.Now().Add(wait).After(end) {
			return unknown(err)
		}
		if err := pause(t.ctx, wait); err != nil {
			return unknown(err)
		}
	}
}

// errUnderWay is a transaction that has neither been committed nor undone.
var errUnderWay = errors.New("the server is still at it")

// committed looks for what the transaction has left, once it has ended.
func (t *tx) committed() (found bool, err error) {
	conn, err := t.store.connection(t.ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	var status string
	err = conn.QueryRow(t.ctx, "SELECT coalesce(pg_xact_status($1::text::xid8), '')", fmt.Sprint(t.id)).Scan(&status)
	if status == "in progress" {
		return false, errUnderWay
	}
	if err == nil || code(err) == invalidParameter { // an ID to come: the server has lost it
		err = conn.QueryRow(t.ctx, "SELECT EXISTS (SELECT FROM (SELECT tx, at FROM events WHERE seq >= $1 UNION ALL SELECT tx, at FROM audit WHERE seq >= $1 UNION ALL SELECT tx, at FROM marks WHERE seq >= $1) left_rows WHERE tx = $2 AND at = $3)",
			t.drawn, t.id, record.Stamp(t.now)).Scan(&found)
	}
	if err != nil && (gone(err) || conn.Conn().IsClosed()) {
		err = &goneError{err}
	}
	return found, err
}
