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
		if err := e.RemoveImage(t.Context(), "debian", "", false); !core.Is(err, core.Busy) {
			t.Errorf("got %v", err)
		}
		if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{}, nil); err != nil {
			t.Fatal(err)
		}
		if err := e.RemoveImage(t.Context(), "debian", "", false); err != nil {
			t.Error(err)
		}
	})
}

func TestAddPool(t *testing.T) {
	p := newPool(t, 0)
	e, _ := p.engine()
	strict := core.Pool{Name: "ci", EraseMinimum: core.Purge, Quota: 2}
	for _, step := range []struct {
		what string
		pool core.Pool
		kind core.Kind
	}{
		{"a new one", strict, ""},
		{"the same again", strict, ""},
		{"the same, with what counts anyway", core.Pool{Name: "ci", EraseMinimum: core.Purge, Quota: 2, ManagementKey: core.ManageDeploy}, ""},
		{"another policy", core.Pool{Name: "ci", Quota: 3}, core.Exists},
		{"an image that is not there", core.Pool{Name: "web", DefaultImage: "nosuch"}, core.NotFound},
		{"the default one, which was declared otherwise", core.Pool{Name: core.DefaultPool, Quota: 1}, core.Exists},
		{"no name", core.Pool{}, core.Invalid},
	} {
		if err := e.AddPool(t.Context(), step.pool); core.KindOf(err) != step.kind {
			t.Errorf("%s: %v", step.what, err)
		}
	}
	if there, err := e.Pool(t.Context(), "ci"); err != nil || there.Quota != 2 {
		t.Errorf("%+v, %v", there, err)
	}
	if err := e.RemovePool(t.Context(), core.DefaultPool, "", false); err != nil {
		t.Fatal(err)
	}
	if err := e.AddPool(t.Context(), core.Pool{Name: core.DefaultPool, Quota: 1}); err != nil {
		t.Errorf("the default one, which nobody declared: %v", err)
	}
}
