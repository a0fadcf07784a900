package sqlite

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// CROSS JOIN keeps SQLite from starting with the inventory.
const fromNodes = " FROM nodes n CROSS JOIN inventory i USING (seq)"

func (t *tx) Node(id core.NodeID) (core.Node, error) {
	var n core.Node
	for found, err := range list(t, "read a node", record.Node, "SELECT "+record.NodeColumns+fromNodes+" WHERE n.id = ?", string(id)) {
		if err != nil {
			return n, err
		}
		n = found
	}
	if n.ID == "" {
		return n, record.NoNode(id)
	}
	return n, nil
}

func (t *tx) Nodes(f core.NodeFilter) iter.Seq2[core.Node, error] {
	var where record.Where
	if f.Pool != "" {
		where.And("n.pool = ?%d", f.Pool)
	}
	states(&where, "n.state", f.States)
	return list(t, "list nodes", record.Node, "SELECT "+record.NodeColumns+fromNodes+where.String()+" ORDER BY n.id", where.Args...)
}

// Candidates costs the same for the first node whether the pool has ten or ten
// thousand: the index leads to the next worth, and its nodes are read as the loop asks.
func (t *tx) Candidates(pool string) iter.Seq2[core.Node, error] {
	return func(yield func(core.Node, error) bool) {
		var worth string // of the nodes that were listed last
		for {
			var next string
			var first, last int64
			found, err := t.read("find candidates", cheapest, []any{pool, worth}, &next, &first)
			if found && err == nil {
				_, err = t.read("find candidates", lastOfWorth, []any{pool, next}, &last)
			}
			if err != nil {
				yield(core.Node{}, err)
				return
			}
			if !found {
				return
			}
			worth = next
			start := first + rand.Int64N(last-first+1)
			for n, err := range list(t, "find candidates", record.Node, candidates, pool, worth, start) {
				if !yield(n, err) {
					return
				}
			}
		}
	}
}

const (
	available   = "n.state = '" + string(core.Available) + "' AND n.pool = ?1"
	cheapest    = "SELECT worth, seq FROM nodes n WHERE " + available + " AND worth > ?2 ORDER BY worth, seq LIMIT 1"
	lastOfWorth = "SELECT seq FROM nodes n WHERE " + available + " AND worth = ?2 ORDER BY seq DESC LIMIT 1"
	candidates  = "SELECT " + record.NodeColumns + fromNodes + " WHERE " + available + " AND n.worth = ?2 AND n.seq >= ?3" +
		" UNION ALL SELECT " + record.NodeColumns + fromNodes + " WHERE " + available + " AND n.worth = ?2 AND n.seq < ?3"
)

func (t *tx) InsertNode(n core.Node) error {
	const op = "store a node"
	spec, hardware, err := record.Inventory(n)
	if err != nil {
		return err
	}
	if err := t.unshared(n); err != nil {
		return err
	}
	_, err = t.write(op, "INSERT INTO nodes (id, pool, state, reason, suspect, allocation, attempt, erases, since, version, worth) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		string(n.ID), n.Pool, string(n.State), n.Reason, n.Suspect, string(n.Allocation), string(n.Attempt), n.Erases, record.Stamp(n.Since), int64(n.Version), n.Hardware.Worth())
	if duplicate(err) {
		return record.NodeExists(n)
	}
	if err != nil {
		return err
	}
	if _, err := t.write(op, "INSERT INTO inventory (seq, spec, hardware) SELECT seq, ?, ? FROM nodes WHERE id = ?", spec, hardware, string(n.ID)); err != nil {
		return err
	}
	return t.identify(n)
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
	rows, err := t.write(op, "UPDATE nodes SET pool = ?, worth = ? WHERE id = ?", n.Pool, n.Hardware.Worth(), string(n.ID))
	if err != nil {
		return err
	}
	if rows == 0 {
		return record.NoNode(n.ID)
	}
	if _, err := t.write(op, "UPDATE inventory SET spec = ?, hardware = ? WHERE seq = (SELECT seq FROM nodes WHERE id = ?)", spec, hardware, string(n.ID)); err != nil {
		return err
	}
	if _, err := t.write(op, "DELETE FROM identities WHERE node = (SELECT seq FROM nodes WHERE id = ?)", string(n.ID)); err != nil {
		return err
	}
	return t.identify(n)
}

// unshared refuses n where another node has its identity. It looks before anything
// is written, so that a refusal leaves nothing behind though fn goes on.
func (t *tx) unshared(n core.Node) error {
	for _, key := range record.Identity(n) {
		var other string
		taken, err := t.read("read an identity", "SELECT n.id FROM identities k JOIN nodes n ON n.seq = k.node WHERE k.key = ? AND n.id <> ?", []any{key, string(n.ID)}, &other)
		if err != nil {
			return err
		}
		if taken {
			return record.SameServer(n, other, key)
		}
	}
	return nil
}

// identify records what identifies n. A key that n itself has twice is one.
func (t *tx) identify(n core.Node) error {
	for _, key := range record.Identity(n) {
		if _, err := t.write("store a node's identity", "INSERT INTO identities (key, node) SELECT ?, seq FROM nodes WHERE id = ? ON CONFLICT DO NOTHING", key, string(n.ID)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) SwapNode(n core.Node) error {
	return t.swap("swap a node", "UPDATE nodes SET state = ?, reason = ?, suspect = ?, allocation = ?, attempt = ?, erases = ?, since = ?, version = version + 1 WHERE id = ? AND version = ?",
		string(n.State), n.Reason, n.Suspect, string(n.Allocation), string(n.Attempt), n.Erases, record.Stamp(n.Since), string(n.ID), int64(n.Version))
}

func (t *tx) DeleteNode(id core.NodeID) error {
	rows, err := t.write("delete a node", "DELETE FROM nodes WHERE id = ?", string(id))
	if err == nil && rows == 0 {
		return record.NoNode(id)
	}
	return err
}

// states adds that column is one of states, where any are given.
func states(where *record.Where, column string, states []core.State) {
	if len(states) == 0 {
		return
	}
	var among []string
	for _, s := range states {
		where.Args = append(where.Args, string(s))
		among = append(among, fmt.Sprintf("?%d", len(where.Args)))
	}
	where.Is(column + " IN (" + strings.Join(among, ", ") + ")")
}
