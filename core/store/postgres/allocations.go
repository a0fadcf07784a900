package postgres

import (
	"errors"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

const selectAllocations = "SELECT " + record.AllocationColumns + " FROM allocations"

// Allocation locks the row. Where there is none it locks the ID before it looks: whoever
// came in between has ended then. (Only there, and none goes away that is there: a
// transaction may read thousands, and the server has room for some thousand locks on keys.)
func (t *tx) Allocation(id core.AllocationID) (core.Allocation, error) {
	a, found, err := t.settled("read an allocation", " WHERE id = $1", lockKey+" WHERE NOT EXISTS (SELECT FROM allocations WHERE id = $3)", []any{text(keyOf(id)), int64(t.store.schema), text(id)}, text(id))
	if err == nil && !found {
		t.lacks(keyOf(id))
		err = record.NoAllocation(id)
	}
	return a, err
}

// AllocationNamed locks the name, too: what is found may be released, and another have it.
func (t *tx) AllocationNamed(owner, name string) (core.Allocation, error) {
	a, found, err := t.settled("read an allocation", " WHERE owner = $1 AND name = $2 AND live", lockKey, []any{text(nameOf(owner, name)), int64(t.store.schema)}, text(owner), text(name))
	if err == nil && !found {
		t.lacks(nameOf(owner, name))
		err = record.NoMachine(owner, name)
	}
	return a, err
}

// settled reads the one allocation that is meant, behind the lock that an Update takes so
// that nobody else decides upon it, in one round trip.
func (t *tx) settled(op, where, lock string, key []any, args ...any) (a core.Allocation, found bool, err error) {
	if err := t.Usable(t.ctx); err != nil {
		return a, false, err
	}
	batch := &pgx.Batch{}
	if t.mode.writes() {
		batch.Queue(lock, key...)
	}
	batch.Queue(selectAllocations+where+t.locked(), args...).Query(func(rows pgx.Rows) (err error) {
		for rows.Next() && err == nil {
			found = true
			a, err = record.Allocation(rows)
		}
		return errors.Join(err, rows.Err())
	})
	if err := t.conn.SendBatch(t.ctx, batch).Close(); err != nil {
		return a, false, t.fail(op, err)
	}
	return a, found, nil
}

// What may not be there, and then come into being.
func keyOf(id core.AllocationID) string   { return "allocation " + string(id) }
func nameOf(owner, name string) string    { return "machine " + owner + "/" + name }
func documentOf(table, key string) string { return table + " " + key }

func (t *tx) Allocations(f core.AllocationFilter) iter.Seq2[core.Allocation, error] {
	var where record.Where
	if f.Owner != "" {
		where.And("owner = $%d", text(f.Owner))
	}
	if f.Pool != "" {
		where.And("pool = $%d", text(f.Pool))
	}
	states(&where, "state", f.States)
	// The index has only those that are live.
	if f.Live || (len(f.States) > 0 && !slices.ContainsFunc(f.States, core.State.Ended)) {
		where.Is("live")
	}
	if !f.EndsBy.IsZero() {
		where.And("live AND until > 0 AND until <= $%d", record.Stamp(f.EndsBy))
	}
	rows := list(t, "list allocations", record.Allocation, selectAllocations+where.String()+" ORDER BY seq", where.Args...)
	return func(yield func(core.Allocation, error) bool) {
		if f.Owner != "" {
			if err := t.forOwner(f.Owner); err != nil {
				yield(core.Allocation{}, err)
				return
			}
		}
		rows(yield)
	}
}

func (t *tx) InsertAllocation(a core.Allocation) error {
	document, err := record.Details(a)
	if err != nil {
		return err
	}
	rows, err := t.write("store an allocation", `INSERT INTO allocations (id, owner, name, pool, state, live, reason, node, version, created, deadline, until, ended, document)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING`,
		text(a.ID), text(a.Owner), text(a.Name), text(record.PoolOf(a)), text(a.State), !a.State.Ended(), text(a.Reason), text(a.Node),
		int64(a.Version), record.Stamp(a.CreatedAt), record.Stamp(a.Deadline), record.Stamp(a.Until), record.Stamp(a.EndedAt), document)
	if err == nil && rows == 0 {
		return t.refuseAllocation(a)
	}
	return err
}

// unblocked is that no other live allocation has the name or the node which this one is
// to have. Two that swap at one time are told apart by the unique indexes, and the later
// one is run again.
const unblocked = ` AND NOT EXISTS (SELECT FROM allocations o WHERE o.live AND o.id <> $1 AND o.owner = allocations.owner AND o.name = $3)
	AND NOT EXISTS (SELECT FROM allocations o WHERE o.live AND o.id <> $1 AND o.node = $7 AND o.node <> '')`

func (t *tx) SwapAllocation(a core.Allocation) error {
	const op = "swap an allocation"
	document, err := record.Details(a)
	if err != nil {
		return err
	}
	query := `UPDATE allocations SET name = $3, state = $4, live = $5, reason = $6, node = $7, deadline = $8, until = $9, ended = $10, document = $11, version = version + 1
		WHERE id = $1 AND version = $2`
	if !a.State.Ended() {
		query += unblocked
	}
	rows, err := t.write(op, query, text(a.ID), int64(a.Version), text(a.Name), text(a.State), !a.State.Ended(), text(a.Reason), text(a.Node), record.Stamp(a.Deadline), record.Stamp(a.Until), record.Stamp(a.EndedAt), document)
	if err != nil || rows > 0 {
		return err
	}
	current, err := t.read(op, "SELECT owner FROM allocations WHERE id = $1 AND version = $2", []any{text(a.ID), int64(a.Version)}, &a.Owner)
	if err != nil {
		return err
	}
	if !current || a.State.Ended() {
		return core.ErrConflict
	}
	return t.refuseAllocation(a)
}

// refuseAllocation says which other allocation stands in the way of a; or has the
// function run again where that one was not there when it looked.
func (t *tx) refuseAllocation(a core.Allocation) error {
	const op = "read an allocation"
	var id, name, state string
	found, err := t.read(op, "SELECT id, name, state FROM allocations WHERE owner = $1 AND name = $2 AND live AND id <> $3", []any{text(a.Owner), text(a.Name), text(a.ID)}, &id, &name, &state)
	if err == nil && found {
		err = t.cameIn(nameOf(a.Owner, a.Name))
	}
	if err != nil {
		return err
	}
	if found {
		return record.NameTaken(a, id, state)
	}
	found, err = t.read(op, "SELECT id, name, state FROM allocations WHERE node = $1 AND node <> '' AND live AND id <> $2", []any{text(a.Node), text(a.ID)}, &id, &name, &state)
	if err != nil {
		return err
	}
	if found {
		return record.NodeTaken(a, id, name)
	}
	if err := t.cameIn(keyOf(a.ID)); err != nil {
		return err
	}
	return record.AllocationExists(a)
}
