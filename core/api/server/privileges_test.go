package server_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/core/api/server"
)

// trusted is what the host's admin declares for the pool prod: a profile that hands a
// secret of the server's host to machines, and one that does not.
func trusted(t *testing.T, e *core.Engine) {
	t.Helper()
	secure := "secure"
	script := func(name string) core.Step { return core.Step{Name: name, Script: &core.ScriptStep{Run: "true"}} }
	token := script("token")
	token.Secrets = map[string]core.Reference{"TOKEN": "env:CMDB_TOKEN"}
	d := core.Declaration{
		By: core.DeclaredIn("rack.yaml"), Steps: []core.Step{script("agent"), token},
		Profiles: []core.Profile{{Name: "plain", Steps: []string{"agent"}}, {Name: secure, Steps: []string{"agent", "token"}}},
		Pools:    []core.PoolDeclaration{{Name: "prod", Profile: &secure}},
	}
	if _, err := e.Apply(t.Context(), d, core.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Who has some pools only does not get at what the server's host knows by giving them a
// profile that knows it, whichever way.
func TestWhoMayGiveAPoolSecretsOfTheHost(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	ctx := t.Context()
	trusted(t, s.engine)
	all := s.client(r.operator())
	for _, pool := range []string{"ci", "gone"} {
		if err := all.AddPool(ctx, core.Pool{Name: pool, DefaultImage: "debian"}); err != nil {
			t.Fatal(err)
		}
	}
	ci := s.client(r.token(core.TokenOrder{Name: "ci-ops", Role: core.RoleOperator, Pools: []string{"ci", "gone"}}))
	if err := ci.RemovePool(ctx, "gone", core.DeclaredOnCommandLine, true); err != nil {
		t.Fatal(err)
	}
	plain, secure, cli := "plain", "secure", core.DeclaredOnCommandLine
	apply := func(c *client.Client, d core.PoolDeclaration, o core.ApplyOptions) error {
		_, err := c.Apply(ctx, core.Declaration{By: cli, Pools: []core.PoolDeclaration{d}}, o)
		return err
	}
	tries := map[string]func(c *client.Client) error{
		"the pool's own": func(c *client.Client) error {
			return c.SetPool(ctx, core.Pool{Name: "ci", Profile: secure, DeclaredBy: cli})
		},
		"one to choose": func(c *client.Client) error {
			return c.SetPool(ctx, core.Pool{Name: "ci", Profiles: []string{plain, secure}, DeclaredBy: cli})
		},
		"a new pool's": func(c *client.Client) error {
			return c.AddPool(ctx, core.Pool{Name: "gone", Profile: secure, DeclaredBy: cli})
		},
		"applied": func(c *client.Client) error {
			return apply(c, core.PoolDeclaration{Name: "ci", Profile: &secure}, core.ApplyOptions{TakeOver: true})
		},
		"applied, to choose": func(c *client.Client) error {
			return apply(c, core.PoolDeclaration{Name: "ci", Profiles: []string{secure}}, core.ApplyOptions{})
		},
		"applied to a new pool": func(c *client.Client) error {
			return apply(c, core.PoolDeclaration{Name: "gone", Profile: &secure}, core.ApplyOptions{})
		},
		"looked at": func(c *client.Client) error {
			return apply(c, core.PoolDeclaration{Name: "ci", Profile: &secure}, core.ApplyOptions{DryRun: true})
		},
	}
	for what, try := range tries {
		wantKind(t, what, try(ci), core.Denied, "profile secure", "of step token of this profile it has secrets", "ask an operator of all pools")
	}
	// Nor by an order, which names what its pool offers alone.
	o := order("a")
	o.Request.Pool, o.Profile = "ci", secure
	_, err := ci.Create(ctx, o, nil)
	wantKind(t, "an order", err, core.Invalid, "does not offer it")
	// Nor by changing what other pools, or its own, have.
	token, err := all.Step(ctx, "token")
	if err != nil {
		t.Fatal(err)
	}
	for what, d := range map[string]core.Declaration{
		"a step":         {By: cli, Steps: []core.Step{{Name: "agent", Script: &core.ScriptStep{Run: "false"}}}},
		"a profile":      {By: cli, Profiles: []core.Profile{{Name: plain, Steps: []string{"agent", "token"}}}},
		"the same again": {By: cli, Steps: []core.Step{token}},
	} {
		_, err := ci.Apply(ctx, d, core.ApplyOptions{TakeOver: true})
		wantKind(t, what, err, core.Denied, "this concerns all pools")
	}
	wantKind(t, "without the step", ci.RemoveStep(ctx, "agent", cli, true), core.Denied)
	wantKind(t, "without the profile", ci.RemoveProfile(ctx, plain, cli, true), core.Denied)

	// What has nothing of the host's is the pool's own affair.
	if err := ci.SetPool(ctx, core.Pool{Name: "ci", DefaultImage: "debian", Profile: plain, DeclaredBy: cli}); err != nil {
		t.Error(err)
	}
	// Once who is for all pools has allowed the profile, which of them counts is theirs to say.
	if err := all.SetPool(ctx, core.Pool{Name: "ci", DefaultImage: "debian", Profile: plain, Profiles: []string{secure}, DeclaredBy: cli}); err != nil {
		t.Fatal(err)
	}
	if err := ci.SetPool(ctx, core.Pool{Name: "ci", DefaultImage: "debian", Profile: secure, Quota: 3, DeclaredBy: cli}); err != nil {
		t.Error(err)
	}
	if err := apply(ci, core.PoolDeclaration{Name: "ci", Profile: &secure, Quota: new(4)}, core.ApplyOptions{}); err != nil {
		t.Error(err)
	}
	// And what they let go of is gone.
	if err := ci.SetPool(ctx, core.Pool{Name: "ci", DefaultImage: "debian", Profile: plain, DeclaredBy: cli}); err != nil {
		t.Error(err)
	}
	wantKind(t, "once it is gone", tries["the pool's own"](ci), core.Denied)
	if err := tries["the pool's own"](all); err != nil {
		t.Errorf("who is for all pools: %v", err)
	}
}

// late is a pool in which somebody else is faster, once it was looked whether the caller may.
type late struct {
	*core.Engine
	first func()
}

func (l late) Apply(ctx context.Context, d core.Declaration, o core.ApplyOptions) ([]core.Declared, error) {
	l.first()
	return l.Engine.Apply(ctx, d, o)
}

func (l late) SetNode(ctx context.Context, id core.NodeID, c core.NodeChange) (core.Node, error) {
	l.first()
	return l.Engine.SetNode(ctx, id, c)
}

func (l late) Repair(ctx context.Context, id core.NodeID, why string) (core.Node, error) {
	l.first()
	return l.Engine.Repair(ctx, id, why)
}

func (l late) Resume(ctx context.Context, id core.NodeID, why string) (core.Node, error) {
	l.first()
	return l.Engine.Resume(ctx, id, why)
}

func (l late) Pause(ctx context.Context, id core.NodeID, why string) (core.Node, error) {
	l.first()
	return l.Engine.Pause(ctx, id, why)
}

func (l late) SetUp(ctx context.Context, id core.NodeID, why string) (core.Node, error) {
	l.first()
	return l.Engine.SetUp(ctx, id, why)
}

func (l late) Retire(ctx context.Context, id core.NodeID, why string) error {
	l.first()
	return l.Engine.Retire(ctx, id, why)
}

func (l late) AwaitRest(ctx context.Context, id core.NodeID, report core.Reporter) (core.Node, error) {
	l.first()
	return l.Engine.AwaitRest(ctx, id, report)
}

// A step with secrets is taken from elsewhere where it is there as said: at the time of the
// change, and not of a look before it.
func TestAStepOfBeforeIsNotDeclaredAgain(t *testing.T) {
	r := newRig(t, 0)
	e, _ := r.engine()
	trusted(t, e)
	before, err := e.Step(t.Context(), "token")
	if err != nil {
		t.Fatal(err)
	}
	mended := before
	mended.Script = &core.ScriptStep{Run: "true # and tells nobody"}
	s := server.New(server.Config{Pool: late{e, func() {
		d := core.Declaration{By: core.DeclaredIn("rack.yaml"), Steps: []core.Step{mended}}
		if _, err := e.Apply(t.Context(), d, core.ApplyOptions{}); err != nil {
			t.Error(err)
		}
	}}})
	w := ask(t, s, r.operator(), http.MethodPost, "/v1/declarations", `{"by":"file:rack.yaml","steps":[{"name":"token","secrets":{"TOKEN":"env:CMDB_TOKEN"},"script":{"run":"true"}}]}`)
	if w.Code != http.StatusForbidden {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if there, err := e.Step(t.Context(), "token"); err != nil || !there.Same(mended) {
		t.Errorf("the step is %+v, %v", there, err)
	}
}

// A node that leaves a pool is out of reach of who has that one only, also of what he has
// asked for already.
func TestANodeOfBeforeIsNotReached(t *testing.T) {
	r := newRig(t, 1)
	e, _ := r.engine()
	ctx := t.Context()
	if err := e.SetPool(ctx, core.Pool{Name: "ci"}); err != nil {
		t.Fatal(err)
	}
	move := func(pool string) {
		if _, err := e.SetNode(ctx, "n1", core.NodeChange{Pool: &pool}); err != nil {
			t.Error(err)
		}
	}
	s := server.New(server.Config{Pool: late{e, func() { move(core.DefaultPool) }}})
	token := r.token(core.TokenOrder{Name: "ci-ops", Role: core.RoleOperator, Pools: []string{"ci"}})
	for _, line := range []struct{ method, path, body string }{
		{http.MethodPatch, "", `{"labels":{"a":"b"}}`}, {http.MethodPatch, "", `{"pool":"ci"}`},
		{http.MethodPost, "/repair", ""}, {http.MethodPost, "/pause", ""}, {http.MethodPost, "/resume", ""},
		{http.MethodPost, "/set-up", ""}, {http.MethodPost, "/rest", ""}, {http.MethodDelete, "", ""},
	} {
		move("ci")
		if w := ask(t, s, token, line.method, "/v1/nodes/n1"+line.path, line.body); w.Code != http.StatusForbidden {
			t.Errorf("%s %s %s: %d %s", line.method, line.path, line.body, w.Code, w.Body)
		}
	}
	if n, err := e.Node(ctx, "n1"); err != nil || n.State != core.Available || n.Pool != core.DefaultPool || len(n.Spec.Labels) > 0 {
		t.Errorf("the node is %+v, %v", n, err)
	}
}
