//go:build vm

package vmtest_test

import (
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
)

// A server that does not get through its firmware, or whose network gives no address,
// is given up in time, and says why. The same request tries again.
func TestVMNoSignOfLife(t *testing.T) {
	r := newRack(t, small)
	o := r.order()
	o.Request.Node = r.node.ID()
	for _, c := range []struct {
		name  string
		fault lab.Fault
		limit func(*core.Timeouts)
		says  []string
	}{
		{"it never gets through POST", lab.Fault{Kind: lab.MediaHang}, func(t *core.Timeouts) { t.CheckIn = 20 * time.Second }, []string{stepRamdisk, "did not check in within 20s"}},
		{"no DHCP server answers", lab.Fault{Kind: lab.DHCPSilent}, func(t *core.Timeouts) { t.CheckIn = 90 * time.Second }, []string{stepRamdisk, "did not check in within 1m30s", "DHCP"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := *r
			in.t = t
			began := time.Now()
			in.waits(c.limit)
			try(t, in.node.AddFault(lab.NewFault{Machine: &c.fault}))
			_, err := in.Create(t.Context(), o, nil)
			in.refused(err, core.Timeout, c.says...)
			in.told(began, core.StepFailed, c.says...)
			in.is(core.Failed)
			in.node.ClearFaults()
		})
	}
	r.waits(func(*core.Timeouts) {})
	if m := r.create(o, nil); m.Node != r.node.ID() {
		t.Errorf("the machine is on %s", m.Node)
	}
}
