//go:build bench

package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// BenchNode is node number i of a large pool: Available, and of the size of a real one.
func BenchNode(i int) core.Node {
	n := core.Node{ID: BenchNodeID(i), Pool: core.DefaultPool, State: core.Available, Version: 1, Since: time.Now()}
	n.Spec.Labels = map[string]string{"rack": fmt.Sprintf("r%d", i%40), "zone": fmt.Sprintf("z%d", i%3)}
	n.Spec.Identity = core.Identity{Serial: fmt.Sprintf("SN%06d", i), MACs: []string{fmt.Sprintf("02:00:00:%02x:%02x:%02x", i>>16, i>>8&255, i&255)}}
	n.Spec.BMC = core.Endpoint{Backend: "redfish", URL: fmt.Sprintf("https://127.%d.%d.%d", 1+i>>16, i>>8&255, i&255), User: "admin", Secret: make([]byte, 200), TLS: core.TLSCheck{Fingerprint: strings.Repeat("ab", 32)}}
	n.Hardware = core.Hardware{Manufacturer: "Example", Model: "S1", Arch: "amd64", CPUs: 32, Memory: 128 * core.GiB,
		Disks: []core.Disk{{Serial: fmt.Sprintf("D%06d", i), Kind: core.NVMe, Size: 480e9}}, NICs: []core.NIC{{MAC: n.Spec.Identity.MACs[0], Mbps: 25000}}}
	return n
}

// BenchNodeID is the ID of BenchNode i.
func BenchNodeID(i int) core.NodeID { return core.NodeID(fmt.Sprintf("node-%05d", i)) }

// AcquireRelease is what a bench measures: a node taken, and given back untouched.
func AcquireRelease(ctx context.Context, e *core.Engine) error {
	id := core.AllocationID(core.NewID("b"))
	o := core.Order{ID: id, Owner: "bench", Name: string(id), Request: core.Request{Pool: core.DefaultPool}}
	if _, err := e.Acquire(ctx, o, nil); err != nil {
		return err
	}
	return e.Release(ctx, id, core.ReleaseOptions{}, nil)
}

// BarePrefix begins the IDs of allocations that a bench writes without looking who has
// the node.
const BarePrefix = "bare-"

// NoneTwice looks through the whole story of a store for a node that was claimed while
// somebody had it.
func NoneTwice(t *testing.T, store core.Store) {
	t.Helper()
	holder := map[core.NodeID]core.AllocationID{}
	view(t, store, func(tx core.Tx) error {
		for ev, err := range tx.Events(core.EventFilter{}) {
			if err != nil {
				return err
			}
			switch {
			case strings.HasPrefix(string(ev.Allocation), BarePrefix):
			case ev.To == core.Allocated && holder[ev.Node] != "":
				t.Errorf("event %d gives %s to %s while %s has it", ev.Seq, ev.Node, ev.Allocation, holder[ev.Node])
			case ev.To == core.Allocated:
				holder[ev.Node] = ev.Allocation
			case ev.To == core.Available:
				delete(holder, ev.Node)
			}
		}
		return nil
	})
}
