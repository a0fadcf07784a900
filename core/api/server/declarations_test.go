package server_test

import (
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// The audit log says which file was applied, and what is in it.
func TestWhoAppliesWhatIsInTheAuditLog(t *testing.T) {
	r := newRig(t, 0)
	s := r.serve("")
	c := s.client(r.operator())
	base := "base"
	d := core.Declaration{
		By:       core.DeclaredIn("rack.yaml"),
		Steps:    []core.Step{{Name: "agent", Script: &core.ScriptStep{Run: "true"}}, {Name: "disks", Script: &core.ScriptStep{Run: "true"}}},
		Profiles: []core.Profile{{Name: "base", Steps: []string{"agent", "disks"}}},
		Pools:    []core.PoolDeclaration{{Name: core.DefaultPool, Profile: &base}},
	}
	for _, o := range []core.ApplyOptions{{DryRun: true}, {}} {
		if _, err := c.Apply(t.Context(), d, o); err != nil {
			t.Fatal(err)
		}
	}
	log := told(t, c)
	const what = "steps agent, disks; profiles base; pools default"
	for _, want := range []string{"|apply|file:rack.yaml (dry run): " + what + "|", "|apply|file:rack.yaml: " + what + "|"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
}

// A token of one pool is for its policy, and not for what all pools have.
func TestWhoMayDeclareWhat(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	all := s.client(r.operator())
	if err := all.AddPool(t.Context(), core.Pool{Name: "ci"}); err != nil {
		t.Fatal(err)
	}
	ci := s.client(r.token(core.TokenOrder{Name: "ci-ops", Role: core.RoleOperator, Pools: []string{"ci"}}))
	by := core.DeclaredIn("rack.yaml")
	own := core.Declaration{By: by, Pools: []core.PoolDeclaration{{Name: "ci", Quota: new(3)}}}
	if _, err := ci.Apply(t.Context(), own, core.ApplyOptions{}); err != nil {
		t.Error(err)
	}
	n, err := all.Node(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	node := core.NodeDeclaration{ID: "n1", URL: n.Spec.BMC.URL}
	for what, d := range map[string]core.Declaration{
		"another pool": {By: by, Pools: []core.PoolDeclaration{{Name: core.DefaultPool}}},
		"a step":       {By: by, Steps: []core.Step{{Name: "agent", Script: &core.ScriptStep{Run: "true"}}}},
		"an image":     {By: by, Images: []core.ImageDeclaration{{Name: "debian", Boot: core.Reboot}}},
		"a node":       {By: by, Nodes: []core.NodeDeclaration{node}},
	} {
		if _, err := ci.Apply(t.Context(), d, core.ApplyOptions{}); !core.Is(err, core.Denied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := ci.Apply(t.Context(), own, core.ApplyOptions{Prune: true}); !core.Is(err, core.Denied) {
		t.Errorf("prune: %v", err)
	}

	// A server's files and programs are its host's, whatever they are declared for.
	reference := node
	reference.Password = new("exec:id")
	_, err = all.Apply(t.Context(), core.Declaration{By: by, Nodes: []core.NodeDeclaration{reference}}, core.ApplyOptions{})
	wantKind(t, "a reference", err, core.Denied, "a server takes from nobody but its own host")
	_, err = all.Apply(t.Context(), core.Declaration{By: by, Images: []core.ImageDeclaration{{Name: "hosts", Source: "/etc/hosts", User: "root"}}}, core.ApplyOptions{})
	wantKind(t, "a file", err, core.Denied)
	moved := node
	moved.URL = "https://192.0.2.66"
	_, err = all.Apply(t.Context(), core.Declaration{By: by, Nodes: []core.NodeDeclaration{moved}}, core.ApplyOptions{TakeOver: true})
	wantKind(t, "another address", err, core.Denied, "the password that was kept")

	// Who reads a policy and sends it back does not speak for its declarer.
	pool, err := all.Pool(t.Context(), "ci")
	if err != nil || pool.DeclaredBy != by {
		t.Fatalf("the pool is %+v, %v", pool, err)
	}
	answer, body := s.raw("PUT", "/v1/pools/ci", r.operator(), `{"name":"ci","quota":9,"declared_by":"file:rack.yaml"}`)
	if !strings.Contains(body, "it is declared by file:rack.yaml") {
		t.Errorf("a policy sent back is answered %+v: %s", answer, body)
	}
	if err := all.RemovePool(t.Context(), "ci", core.DeclaredOnCommandLine, false); !core.Is(err, core.Exists) {
		t.Errorf("removed: %v", err)
	}
	if err := all.RemovePool(t.Context(), "ci", core.DeclaredOnCommandLine, true); err != nil {
		t.Error(err)
	}
}
