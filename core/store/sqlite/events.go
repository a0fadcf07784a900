package sqlite

import (
	"iter"

	"github.com/metalpool/metalpool/core"
)

const eventColumns = "seq, at, node, allocation, attempt, generation, type, before, after, trigger, step, message, bytes, process"

func (t *tx) AddEvent(e core.Event) error {
	if t.imports != nil {
		return t.importEvent(e)
	}
	_, err := t.write("store an event", "INSERT INTO events (at, node, allocation, attempt, generation, type, before, after, trigger, step, message, bytes, process) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		stamp(t.now), string(e.Node), string(e.Allocation), string(e.Attempt), int64(e.Generation), string(e.Type), string(e.From), string(e.To), string(e.On), e.Step, e.Message, int64(e.Bytes), e.By)
	return err
}

func scanEvent(row scanner) (core.Event, error) {
	var e core.Event
	var at int64
	err := row.Scan(&e.Seq, &at, &e.Node, &e.Allocation, &e.Attempt, &e.Generation, &e.Type, &e.From, &e.To, &e.On, &e.Step, &e.Message, &e.Bytes, &e.By)
	e.At = moment(at)
	return e, err
}

func (t *tx) Events(f core.EventFilter) iter.Seq2[core.Event, error] {
	where, args := conditions{}, []any{}
	if f.Node != "" {
		// The indexes hold only events of some node or allocation; SQLite uses them
		// where the query says so in the same words.
		where.and("node = ? AND node <> ''")
		args = append(args, string(f.Node))
	}
	if f.Allocation != "" {
		where.and("allocation = ? AND allocation <> ''")
		args = append(args, string(f.Allocation))
	}
	if f.After > 0 {
		where.and("seq > ?")
		args = append(args, f.After)
	}
	query := "SELECT " + eventColumns + " FROM events" + where.String() + " ORDER BY seq"
	if f.Limit > 0 {
		query = "SELECT * FROM (" + query + " DESC LIMIT ?) ORDER BY seq"
		args = append(args, f.Limit)
	}
	return list(t, "list events", scanEvent, query, args...)
}
