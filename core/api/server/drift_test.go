package server_test

import (
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// An operator compares a node through a server, and has it set up.
func TestDriftThroughAServer(t *testing.T) {
	r := newRig(t, 1)
	r.rack.Server("n1").Settings(map[string]string{enginetest.SecureBootIs: "true"})
	s := r.serve("")
	base := "base"
	d := core.Declaration{
		By: core.DeclaredIn("test"), Steps: []core.Step{{Name: "insecure", SecureBoot: &core.SecureBootStep{}}},
		Profiles: []core.Profile{{Name: base, Steps: []string{"insecure"}}}, Pools: []core.PoolDeclaration{{Name: core.DefaultPool, Profile: &base}},
	}
	if _, err := s.engine.Apply(t.Context(), d, core.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	c := s.client(r.operator())
	want := core.Drifted{Of: "insecure", Difference: core.Difference{Name: enginetest.SecureBootIs, Wanted: "false", Found: "true"}}
	if drift, err := c.Drift(t.Context(), "n1"); err != nil || len(drift.Differs) != 1 || drift.Differs[0] != want {
		t.Fatalf("it differs in %+v, %v", drift, err)
	}
	if n, err := c.SetUp(t.Context(), "n1", "drift"); err != nil || n.State != core.Preparing {
		t.Fatalf("it is %s, %v", n.State, err)
	}
	if n, err := c.AwaitRest(t.Context(), "n1", nil); err != nil || n.State != core.Available {
		t.Fatalf("it is %s: %s, %v", n.State, n.Reason, err)
	}
	if drift, err := c.Drift(t.Context(), "n1"); err != nil || len(drift.Differs) > 0 {
		t.Errorf("it differs in %+v, %v", drift, err)
	}
	if _, err := c.Drift(t.Context(), "n9"); !core.Is(err, core.NotFound) {
		t.Errorf("a node that there is not: %v", err)
	}
}
