package sqlite

import (
	"iter"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

func (t *tx) AddEvent(e core.Event) error {
	if t.imports != nil {
		return t.importEvent(e)
	}
	e = e.Bounded()
	t.grown.Add(e)
	_, err := t.write("store an event", "INSERT INTO events (at, node, allocation, attempt, generation, type, before, after, trigger, step, message, bytes, process) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		record.Stamp(t.now), string(e.Node), string(e.Allocation), string(e.Attempt), int64(e.Generation), string(e.Type), string(e.From), string(e.To), string(e.On), e.Step, e.Message, int64(e.Bytes), e.By)
	return err
}

func (t *tx) Events(f core.EventFilter) iter.Seq2[core.Event, error] {
	var where record.Where
	if f.Node != "" {
		// The indexes hold only events of some node or allocation; SQLite uses them
		// where the query says so in the same words.
		where.And("node = ?%d AND node <> ''", string(f.Node))
	}
	if f.Allocation != "" {
		where.And("allocation = ?%d AND allocation <> ''", string(f.Allocation))
	}
	if f.Owner != "" {
		where.And("allocation IN (SELECT id FROM allocations WHERE owner = ?%d) AND allocation <> ''", f.Owner)
	}
	if !f.Since.IsZero() {
		where.And("at >= ?%d", record.Stamp(f.Since))
	}
	return numbered(t, "list events", record.Event, "SELECT "+record.EventColumns+" FROM events", where, f.After, f.Limit)
}

// numbered lists what is numbered like events: in that order, after a number, the last
// ones up to a limit.
func numbered[T any](t *tx, op string, scan func(record.Row) (T, error), query string, where record.Where, after int64, limit int) iter.Seq2[T, error] {
	if after > 0 {
		where.And("seq > ?%d", after)
	}
	query += where.String() + " ORDER BY seq"
	if limit > 0 {
		query = "SELECT * FROM (" + query + " DESC LIMIT ?) ORDER BY seq"
		where.Args = append(where.Args, limit)
	}
	return list(t, op, scan, query, where.Args...)
}
