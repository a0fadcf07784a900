package storetest

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// same compares all of two values.
func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// server is an Available node that shares nothing with another number's.
func server(number int) core.Node {
	return core.Node{
		ID:    core.NodeID(fmt.Sprintf("node-%05d", number)),
		Pool:  core.DefaultPool,
		State: core.Available,
		Spec: core.NodeSpec{
			Labels:   map[string]string{"rack": fmt.Sprint(number / 40)},
			BMC:      core.Endpoint{Backend: "redfish", URL: fmt.Sprintf("https://bmc-%d.example", number), User: "root"},
			Identity: core.Identity{UUID: fmt.Sprintf("4c4c4544-0000-1111-8000-%012d", number), Serial: fmt.Sprintf("CZ%06dXX", number)},
		},
		Hardware: core.Hardware{Arch: "amd64", CPUs: 64, Memory: 256 * core.GiB, Disks: []core.Disk{{Serial: fmt.Sprintf("disk-%d", number), Kind: core.NVMe, Size: core.TiB}}},
	}
}

// stock puts servers 0 to count-1 into the store.
func stock(t *testing.T, store core.Store, count int) {
	t.Helper()
	update(t, store, func(tx core.Tx) error {
		for number := range count {
			if err := tx.InsertNode(server(number)); err != nil {
				return err
			}
		}
		return nil
	})
}

// claim is an acquire in its plainest form: the first candidate, its swap, the
// allocation and the event, in one transaction. NoCapacity where no node is left.
func claim(tx core.Tx, id core.AllocationID, owner string) (core.NodeID, error) {
	var node core.Node
	for candidate, err := range tx.Candidates(core.DefaultPool) {
		if err != nil {
			return "", err
		}
		node = candidate
		break
	}
	if node.ID == "" {
		return "", &core.Error{Op: "acquire", Kind: core.NoCapacity}
	}
	node.State, node.Allocation, node.Since = core.Allocated, id, tx.Now()
	if err := tx.SwapNode(node); err != nil {
		return "", err
	}
	a := core.Allocation{ID: id, Owner: owner, Name: string(id), State: core.Allocated, Node: node.ID, CreatedAt: tx.Now()}
	if err := tx.InsertAllocation(a); err != nil {
		return "", err
	}
	return node.ID, tx.AddEvent(core.Event{Node: node.ID, Allocation: id, Type: core.StateChanged, From: core.Available, To: core.Allocated, On: core.Claim})
}
