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
	return numbered(t, "list events", record.Event, "SELECT "+record.EventColumns+" FROM events", where, span{f.After, f.Limit, f.First})
}

// span is which are listed of what is numbered: those after a number, of these the last
// ones, and of these the first ones. 0 is all.
type span struct {
	after       int64
	last, first int
}

// numbered lists a span of what is numbered like events, in that order.
func numbered[T any](t *tx, op string, scan func(record.Row) (T, error), query string, where record.Where, s span) iter.Seq2[T, error] {
	if s.after > 0 {
		where.And("seq > ?%d", s.after)
	}
	query += where.String() + " ORDER BY seq"
	if s.last > 0 {
		query = "SELECT * FROM (" + query + " DESC LIMIT ?) ORDER BY seq"
		where.Args = append(where.Args, s.last)
	}
	if s.first > 0 {
		query += " LIMIT ?"
		where.Args = append(where.Args, s.first)
	}
	return list(t, op, scan, query, where.Args...)
}
