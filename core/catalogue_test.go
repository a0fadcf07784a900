package core_test

import (
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

// A machine that moved to another node is Allocated again, and has its order still.
func TestRemoveImageKeepsWhatAMovedMachineIsToGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		if err := e.SetPool(t.Context(), core.Pool{Name: core.DefaultPool}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Acquire(t.Context(), complete(order("a-1", "web-1")), nil); err != nil {
			t.Fatal(err)
		}
		p.update(func(tx core.Tx) error {
			a, err := tx.Allocation("a-1")
			if err != nil {
				return err
			}
			a.Order = &core.DeployOrder{Image: "debian"}
			return tx.SwapAllocation(a)
		})
		if err := e.RemoveImage(t.Context(), "debian"); !core.Is(err, core.Busy) {
			t.Errorf("got %v", err)
		}
		if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{}, nil); err != nil {
			t.Fatal(err)
		}
		if err := e.RemoveImage(t.Context(), "debian"); err != nil {
			t.Error(err)
		}
	})
}
