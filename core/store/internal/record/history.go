package record

import (
	"encoding/json"

	"github.com/metalpool/metalpool/core"
)

// EventColumns are what Event reads.
const EventColumns = "seq, at, node, allocation, attempt, generation, type, before, after, trigger, step, message, bytes, process"

// Event reads a row of EventColumns.
func Event(row Row) (core.Event, error) {
	var e core.Event
	var at, generation, bytes int64
	err := row.Scan(&e.Seq, &at, &e.Node, &e.Allocation, &e.Attempt, &generation, &e.Type, &e.From, &e.To, &e.On, &e.Step, &e.Message, &bytes, &e.By)
	e.At, e.Generation, e.Bytes = Moment(at), uint64(generation), core.Bytes(bytes)
	return e, err
}

// AuditColumns are what Audit reads.
const AuditColumns = "seq, at, document"

// Audit reads a row of AuditColumns.
func Audit(row Row) (core.AuditEntry, error) {
	var (
		e        core.AuditEntry
		seq, at  int64
		document []byte
	)
	if err := row.Scan(&seq, &at, &document); err != nil {
		return e, err
	}
	err := json.Unmarshal(document, &e)
	e.Seq, e.At = seq, Moment(at)
	return e, err
}
