package core_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

func TestAwaitRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		if _, err := e.Pause(t.Context(), "n1", ""); err != nil {
			t.Fatal(err)
		}
		if n, err := e.Resume(t.Context(), "n1", ""); err != nil || n.State != core.Cleaning {
			t.Fatal(n.State, err)
		}
		if n, err := e.AwaitRest(t.Context(), "n1", nil); err != nil || n.State != core.Available {
			t.Errorf("after its clean it is %s: %v", n.State, err)
		}
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatal(err)
		}
		if n, err := e.AwaitRest(t.Context(), "n1", nil); err != nil || n.State != core.Deployed {
			t.Errorf("with its owner it is %s: %v", n.State, err)
		}
		err := e.Retire(t.Context(), "n1", "sold")
		if !core.Is(err, core.Busy) || !strings.Contains(err.Error(), "metalpool machine release a-1") {
			t.Errorf("retiring what has an owner: %v", err)
		}
		if _, err := e.AwaitRest(t.Context(), "n9", nil); !core.Is(err, core.NotFound) {
			t.Errorf("of no node: %v", err)
		}
	})
}
