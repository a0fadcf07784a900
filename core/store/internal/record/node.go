package record

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// NodeColumns are what Node reads, of the tables nodes n and inventory i.
const NodeColumns = "n.id, n.pool, n.state, n.reason, n.suspect, n.allocation, n.attempt, n.erases, n.since, n.version, i.spec, i.hardware"

// Node reads a row of NodeColumns.
func Node(row Row) (core.Node, error) {
	var n core.Node
	var since, version int64
	var spec, hardware []byte
	err := row.Scan(&n.ID, &n.Pool, &n.State, &n.Reason, &n.Suspect, &n.Allocation, &n.Attempt, &n.Erases, &since, &version, &spec, &hardware)
	if err != nil {
		return n, err
	}
	n.Since, n.Version = Moment(since), uint64(version)
	if err := json.Unmarshal(spec, &n.Spec); err != nil {
		return n, fmt.Errorf("spec of node %s: %w", n.ID, err)
	}
	if err := json.Unmarshal(hardware, &n.Hardware); err != nil {
		return n, fmt.Errorf("hardware of node %s: %w", n.ID, err)
	}
	return n, nil
}

// Inventory is a node's spec and hardware as documents.
func Inventory(n core.Node) (spec, hardware string, err error) {
	a, err := json.Marshal(n.Spec)
	if err != nil {
		return "", "", Broken("store a node", err)
	}
	b, err := json.Marshal(n.Hardware)
	if err != nil {
		return "", "", Broken("store a node", err)
	}
	return string(a), string(b), nil
}

// Identity are the texts that no other node may share with n: what its BMC says it is,
// and where that is reached.
func Identity(n core.Node) []string {
	keys := n.Spec.Identity.Keys()
	if n.Spec.BMC.URL != "" {
		keys = append(keys, "BMC "+n.Spec.BMC.Host())
	}
	return keys
}

// NoNode says that there is none with that ID.
func NoNode(id core.NodeID) error {
	return &core.Error{Op: "find", Node: id, Kind: core.NotFound, Err: fmt.Errorf("there is no node %q", id), Hint: "see 'metalpool node list'"}
}

// NodeExists refuses to enroll n under an ID that is taken.
func NodeExists(n core.Node) error {
	return &core.Error{Op: "enroll", Node: n.ID, Kind: core.Exists, Err: fmt.Errorf("there is a node %s already", n.ID), Hint: "choose another ID, or change that node with 'metalpool node set'"}
}

// SameServer refuses n, since the node other has key, one of its Identity.
func SameServer(n core.Node, other, key string) error {
	what, value, _ := strings.Cut(key, " ")
	return &core.Error{Op: "enroll", Node: n.ID, Kind: core.Exists, Err: fmt.Errorf("node %s has the same %s, %s", other, what, value),
		Hint: "it is the same server: change that node with 'metalpool node set', or retire it first"}
}
