//go:build vm

package vmtest_test

import (
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
)

// A server that does not get through its firmware, or whose network gives no address,
// is given up in time, and says why.
func TestVMNoSignOfLife(t *testing.T) {
	r := newRack(t, small)
	for _, c := range []struct {
		name  string
		fault lab.Fault
		limit func(*core.Timeouts)
		says  []string
	}{
		{"it never gets through POST", lab.Fault{Kind: lab.MediaHang}, func(t *core.Timeouts) { t.CheckIn = 20 * time.Second }, []string{stepRamdisk, "did not check in within 20s"}},
		{"no DHCP server answers", lab.Fault{Kind: lab.DHCPSilent}, func(t *core.Timeouts) { t.CheckIn = 90 * time.Second }, []string{stepRamdisk, "did not check in within 1m30s", "DHCP"}},
	} {
		r.run(c.name, func(r *rack) {
			began := time.Now()
			r.waits(c.limit)
			try(r.t, r.node.AddFault(lab.NewFault{Machine: &c.fault}))
			o := r.order()
			o.Request.Node = r.node.ID()
			_, err := r.Create(r.t.Context(), o, nil)
			r.refused(err, core.Timeout, c.says...)
			r.told(began, core.StepFailed, c.says...)
			r.is(core.Failed)
			r.waits(func(*core.Timeouts) {})
			m := r.create(o, nil) // the same request tries again
			if m.Node != r.node.ID() {
				r.t.Errorf("the machine is on %s", m.Node)
			}
		})
	}
}
