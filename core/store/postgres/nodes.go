package postgres

import (
	"fmt"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

const fromNodes = " FROM nodes n JOIN inventory i ON i.node = n.id"

// Node locks the row first: what was waited for is then seen in both tables.
func (t *tx) Node(id core.NodeID) (n core.Node, err error) {
	const op = "read a node"
	if err := t.Usable(t.ctx); err != nil {
		return n, err
	}
	batch := &pgx.Batch{}
	if t.mode.writes() {
		batch.Queue("SELECT FROM nodes WHERE id = $1 FOR NO KEY UPDATE", text(id))
	}
	found := false
	batch.Queue("SELECT "+record.NodeColumns+fromNodes+" WHERE n.id = $1", text(id)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			found = true
			if n, err = record.Node(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err := t.conn.SendBatch(t.ctx, batch).Close(); err != nil {
		return n, t.fail(op, err)
	}
	if !found {
		t.lacks("node " + string(id))
		return n, record.NoNode(id)
	}
	return n, nil
}

func (t *tx) Nodes(f core.NodeFilter) iter.Seq2[core.Node, error] {
	var where record.Where
	if f.Pool != "" {
		where.And("n.pool = $%d", text(f.Pool))
	}
	states(&where, "n.state", f.States)
	return list(t, "list nodes", record.Node, "SELECT "+record.NodeColumns+fromNodes+where.String()+" ORDER BY n.id", where.Args...)
}

func (t *tx) InsertNode(n core.Node) error {
	const op = "store a node"
	spec, hardware, err := record.Inventory(n)
	if err != nil {
		return err
	}
	if err := t.unshared(n); err != nil {
		return err
	}
	rows, err := t.write(op, `INSERT INTO nodes (id, pool, state, reason, suspect, allocation, attempt, erases, since, version, worth)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
		text(n.ID), text(n.Pool), text(n.State), text(n.Reason), n.Suspect, text(n.Allocation), text(n.Attempt), int64(n.Erases), record.Stamp(n.Since), int64(n.Version), n.Hardware.Worth())
	if err != nil {
		return err
	}
	if rows == 0 {
		if err := t.cameIn("node " + string(n.ID)); err != nil {
			return err
		}
		return record.NodeExists(n)
	}
	if _, err := t.write(op, "INSERT INTO inventory (node, spec, hardware) VALUES ($1, $2, $3)", text(n.ID), spec, hardware); err != nil {
		return err
	}
	return t.identify(n, identifying(n))
}

// PutSpec also frees the identity that the node had before.
func (t *tx) PutSpec(n core.Node) error {
	const op = "store a node's spec"
	spec, hardware, err := record.Inventory(n)
	if err != nil {
		return err
	}
	if err := t.unshared(n); err != nil {
		return err
	}
	rows, err := t.write(op, "UPDATE nodes SET pool = $2, worth = $3 WHERE id = $1", text(n.ID), text(n.Pool), n.Hardware.Worth())
	if err != nil {
		return err
	}
	if rows == 0 {
		return record.NoNode(n.ID)
	}
	if _, err := t.write(op, "UPDATE inventory SET spec = $2, hardware = $3 WHERE node = $1", text(n.ID), spec, hardware); err != nil {
		return err
	}
	keys := identifying(n)
	if _, err := t.write(op, "DELETE FROM identities WHERE node = $1 AND key <> ALL ($2)", text(n.ID), keys); err != nil {
		return err
	}
	return t.identify(n, keys)
}

// identifying are the texts that no other node may share with n, each once.
func identifying(n core.Node) []string {
	keys := []string{}
	for _, key := range record.Identity(n) {
		keys = append(keys, text(key))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// unshared refuses n where another node has its identity. It looks before anything
// is written, so that a refusal leaves nothing behind though fn goes on.
func (t *tx) unshared(n core.Node) error {
	if err := t.writable("store a node"); err != nil {
		return err
	}
	var key, other string
	taken, err := t.read("read an identity", "SELECT key, node FROM identities WHERE key = ANY ($1) AND node <> $2 LIMIT 1", []any{identifying(n), text(n.ID)}, &key, &other)
	if err != nil || !taken {
		return err
	}
	return record.SameServer(n, other, key)
}

// identify records what identifies n. Another node that came in since unshared looked
// is found when the function is run again.
func (t *tx) identify(n core.Node, keys []string) error {
	const op = "store a node's identity"
	rows, err := t.write(op, `INSERT INTO identities (key, node) SELECT key, $2 FROM unnest($1::text[]) AS key
		ON CONFLICT (key) DO UPDATE SET node = $2 WHERE identities.node = $2`, keys, text(n.ID))
	if err == nil && int(rows) < len(keys) {
		return t.rerun(fmt.Errorf("another node has the identity of %s by now", n.ID))
	}
	return err
}

func (t *tx) SwapNode(n core.Node) error {
	return t.swap("swap a node", `UPDATE nodes SET state = $3, reason = $4, suspect = $5, allocation = $6, attempt = $7, erases = $8, since = $9, version = version + 1
		WHERE id = $1 AND version = $2`,
		text(n.ID), int64(n.Version), text(n.State), text(n.Reason), n.Suspect, text(n.Allocation), text(n.Attempt), int64(n.Erases), record.Stamp(n.Since))
}

func (t *tx) DeleteNode(id core.NodeID) error {
	rows, err := t.write("delete a node", "DELETE FROM nodes WHERE id = $1", text(id))
	if err == nil && rows == 0 {
		return record.NoNode(id)
	}
	return err
}

// states adds that column is one of states, where any are given. PostgreSQL takes a list that
// it does not know for a long one, and would rather plan each query anew.
func states(where *record.Where, column string, states []core.State) {
	switch len(states) {
	case 0:
		return
	case 1:
		where.And(column+" = $%d", text(states[0]))
		return
	}
	var names []string
	for _, s := range states {
		names = append(names, text(s))
	}
	where.And(column+" = ANY ($%d)", names)
}
