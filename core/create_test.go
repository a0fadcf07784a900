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
