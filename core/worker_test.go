package core_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
	"github.com/metalpool/metalpool/core/placetest"
)

// shaky is a store whose next updates fail.
type shaky struct {
	core.Store
	failures int
}

func (s *shaky) Update(ctx context.Context, fn func(tx core.Tx) error) error {
	if s.failures > 0 {
		s.failures--
		return &core.Error{Op: "begin", Kind: core.Busy, Err: errors.New("the disk is full")}
	}
	return s.Store.Update(ctx, fn)
}

// Whoever finds a worker there starts none, so it must not leave with its work undone.
func TestWorkOutlastsAFaultOfTheStore(t *testing.T) { placetest.Each(t, workOutlastsAFaultOfTheStore) }

func workOutlastsAFaultOfTheStore(t *testing.T, at placetest.Place) {
	for _, test := range []struct {
		failures int
		want     string
	}{{2, "n1 Available"}, {100, "n1 Cleaning"}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPoolAt(t, at, 1)
			e, _ := p.engine()
			if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
				t.Fatal(err)
			}
			if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{}, nil); err != nil {
				t.Fatal(err)
			}
			worker := p.engineOn(p.rack.Host(), &shaky{p.store, test.failures}, cloak{}, nil)
			_, err := worker.Work(t.Context())
			if (err == nil) != (test.want == "n1 Available") {
				t.Errorf("%d failures: %v", test.failures, err)
			}
			p.wantStates(test.want)
		})
	}
}

func TestWorkNamesWhatItHasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		e, _ := p.engine()
		for _, id := range []string{"a-1", "a-2"} {
			if _, err := e.Create(t.Context(), order(id, "web-"+id), nil); err != nil {
				t.Fatal(err)
			}
		}
		p.rack.Server("n1").Fail(enginetest.Fault{Op: "set power off", Err: enginetest.ErrUnreachable, Times: -1})
		for _, n := range p.nodes(core.Deployed) {
			if err := e.Release(t.Context(), n.Allocation, core.ReleaseOptions{}, nil); (err != nil) != (n.ID == "n1") {
				t.Errorf("%s: %v", n.ID, err)
			}
		}
		given, err := e.Work(t.Context())
		if err != nil || !slices.Equal(given, []core.NodeID{"n1"}) {
			t.Errorf("given up: %v, %v", given, err)
		}
		p.wantStates("n1 Cleaning", "n2 Available")
		p.sound()
	})
}
