// Package record says what the stores have in common: how a row becomes a node, an
// allocation or an event, what is put into documents, and what callers are told of one
// that is missing or in the way. So a pool reads the same in SQLite and in PostgreSQL, and
// is copied between them whole. Long stories are shortened here as well. How other rows are found, locked and written is each store's own.
package record

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/metalpool/metalpool/core"
)

// Row is one of a query's, alone or among others.
type Row interface{ Scan(dest ...any) error }

// ErrClosed is what a store says once it was closed.
var ErrClosed = &core.Error{Op: "use the store", Kind: core.Internal, Err: errors.New("it was closed")}

// Broken wraps what should never happen and is no fault of the request.
func Broken(op string, err error) error {
	return &core.Error{Op: op, Kind: core.Internal, Err: err}
}

// Stamp is a time as it is stored: microseconds since 1970, and 0 for the zero time.
func Stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Moment is the time, in UTC, that was stored as stamp.
func Moment(stamp int64) time.Time {
	if stamp == 0 {
		return time.Time{}
	}
	return time.UnixMicro(stamp).UTC()
}

// Document reads a row that is one JSON document.
func Document[T any](row Row) (T, error) {
	var item T
	var document []byte
	if err := row.Scan(&document); err != nil {
		return item, err
	}
	return item, json.Unmarshal(document, &item)
}
