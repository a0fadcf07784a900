package core_test

import (
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

func TestCreateAndRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		e, host := p.engine()
		m, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, p.story())
		}
		if m.State != core.Deployed || m.Access.SSHUser != "debian" || m.Access.SSHPort != 22 || len(m.Access.HostKeys) != 1 {
			t.Errorf("%+v", m)
		}
		p.sound()
		n := len(host.Calls())
		t.Logf("create: %d calls", n)
		if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
			t.Fatal(err)
		}
		t.Logf("release: %d calls", len(host.Calls())-n)
		p.wantStates("n1 Available", "n2 Available")
		p.sound()
		t.Logf("%q", host.Calls())
	})
}

// Nobody gets a larger server than was asked for while a smaller one is free.
func TestTheSmallestThatFitsIsTaken(t *testing.T) {
	p := bareRack(t, 0)
	e, _ := p.engine()
	for id, memory := range map[core.NodeID]core.Bytes{"large": 512, "small": 64, "middle": 128} {
		p.insert(core.Node{ID: id, State: core.Available, Hardware: core.Hardware{Memory: memory * core.GiB}, Spec: core.NodeSpec{
			BMC: core.Endpoint{Backend: "redfish", URL: "https://" + string(id) + ".bmc"}, Identity: core.Identity{Serial: "SN-" + string(id)},
		}})
	}
	acquire := func(id string, memory core.Bytes) (core.NodeID, error) {
		o := order(id, id)
		o.Request.Pool, o.Request.Memory = core.DefaultPool, memory*core.GiB
		a, err := e.Acquire(t.Context(), o, nil)
		return a.Node, err
	}
	for _, tt := range []struct {
		memory core.Bytes
		want   core.NodeID
	}{{100, "middle"}, {0, "small"}, {0, "large"}} {
		if got, err := acquire("m-"+string(tt.want), tt.memory); got != tt.want || err != nil {
			t.Errorf("for %d GiB: %s, %v; want %s", int64(tt.memory), got, err, tt.want)
		}
	}
	if _, err := acquire("one-more", 0); !core.Is(err, core.NoCapacity) {
		t.Errorf("of an empty pool: %v", err)
	}
}
