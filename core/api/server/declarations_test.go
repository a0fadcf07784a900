package server_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
	"github.com/metalpool/metalpool/core/api/server"
	"github.com/metalpool/metalpool/core/steps"
	"github.com/metalpool/metalpool/core/store/sqlite"
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

// What the server's host lacks for a step is in the answer, as is what else may not be meant.
func TestWhatTheServersHostLacksIsTold(t *testing.T) {
	r := newRig(t, 0)
	host := r.rack.Host()
	store, err := sqlite.Open(t.Context(), filepath.Join(r.dir, "pool.db"), sqlite.Options{KeyFingerprint: r.key.Fingerprint()})
	if err != nil {
		t.Fatal(err)
	}
	e := core.New(core.Config{Store: host.Store(store), Sealer: r.key, Deployer: host, Timing: timing, Steps: steps.Runners([]string{"/nowhere"})})
	t.Cleanup(func() { _ = e.Close() })
	body := `{"by":"file:rack.yaml","dry_run":true,"steps":[{"name":"dns","plugin":{"name":"zone"}},{"name":"agent","script":{"run":"true"}}],"profiles":[{"name":"base","steps":["dns","agent"]}],"pools":[{"name":"default","profile":"base"}]}`
	w := ask(t, server.New(server.Config{Pool: e}), r.operator(), http.MethodPost, "/v1/declarations", body)
	var answer api.Written[[]core.Declared]
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK || answer.Result == nil {
		t.Fatalf("%d %s, %v", w.Code, w.Body, err)
	}
	for _, d := range *answer.Result {
		if lacks := d.Name == "dns"; len(d.Warnings) > 0 != lacks || lacks && !strings.Contains(d.Warnings[0].Text, "lacks it: there is no metalpool-step-zone in /nowhere; install it there") {
			t.Errorf("of %s it says %+v", d.Name, d.Warnings)
		}
	}
}
