package postgres

import (
	"encoding/json"
	"fmt"
	"iter"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// Leases and attempts: the right to work, and the work.

const selectLeases = "SELECT " + record.LeaseColumns + " FROM leases"

// Lease is locked where it is read to be written under: that is the fence.
func (t *tx) Lease(id core.NodeID) (core.Lease, error) {
	l, _, err := one(t, "read a lease", record.Lease, selectLeases+" WHERE node = $1"+t.locked(), text(id))
	return l, err
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
		return t.swap(op, "INSERT INTO leases (node, holder, generation, expires) VALUES ($1, $2, $3, $4) ON CONFLICT (node) DO UPDATE SET holder = $2, generation = $3, expires = $4 WHERE leases.generation = 0",
			text(l.Node), text(l.Holder), int64(l.Generation), record.Stamp(l.Expires))
	}
	return t.swap(op, "UPDATE leases SET holder = $3, generation = $4, expires = $5 WHERE node = $1 AND generation = $2",
		text(l.Node), int64(before), text(l.Holder), int64(l.Generation), record.Stamp(l.Expires))
}

func (t *tx) Attempt(id core.AttemptID) (core.Attempt, error) {
	a, found, err := document[core.Attempt](t, "read an attempt", "attempts", "id", string(id))
	if err == nil && !found {
		err = record.NoAttempt(id)
	}
	return a, err
}

func (t *tx) PutAttempt(a core.Attempt) error {
	return t.putDocument("store an attempt", "attempts", "id", string(a.ID), a)
}

func (t *tx) Attempts() iter.Seq2[core.Attempt, error] {
	return list(t, "list attempts", record.Document[core.Attempt], "SELECT document FROM attempts ORDER BY seq")
}

// document reads one of a table's JSON documents.
func document[T any](t *tx, op, table, column, key string) (item T, found bool, err error) {
	var stored string
	found, err = t.read(op, "SELECT document FROM "+table+" WHERE "+column+" = $1", []any{text(key)}, &stored)
	switch {
	case err != nil:
		return item, found, err
	case !found:
		t.lacks(documentOf(table, key))
		return item, false, nil
	case t.mode.writes():
		if t.seen == nil {
			t.seen = map[string]string{}
		}
		t.seen[documentOf(table, key)] = stored
	}
	if err := json.Unmarshal([]byte(stored), &item); err != nil {
		return item, true, t.fail(op, fmt.Errorf("document %s: %w", key, err))
	}
	return item, true, nil
}

// putDocument writes a document, unless another transaction has written it since this
// one read it: then this one is run again.
func (t *tx) putDocument(op, table, column, key string, item any) error {
	written, err := json.Marshal(item)
	if err != nil {
		return record.Broken(op, err)
	}
	what := documentOf(table, key)
	insert := "INSERT INTO " + table + " (" + column + ", document) VALUES ($1, $2) ON CONFLICT (" + column + ") DO "
	args := []any{text(key), string(written)}
	before, read := t.seen[what]
	switch {
	case read:
		insert += "UPDATE SET document = $2 WHERE " + table + ".document = $3"
		args = append(args, before)
	case t.absent[what]:
		insert += "NOTHING"
	default:
		insert += "UPDATE SET document = $2"
	}
	rows, err := t.write(op, insert, args...)
	if err != nil {
		return err
	}
	if rows == 0 {
		return t.rerun(fmt.Errorf("%s was changed meanwhile", what))
	}
	if read || t.absent[what] {
		delete(t.absent, what)
		if t.seen == nil {
			t.seen = map[string]string{}
		}
		t.seen[what] = string(written)
	}
	return nil
}
