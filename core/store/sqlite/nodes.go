package sqlite

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"

	"github.com/metalpool/metalpool/core"
)

const nodeColumns = "n.id, n.pool, n.state, n.reason, n.suspect, n.allocation, n.attempt, n.erases, n.since, n.version, i.spec, i.hardware"

// CROSS JOIN keeps SQLite from starting with the inventory.
const fromNodes = " FROM nodes n CROSS JOIN inventory i USING (seq)"

func scanNode(row scanner) (core.Node, error) {
	var n core.Node
	var since int64
	var spec, hardware []byte
	err := row.Scan(&n.ID, &n.Pool, &n.State, &n.Reason, &n.Suspect, &n.Allocation, &n.Attempt, &n.Erases, &since, &n.Version, &spec, &hardware)
	if err != nil {
		return n, err
	}
	n.Since = moment(since)
	if err := json.Unmarshal(spec, &n.Spec); err != nil {
		return n, fmt.Errorf("spec of node %s: %w", n.ID, err)
	}
	if err := json.Unmarshal(hardware, &n.Hardware); err != nil {
		return n, fmt.Errorf("hardware of node %s: %w", n.ID, err)
	}
	return n, nil
}

func (t *tx) Node(id core.NodeID) (core.Node, error) {
	var n core.Node
	for found, err := range list(t, "read a node", scanNode, "SELECT "+nodeColumns+fromNodes+" WHERE n.id = ?", string(id)) {
		if err != nil {
			return n, err
		}
		n = found
	}
	if n.ID == "" {
		return n, noNode(id)
	}
	return n, nil
}

func noNode(id core.NodeID) error {
	return &core.Error{Op: "find", Node: id, Kind: core.NotFound, Err: fmt.Errorf("there is no node %q", id), Hint: "see 'metalpool node list'"}
}

func (t *tx) Nodes(f core.NodeFilter) iter.Seq2[core.Node, error] {
	where, args := conditions{}, []any{}
	if f.Pool != "" {
		where.and("n.pool = ?")
		args = append(args, f.Pool)
	}
	args = where.states("n.state", f.States, args)
	return list(t, "list nodes", scanNode, "SELECT "+nodeColumns+fromNodes+where.String()+" ORDER BY n.id", args...)
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
			for n, err := range list(t, "find candidates", scanNode, candidates, pool, worth, start) {
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
	candidates  = "SELECT " + nodeColumns + fromNodes + " WHERE " + available + " AND n.worth = ?2 AND n.seq >= ?3" +
		" UNION ALL SELECT " + nodeColumns + fromNodes + " WHERE " + available + " AND n.worth = ?2 AND n.seq < ?3"
)

func (t *tx) InsertNode(n core.Node) error {
	const op = "store a node"
	spec, hardware, err := documents(n)
	if err != nil {
		return err
	}
	if err := t.unshared(n); err != nil {
		return err
	}
	_, err = t.write(op, "INSERT INTO nodes (id, pool, state, reason, suspect, allocation, attempt, erases, since, version, worth) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		string(n.ID), n.Pool, string(n.State), n.Reason, n.Suspect, string(n.Allocation), string(n.Attempt), n.Erases, stamp(n.Since), int64(n.Version), n.Hardware.Worth())
	if duplicate(err) {
		return &core.Error{Op: "enroll", Node: n.ID, Kind: core.Exists, Err: fmt.Errorf("there is a node %s already", n.ID), Hint: "choose another ID, or change that node with 'metalpool node set'"}
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
	spec, hardware, err := documents(n)
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
		return noNode(n.ID)
	}
	if _, err := t.write(op, "UPDATE inventory SET spec = ?, hardware = ? WHERE seq = (SELECT seq FROM nodes WHERE id = ?)", spec, hardware, string(n.ID)); err != nil {
		return err
	}
	if _, err := t.write(op, "DELETE FROM identities WHERE node = (SELECT seq FROM nodes WHERE id = ?)", string(n.ID)); err != nil {
		return err
	}
	return t.identify(n)
}

// identifying are the texts that no other node may share with n.
func identifying(n core.Node) []string {
	keys := n.Spec.Identity.Keys()
	if n.Spec.BMC.URL != "" {
		keys = append(keys, "BMC "+n.Spec.BMC.Host())
	}
	return keys
}

// unshared refuses n where another node has its identity. It looks before anything
// is written, so that a refusal leaves nothing behind though fn goes on.
func (t *tx) unshared(n core.Node) error {
	for _, key := range identifying(n) {
		var other string
		taken, err := t.read("read an identity", "SELECT n.id FROM identities k JOIN nodes n ON n.seq = k.node WHERE k.key = ? AND n.id <> ?", []any{key, string(n.ID)}, &other)
		if err != nil {
			return err
		}
		if taken {
			what, value, _ := strings.Cut(key, " ")
			return &core.Error{Op: "enroll", Node: n.ID, Kind: core.Exists, Err: fmt.Errorf("node %s has the same %s, %s", other, what, value),
				Hint: "it is the same server: change that node with 'metalpool node set', or retire it first"}
		}
	}
	return nil
}

// identify records what identifies n. A key that n itself has twice is one.
func (t *tx) identify(n core.Node) error {
	for _, key := range identifying(n) {
		if _, err := t.write("store a node's identity", "INSERT INTO identities (key, node) SELECT ?, seq FROM nodes WHERE id = ? ON CONFLICT DO NOTHING", key, string(n.ID)); err != nil {
			return err
		}
	}
	return nil
}

func documents(n core.Node) (spec, hardware string, err error) {
	a, err := json.Marshal(n.Spec)
	if err != nil {
		return "", "", broken("store a node", err)
	}
	b, err := json.Marshal(n.Hardware)
	if err != nil {
		return "", "", broken("store a node", err)
	}
	return string(a), string(b), nil
}

func (t *tx) SwapNode(n core.Node) error {
	return t.swap("swap a node", "UPDATE nodes SET state = ?, reason = ?, suspect = ?, allocation = ?, attempt = ?, erases = ?, since = ?, version = version + 1 WHERE id = ? AND version = ?",
		string(n.State), n.Reason, n.Suspect, string(n.Allocation), string(n.Attempt), n.Erases, stamp(n.Since), string(n.ID), int64(n.Version))
}

func (t *tx) DeleteNode(id core.NodeID) error {
	rows, err := t.write("delete a node", "DELETE FROM nodes WHERE id = ?", string(id))
	if err == nil && rows == 0 {
		return noNode(id)
	}
	return err
}

// conditions is a WHERE under construction.
type conditions []string

func (c *conditions) and(condition string) { *c = append(*c, condition) }

// states adds that column is one of states, where any are given.
func (c *conditions) states(column string, states []core.State, args []any) []any {
	if len(states) == 0 {
		return args
	}
	c.and(column + " IN (?" + strings.Repeat(", ?", len(states)-1) + ")")
	for _, s := range states {
		args = append(args, string(s))
	}
	return args
}

func (c conditions) String() string {
	if len(c) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c, " AND ")
}
