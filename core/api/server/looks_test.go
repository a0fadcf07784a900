package server_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/server"
)

// counted is a pool that counts what it asks of BMCs.
type counted struct {
	*core.Engine
	powers, tails *atomic.Int32
}

func (c counted) Power(ctx context.Context, id core.AllocationID) (core.PowerState, error) {
	c.powers.Add(1)
	return c.Engine.Power(ctx, id)
}

func (c counted) ConsoleTail(ctx context.Context, id core.NodeID, lines int) ([]string, error) {
	c.tails.Add(1)
	return c.Engine.ConsoleTail(ctx, id, lines)
}

// Many who watch a machine cost its BMC no more than one.
func TestManyWhoLookAskABMCOnce(t *testing.T) {
	r := newRig(t, 1)
	e, _ := r.engine()
	pool := counted{e, new(atomic.Int32), new(atomic.Int32)}
	s := server.New(server.Config{Pool: pool, LookTime: time.Hour})
	ops, viewer := r.operator(), r.token(core.TokenOrder{Name: "eve", Role: core.RoleViewer})
	r.rack.Server("n1").Say("one\ntwo\n", "")
	if _, err := e.Create(t.Context(), order("1"), nil); err != nil {
		t.Fatal(err)
	}
	look := func(token, path, want string) {
		t.Helper()
		if w := ask(t, s, token, http.MethodGet, path, ""); w.Code != http.StatusOK || w.Body.String() != want+"\n" {
			t.Errorf("%s: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { look(viewer, "/v1/machines/m-1/power", `{"state":"On"}`) })
	}
	all.Wait()
	if n := pool.powers.Load(); n != 1 {
		t.Errorf("the BMC was asked %d times by a hundred", n)
	}
	// Who has changed it sees that.
	if w := ask(t, s, ops, http.MethodPut, "/v1/machines/m-1/power", `{"verb":"off"}`); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	look(viewer, "/v1/machines/m-1/power", `{"state":"Off"}`)
	if n := pool.powers.Load(); n != 2 {
		t.Errorf("after a change the BMC was asked %d times", n)
	}
	look(ops, "/v1/nodes/n1/console?lines=1", `{"lines":["two"]}`)
	look(ops, "/v1/nodes/n1/console?lines=2", `{"lines":["one","two"]}`)
	if n := pool.tails.Load(); n != 1 {
		t.Errorf("the console was opened %d times", n)
	}
}

// What was found is told again for a moment only.
func TestALookGrowsOld(t *testing.T) {
	r := newRig(t, 1)
	e, _ := r.engine()
	pool := counted{e, new(atomic.Int32), new(atomic.Int32)}
	s := server.New(server.Config{Pool: pool, LookTime: time.Nanosecond})
	ops := r.operator()
	if w := ask(t, s, ops, http.MethodPut, "/v1/machines/m-1", `{"name":"a","allocate_only":true}`); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for pool.powers.Load() < 3 { // or it never ends
		ask(t, s, ops, http.MethodGet, "/v1/machines/m-1/power", "")
	}
}
