package core_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// TestDurationsAreKept: of every deploy and clean it is known how long its phases took, on
// which model and of which image, and where those ended that failed.
func TestDurationsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		p.rack.Writing = time.Minute
		e, _ := p.engine()
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatal(err)
		}
		if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
			t.Fatal(err)
		}
		// One fails it by its own fault, and the other deploys it.
		p.rack.Server("n1").Fail(enginetest.Fault{Op: "write", Err: enginetest.ErrBroken, Times: -1})
		named := order("a-2", "web-2")
		named.Request.Node = "n1"
		if _, err := e.Create(t.Context(), named, nil); err == nil {
			t.Fatal("it was deployed")
		}
		stats, err := e.Stats(t.Context(), core.StatsFilter{By: []core.StatsKey{core.ByModel, core.ByImage}})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]core.PhaseStats{}
		for _, s := range stats {
			found[string(s.Job)+" "+s.Phase] = s
			if s.Model != "Example S1" || (s.Image == "") != (s.Job == core.JobClean) {
				t.Errorf("%+v", s)
			}
		}
		for phase, want := range map[string]struct{ count, failed int }{
			"deploy all": {1, 1}, "deploy inspect": {2, 0}, "deploy write image": {1, 1}, "deploy ssh": {1, 0}, "clean all": {3, 0}, "clean erase": {3, 0},
		} {
			if got := found[phase]; got.Count != want.count || got.Failed != want.failed {
				t.Errorf("%s: %d done, %d failed, want %+v", phase, got.Count, got.Failed, want)
			}
		}
		if write, whole := found["deploy write image"], found["deploy all"]; write.P50 < 60 || write.P50 > 90 || whole.P50 < write.P50 {
			t.Errorf("to write took %v s of %v s", write.P50, whole.P50)
		}
		if _, err := e.Stats(t.Context(), core.StatsFilter{By: []core.StatsKey{"rack"}}); !core.Is(err, core.Invalid) {
			t.Errorf("by rack: %v", err)
		}
	})
}
