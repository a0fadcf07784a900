package core_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

// A node that was cleaned for less than its pool asks now goes to nobody, whether the
// pool was changed or the node moved.
func TestAMinimumThatWasRaisedHoldsForNodesThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		set := func(pool core.Pool) {
			t.Helper()
			if err := e.SetPool(t.Context(), pool); err != nil {
				t.Fatal(err)
			}
		}
		refused := func(id, pool string) {
			t.Helper()
			o := order(id, "web-1")
			o.Request.Pool = pool
			_, err := e.Create(t.Context(), o, nil)
			if !core.Is(err, core.NoCapacity) || !strings.Contains(err.Error(), "n1 was erased to clear, below the pool's minimum of purge by now") {
				t.Errorf("from pool %s: %v", pool, err)
			}
			p.wantStates("n1 Available")
		}
		set(core.Pool{Name: core.DefaultPool, DefaultImage: "debian", EraseMinimum: core.Purge})
		refused("a-1", core.DefaultPool)

		set(core.Pool{Name: core.DefaultPool, DefaultImage: "debian"})
		set(core.Pool{Name: "gold", DefaultImage: "debian", EraseMinimum: core.Purge})
		gold := "gold"
		if _, err := e.SetNode(t.Context(), "n1", core.NodeChange{Pool: &gold}); err != nil {
			t.Fatal(err)
		}
		refused("a-2", "gold")

		set(core.Pool{Name: "gold", DefaultImage: "debian"})
		o := order("a-3", "web-1")
		o.Request.Pool = "gold"
		if _, err := e.Create(t.Context(), o, nil); err != nil {
			t.Error(err)
		}
		p.sound()
	})
}
