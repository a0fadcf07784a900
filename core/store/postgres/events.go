package postgres

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/metalpool/metalpool/core"
)

// How events are numbered
//
// Whoever follows events asks for those after the last one he has seen, and must miss
// none. Numbers of a sequence are given out in one order and committed in another: who
// has seen 8 would never see a 7 that is committed later. So the number of an event is
// the ID of its transaction, which PostgreSQL gives out in the order of their beginning,
// and its place in there. A View then tells only of transactions that are older than
// every one under way: none of those can still come in before what it told. Nobody waits
// for anybody.
//
// The server's transaction IDs begin anew where a store is restored on another server.
// The number that they are counted from, kept in meta, is raised then.
const (
	numberBits  = 16
	numberLimit = 1<<numberBits - 1 // of one transaction
)

// selectOrder reads what the numbers of events are counted from.
const selectOrder = "coalesce((SELECT value::bigint FROM meta WHERE key = 'event order'), 0)"

// selectNext is the least number that an event may get from now on, and selectBehind
// whether that is too little.
var (
	selectNext   = fmt.Sprintf("%s + (pg_snapshot_xmax(pg_current_snapshot())::text::bigint << %d)", selectOrder, numberBits)
	selectLast   = "greatest((SELECT max(seq) FROM events), (SELECT max(seq) FROM audit), (SELECT max(seq) FROM marks), 0)"
	selectBehind = selectLast + " >= " + selectNext
)

// keepOrder sees to it that new events come after all that there are. Nobody else
// writes meanwhile.
func keepOrder(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `INSERT INTO meta (key, value)
		SELECT 'event order', (`+selectLast+` + 1 - (`+selectNext+`) + `+selectOrder+`)::text WHERE `+selectBehind+`
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`)
	return err
}

// selectHorizon reads the first number that a View must not tell yet: that of the
// oldest transaction under way which may be one of ours. Other programs' writing on
// the same server, a dump that is restored for hours, is no obstacle: theirs are known by
// that they lack the lock which ours take before they get an ID. One that has ended since
// the View's picture was taken can no longer be told from ours, and counts as such.
//
// All locks are read at one time, so that none is half gone.
const selectHorizon = `WITH locks AS MATERIALIZED (SELECT * FROM pg_locks WHERE granted),
	others AS (SELECT transactionid::text::bigint AS id FROM locks l WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND NOT EXISTS
		(SELECT FROM locks w WHERE w.virtualtransaction = l.virtualtransaction AND w.locktype = 'advisory'
			AND w.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND w.classid::bigint = $1 AND w.objid::bigint = $2 AND w.objsubid = 2))
	SELECT coalesce((SELECT min(id) FROM (SELECT x::text::bigint AS id FROM pg_snapshot_xip(pg_current_snapshot()) x) running WHERE id & 4294967295 NOT IN (SELECT id FROM others)),
		pg_snapshot_xmax(pg_current_snapshot())::text::bigint), ` + selectOrder

// untold is the first number that this View does not tell.
func (t *tx) untold() (int64, error) {
	if t.horizon > 0 {
		return t.horizon, nil
	}
	var oldest, order int64
	if _, err := t.read("list events", selectHorizon, []any{int64(writers), int64(t.store.schema)}, &oldest, &order); err != nil {
		return 0, err
	}
	t.horizon = order + oldest<<numberBits
	return t.horizon, nil
}

const (
	eventColumns = "seq, at, node, allocation, attempt, generation, type, before, after, trigger, step, message, bytes, process"
	insertEvent  = "INSERT INTO events (" + eventColumns + ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
)

// number is the next one for what this transaction tells.
func (t *tx) number(op string) (int64, error) {
	if t.told >= numberLimit {
		return 0, t.fail(op, fmt.Errorf("a transaction tells of at most %d events", numberLimit))
	}
	t.told++
	return t.first() - 1 + t.told, nil
}

// first is the first number of this transaction.
func (t *tx) first() int64 { return t.order + t.id<<numberBits + 1 }

func (t *tx) AddEvent(e core.Event) (err error) {
	const op = "store an event"
	if e.Seq, err = t.number(op); err != nil {
		return err
	}
	e.At = t.now
	return t.hold(op, insertEvent, eventRow(e)...)
}

func eventRow(e core.Event) []any {
	return []any{e.Seq, stamp(e.At), text(e.Node), text(e.Allocation), text(e.Attempt), int64(e.Generation), text(e.Type), text(e.From), text(e.To), text(e.On), text(e.Step), text(e.Message), int64(e.Bytes), text(e.By)}
}

func scanEvent(row scanner) (core.Event, error) {
	var e core.Event
	var at, generation, bytes int64
	err := row.Scan(&e.Seq, &at, &e.Node, &e.Allocation, &e.Attempt, &generation, &e.Type, &e.From, &e.To, &e.On, &e.Step, &e.Message, &bytes, &e.By)
	e.At, e.Generation, e.Bytes = moment(at), uint64(generation), core.Bytes(bytes)
	return e, err
}

func (t *tx) Events(f core.EventFilter) iter.Seq2[core.Event, error] {
	var where conditions
	if f.Node != "" {
		// The indexes hold only events of some node or allocation; PostgreSQL uses them
		// where the query says so in the same words.
		where.and("node = $%d AND node <> ''", text(f.Node))
	}
	if f.Allocation != "" {
		where.and("allocation = $%d AND allocation <> ''", text(f.Allocation))
	}
	return numbered(t, "list events", scanEvent, "SELECT "+eventColumns+" FROM events", where, f.After, f.Limit)
}

// numbered lists what is numbered like events: in that order, after a number, the last
// ones up to a limit.
func numbered[T any](t *tx, op string, scan func(scanner) (T, error), query string, where conditions, after int64, limit int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		err := t.usable()
		where := where
		if err == nil && t.mode == reading {
			var untold int64
			untold, err = t.untold()
			where.and("seq < $%d", untold)
		} else if err == nil {
			err = t.flush(op)
		}
		if err != nil {
			var zero T
			yield(zero, err)
			return
		}
		if after > 0 {
			where.and("seq > $%d", after)
		}
		query := query + where.String() + " ORDER BY seq"
		if limit > 0 {
			where.args = append(where.args, limit)
			query = fmt.Sprintf("SELECT * FROM (%s DESC LIMIT $%d) last ORDER BY seq", query, len(where.args))
		}
		list(t, op, scan, query, where.args...)(yield)
	}
}
