package sqlite

import (
	"encoding/json"
	"fmt"
	"iter"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// Leases and attempts: the right to work, and the work.

const selectLeases = "SELECT " + record.LeaseColumns + " FROM leases"

func (t *tx) Lease(id core.NodeID) (core.Lease, error) {
	for l, err := range list(t, "read a lease", record.Lease, selectLeases+" WHERE node = ?", string(id)) {
		return l, err
	}
	return core.Lease{}, nil
}

func (t *tx) Leases() iter.Seq2[core.Lease, error] {
	return list(t, "list leases", record.Lease, selectLeases+" ORDER BY node")
}

// SwapLease inserts the first lease of a node, which no row is generation 0 of.
func (t *tx) SwapLease(l core.Lease, before uint64) error {
	const op = "swap a lease"
	if err := record.Grows(op, l, before); err != nil {
		return err
	}
	if before == 0 {
		return t.swap(op, "INSERT INTO leases (node, holder, generation, expires) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (node) DO UPDATE SET holder = ?2, generation = ?3, expires = ?4 WHERE generation = 0",
			string(l.Node), l.Holder, int64(l.Generation), record.Stamp(l.Expires))
	}
	return t.swap(op, "UPDATE leases SET holder = ?, generation = ?, expires = ? WHERE node = ? AND generation = ?",
		l.Holder, int64(l.Generation), record.Stamp(l.Expires), string(l.Node), int64(before))
}

func (t *tx) Attempt(id core.AttemptID) (core.Attempt, error) {
	a, found, err := document[core.Attempt](t, "read an attempt", "SELECT document FROM attempts WHERE id = ?", string(id))
	if err == nil && !found {
		err = record.NoAttempt(id)
	}
	return a, err
}

func (t *tx) PutAttempt(a core.Attempt) error {
	return t.putDocument("store an attempt", "INSERT INTO attempts (id, document) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET document = ?2", string(a.ID), a)
}

func (t *tx) Attempts() iter.Seq2[core.Attempt, error] {
	return list(t, "list attempts", record.Document[core.Attempt], "SELECT document FROM attempts ORDER BY seq")
}

// document reads the one JSON document that the query yields.
func document[T any](t *tx, op, query, key string) (item T, found bool, err error) {
	var text []byte
	found, err = t.read(op, query, []any{key}, &text)
	if err != nil || !found {
		return item, found, err
	}
	if err := json.Unmarshal(text, &item); err != nil {
		return item, true, t.fail(op, fmt.Errorf("document %s: %w", key, err))
	}
	return item, true, nil
}

func (t *tx) putDocument(op, query, key string, item any) error {
	text, err := json.Marshal(item)
	if err != nil {
		return record.Broken(op, err)
	}
	_, err = t.write(op, query, key, string(text))
	return err
}
