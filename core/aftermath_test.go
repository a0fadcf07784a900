package core_test

import (
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// What failed is told first, and then what follows from it, in words and not in the
// errors of what was tried next.
func TestFailuresSayWhatFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		e, _ := p.engine()
		p.rack.Server("n1").Fail(enginetest.Fault{Op: "power", Err: enginetest.ErrBroken, Times: -1})
		o := order("a-1", "web-1")
		o.Request.Node = "n1"
		_, err := e.Create(t.Context(), o, nil)
		const alone = "create web-1 (node n1): backend: ask the server: backend: the hardware is broken (no other node could be taken: node n1 was asked for by name)"
		if err == nil || err.Error() != alone {
			t.Errorf("got  %v\nwant %s", err, alone)
		}

		m, err := e.Create(t.Context(), order("a-2", "web-2"), nil)
		if err != nil || m.Node != "n2" {
			t.Fatalf("%s: %v", m.Node, err)
		}
		p.rack.Server("n2").Fail(enginetest.Fault{Op: "set power off", Err: enginetest.ErrBroken, Times: -1})
		err = e.Release(t.Context(), "a-2", core.ReleaseOptions{}, nil)
		const released = "release a-2 (node n2): ask the server: backend: the hardware is broken; it is given back all the same, and nobody gets the node before it is off and erased: the pool goes on with that; to see it done, run the same again, or 'metalpool reconcile'"
		if err == nil || err.Error() != released {
			t.Errorf("got  %v\nwant %s", err, released)
		}
		if m := p.machine("a-2"); m.State != core.Released {
			t.Errorf("it is %s", m.State)
		}
	})
}
