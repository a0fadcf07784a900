//go:build linux

package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/bmc"
)

// TestTimeouts has servers stand still: whoever set a limit, of an operation or of one
// phase, sees it kept, and is told which it was. Without limits nothing here would end.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	asleep, slow, silent := r.Lab.Nodes()[0], r.Lab.Nodes()[1], r.Lab.Nodes()[2]
	limited := func(name string, n *lab.Node, limit string) *work {
		return r.newWork(t, machineBlock(name, fmt.Sprintf("node = %q", n.ID()), "timeouts {\n "+limit+"\n }"))
	}

	first := limited("web-1", asleep, `create = "10s"`)
	r.breaks(t, asleep, lab.NewFault{Machine: &lab.Fault{Kind: lab.MediaHang, Count: lab.Forever}})
	says(t, first.refuse(t), "the time for the whole deploy is over", "Node: "+string(asleep.ID()), "Phase: boot ramdisk", "allow more with timeouts { create }", "takes another")

	// The pool's limits are those of a phase, whatever the operation has left.
	second := limited("web-2", slow, `create = "24h"`)
	r.breaks(t, slow, lab.NewFault{Machine: &lab.Fault{Kind: lab.MediaHang, Count: lab.Forever}})
	r.checkIn(t, 2*time.Second)
	if out := second.refuse(t); strings.Contains(out, "the whole deploy") {
		t.Errorf("the phase had no limit of its own:\n%s", out)
	} else {
		says(t, out, "Node: "+string(slow.ID()), "Phase: boot ramdisk", "2s")
	}
	r.checkIn(t, 0)
	for _, name := range []string{"web-1", "web-2"} {
		if m := r.named(t, name); m.State != core.Failed {
			t.Errorf("after its time %s is %+v", name, m)
		}
	}
	asleep.ClearFaults()
	slow.ClearFaults()
	first.destroy(t)
	second.destroy(t)

	// A destroy is complete when the server is off, and not before.
	third := limited("web-3", silent, `delete = "20s"`)
	third.apply(t)
	r.breaks(t, silent, lab.NewFault{BMC: &bmc.Fault{On: bmc.Reset, Kind: bmc.Hang, Count: bmc.Forever}})
	out, err := third.command(t, "destroy", "-auto-approve", "-no-color").CombinedOutput()
	if err == nil || strings.Contains(string(out), "Destruction complete") {
		t.Errorf("destroy gave up a server that nobody turned off:\n%s", out)
	}
	says(t, string(out), "Node: "+string(silent.ID()))
	if _, saved := third.saved(t); saved["node"] != string(silent.ID()) {
		t.Errorf("the state has %v", saved)
	}
	silent.ClearFaults()
	third.destroy(t)
	r.givenBack(t)
}

// checkIn sets how long a ramdisk may take until it calls; 0 is what a pool has by default.
func (r *rig) checkIn(t *testing.T, limit time.Duration) {
	t.Helper()
	p := core.Pool{Name: core.DefaultPool, DefaultImage: "lab"}
	p.Timeouts.CheckIn = limit
	if err := r.Engine(t).SetPool(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// breaks lets something go wrong with a server.
func (r *rig) breaks(t *testing.T, n *lab.Node, f lab.NewFault) {
	t.Helper()
	if err := n.AddFault(f); err != nil {
		t.Fatal(err)
	}
}
