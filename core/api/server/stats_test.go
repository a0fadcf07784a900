package server_test

import (
	"slices"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// How long phases take is told to operators, the same as by the pool itself.
func TestStatsThroughAServer(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	ops := s.client(r.operator())
	if _, err := ops.Create(t.Context(), order("web"), nil); err != nil {
		t.Fatal(err)
	}
	f := core.StatsFilter{Pool: core.DefaultPool, By: []core.StatsKey{core.ByModel, core.ByImage, core.ByNode}}
	got, err := ops.Stats(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.engine.Stats(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	whole := slices.IndexFunc(got, func(p core.PhaseStats) bool { return p.Job == core.JobDeploy && p.Phase == core.WholeJob })
	if !slices.Equal(got, want) || whole < 0 || got[whole].Count != 1 || got[whole].Node != "n1" || got[whole].Image == "" {
		t.Errorf("a server tells %+v, the pool %+v", got, want)
	}
	if later, err := ops.Stats(t.Context(), core.StatsFilter{Since: time.Now().Add(time.Hour)}); err != nil || len(later) != 0 {
		t.Errorf("of what begins in an hour: %+v, %v", later, err)
	}
	_, err = ops.Stats(t.Context(), core.StatsFilter{By: []core.StatsKey{"rack"}})
	wantKind(t, "by rack", err, core.Invalid, "model, image, pool, node")
	for _, role := range []core.Role{core.RoleUser, core.RoleViewer} {
		_, err := s.client(r.token(core.TokenOrder{Name: string(role), Role: role})).Stats(t.Context(), core.StatsFilter{})
		wantKind(t, "a "+string(role), err, core.Denied, "this takes operator")
	}
	some := s.client(r.token(core.TokenOrder{Name: "some", Role: core.RoleOperator, Pools: []string{core.DefaultPool}}))
	if got, err := some.Stats(t.Context(), f); err != nil || len(got) == 0 {
		t.Errorf("of his pool an operator is told %+v, %v", got, err)
	}
	for _, pool := range []string{"", "other"} {
		_, err := some.Stats(t.Context(), core.StatsFilter{Pool: pool})
		wantKind(t, "of pool "+pool, err, core.Denied, "")
	}
}
