package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/core/api/server"
)

func wantKind(t *testing.T, what string, err error, kind core.Kind, texts ...string) {
	t.Helper()
	if !core.Is(err, kind) {
		t.Errorf("%s: %v, want %s", what, err, kind)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %q does not say %q", what, err, text)
		}
	}
}

func TestWhoHasNoGoodTokenGetsNothing(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	good := r.token(core.TokenOrder{Name: "ann"})
	if _, err := s.client(good).Nodes(t.Context(), core.NodeFilter{}); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	revoked := r.token(core.TokenOrder{Name: "bob"})
	tokens, err := s.engine.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range tokens {
		if k.Name == "bob" {
			if _, err := s.engine.RevokeToken(t.Context(), k.ID); err != nil {
				t.Fatal(err)
			}
		}
		if k.Hash != "" {
			t.Errorf("the list tells the digest of %s", k.ID)
		}
	}
	for what, test := range map[string]struct{ token, says string }{
		"wrong":   {good + "x", "does not know this token"},
		"made up": {"hunter2", "does not know this token"},
		"expired": {r.token(core.TokenOrder{Name: "eve", Lifetime: time.Nanosecond}), "of eve expired at"},
		"revoked": {revoked, "of bob was revoked at"},
	} {
		c := s.client(test.token)
		_, err := c.Nodes(t.Context(), core.NodeFilter{})
		wantKind(t, what+" token reads", err, core.Denied, test.says, "METALPOOL_TOKEN")
		_, err = c.Create(t.Context(), order("x"), nil)
		wantKind(t, what+" token writes", err, core.Denied, test.says)
		if strings.Contains(err.Error(), test.token) {
			t.Errorf("the refusal tells the token: %v", err)
		}
	}
	if _, err := client.New(client.Config{URL: "https://" + s.address}); !core.Is(err, core.Denied) {
		t.Errorf("without a token: %v", err)
	}
	if m, err := s.engine.Machines(t.Context(), core.AllocationFilter{}); err != nil || len(m) > 0 {
		t.Errorf("somebody got %v, %v", m, err)
	}
}

// A user finds no trace of others: what is theirs is not found, rather than denied.
func TestUsersSeeOnlyTheirOwn(t *testing.T) {
	r := newRig(t, 3)
	s := r.serve("")
	ann, bob := s.client(r.token(core.TokenOrder{Name: "ann"})), s.client(r.token(core.TokenOrder{Name: "bob"}))
	viewer, ops := s.client(r.token(core.TokenOrder{Name: "eye", Role: core.RoleViewer})), s.client(r.operator())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o := order("web-1")
	o.Owner = "bob" // a token is not asked for its opinion
	m, err := ann.Create(ctx, o, nil)
	if err != nil || m.Owner != "ann" {
		t.Fatalf("%+v, %v", m, err)
	}
	name := "mine"
	for what, try := range map[string]func(c *client.Client) error{
		"find":       func(c *client.Client) error { _, err := c.Machine(ctx, m.ID); return err },
		"find named": func(c *client.Client) error { _, err := c.MachineNamed(ctx, "ann", "web-1"); return err },
		"change": func(c *client.Client) error {
			_, err := c.Change(ctx, m.ID, core.MachineChange{Name: &name})
			return err
		},
		"release":     func(c *client.Client) error { return c.Release(ctx, m.ID, core.ReleaseOptions{}, nil) },
		"power":       func(c *client.Client) error { _, err := c.Power(ctx, m.ID); return err },
		"set power":   func(c *client.Client) error { return c.SetPower(ctx, m.ID, core.TurnOff) },
		"deploy":      func(c *client.Client) error { _, err := c.Deploy(ctx, o, nil); return err },
		"checkdeploy": func(c *client.Client) error { return c.CheckDeploy(ctx, o) },
		"events":      func(c *client.Client) error { _, err := c.Events(ctx, core.EventFilter{Allocation: m.ID}); return err },
		"console":     func(c *client.Client) error { _, err := c.ConsoleTail(ctx, m.Node, 5); return err },
	} {
		wantKind(t, "bob tries to "+what, try(bob), core.NotFound)
	}
	_, err = bob.Create(ctx, order("web-1"), nil)
	wantKind(t, "bob creates under ann's ID", err, core.Exists, "is taken")
	if strings.Contains(fmt.Sprint(err), "ann") {
		t.Errorf("bob hears of ann: %v", err)
	}
	for who, test := range map[string]struct {
		c    *client.Client
		want int
	}{"ann": {ann, 1}, "bob": {bob, 0}, "viewer": {viewer, 1}, "operator": {ops, 1}} {
		list, err := test.c.Machines(ctx, core.AllocationFilter{Owner: either(who == "bob", "ann", "")})
		if err != nil || len(list) != test.want {
			t.Errorf("%s lists %v, %v", who, list, err)
		}
		n, err := test.c.Node(ctx, m.Node)
		if err != nil || (n.Allocation == m.ID) != (test.want == 1) || (n.Spec.BMC.URL != "") != (who == "operator") {
			t.Errorf("%s sees the node as %+v, %v", who, n, err)
		}
		events, err := test.c.Events(ctx, core.EventFilter{Node: m.Node})
		if err != nil || (len(events) > 0) != (test.want == 1) {
			t.Errorf("%s sees %d events of the node, %v", who, len(events), err)
		}
	}
	_, err = viewer.Create(ctx, order("v"), nil)
	wantKind(t, "a viewer creates", err, core.Denied, "role viewer", "takes user")
	_, err = ann.Repair(ctx, m.Node, "")
	wantKind(t, "a user repairs", err, core.Denied, "takes operator")
	_, _, err = ann.CreateToken(ctx, core.TokenOrder{Name: "ann", Role: core.RoleOperator})
	wantKind(t, "a user makes a token", err, core.Denied)
	// The operator gives it back on ann's behalf, and that is written down.
	if err := ops.Release(ctx, m.ID, core.ReleaseOptions{WaitClean: true, Reason: "ann has left"}, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ann|create|m-web-1 (web-1)||begun", "ann|create|m-web-1 (web-1)||done", "ops|release|m-web-1|ann has left|done", "eye|create|m-v||denied", "ann|create-token|||denied"} {
		s.until("in the audit log: "+want, func() bool { return strings.Contains(told(t, ops), want) })
	}
	_, err = ann.Audit(ctx, core.AuditFilter{})
	wantKind(t, "a user reads the audit log", err, core.Denied)
}

// shaky is a pool that finds no machine for a moment.
type shaky struct{ *core.Engine }

func (shaky) Machine(context.Context, core.AllocationID) (core.Machine, error) {
	return core.Machine{}, &core.Error{Op: "find machine", Kind: core.Transient, Err: errors.New("the store does not answer"), Hint: "ask again"}
}

// While it is not known whose an ID is, nobody is told how his order differs from it.
func TestAnOrderWaitsUntilItIsKnownWhoseItsIDIs(t *testing.T) {
	r := newRig(t, 1)
	e, _ := r.engine()
	o := order("web-1")
	o.Owner = "ann"
	if _, err := e.Allocate(t.Context(), o, nil); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(api.Question{ID: o.ID, Order: api.NewOrder(o)})
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/orders/check", bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+r.token(core.TokenOrder{Name: "bob"}))
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	server.New(server.Config{Pool: shaky{e}}).ServeHTTP(w, req)
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Kind != core.Transient || strings.Contains(w.Body.String(), "ann") {
		t.Errorf("bob hears %d %s", w.Code, w.Body)
	}
}

// told is the audit log as text.
func told(t *testing.T, c *client.Client) string {
	t.Helper()
	log, err := c.Audit(t.Context(), core.AuditFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range log {
		lines = append(lines, strings.Join([]string{e.Who, e.What, e.Subject, e.Reason, string(e.Outcome)}, "|"))
		if e.From != "127.0.0.1" || e.Token == "" || e.Request == "" || e.At.IsZero() {
			t.Errorf("a line lacks something: %+v", e)
		}
	}
	return strings.Join(lines, "\n")
}

func either(c bool, a, b string) string {
	if c {
		return a
	}
	return b
}

func TestTokensOfAPoolReachNoOther(t *testing.T) {
	r := newRig(t, 2)
	s := r.serve("")
	ctx := t.Context()
	ci := "ci"
	if err := s.engine.SetPool(ctx, core.Pool{Name: ci, DefaultImage: "debian"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.engine.SetNode(ctx, "n2", core.NodeChange{Pool: &ci}); err != nil {
		t.Fatal(err)
	}
	c := s.client(r.token(core.TokenOrder{Name: "runner", Pools: []string{ci}}))
	_, err := c.Create(ctx, order("a"), nil)
	wantKind(t, "create in the default pool", err, core.Denied, "is for ci", `not for pool "default"`)
	wantKind(t, "check", c.Check(ctx, order("a")), core.Denied)
	_, err = c.Match(ctx, order("a"))
	wantKind(t, "match", err, core.Denied)
	_, err = c.Node(ctx, "n1")
	wantKind(t, "another pool's node", err, core.NotFound)
	if nodes, err := c.Nodes(ctx, core.NodeFilter{}); err != nil || len(nodes) != 1 || nodes[0].ID != "n2" {
		t.Errorf("sees the nodes %v, %v", nodes, err)
	}
	if pools, err := c.Pools(ctx); err != nil || len(pools) != 1 || pools[0].Name != ci {
		t.Errorf("sees the pools %v, %v", pools, err)
	}
	o := order("a")
	o.Request.Pool = ci
	if m, err := c.Create(ctx, o, nil); err != nil || m.Node != "n2" {
		t.Errorf("in its own pool: %+v, %v", m, err)
	}
	limited := s.client(r.token(core.TokenOrder{Name: "ci-ops", Role: core.RoleOperator, Pools: []string{ci}}))
	_, err = limited.Pause(ctx, "n1", "")
	wantKind(t, "an operator of ci pauses another pool's node", err, core.Denied)
	_, err = limited.Reconcile(ctx, core.ReconcileOptions{}, nil)
	wantKind(t, "reconciles", err, core.Denied, "all pools")
	_, _, err = limited.CreateToken(ctx, core.TokenOrder{Name: "x", Role: core.RoleOperator})
	wantKind(t, "makes a token for all", err, core.Denied)
	_, _, err = s.client(r.operator()).CreateToken(ctx, core.TokenOrder{Name: "x", Pools: []string{"cj"}})
	wantKind(t, "a token for no pool", err, core.NotFound, "there are: ci, default")
}

// The quota is looked at in the transaction that takes the node: racers get no more.
func TestQuotaHoldsForRacers(t *testing.T) {
	const racers, quota = 6, 2
	r := newRig(t, racers)
	one, two := r.serve(""), r.serve("")
	secret := r.token(core.TokenOrder{Name: "ci", Quota: quota})
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		got    int
		refuse error
	)
	for i := range racers {
		c := []*running{one, two}[i%2].client(secret)
		wg.Go(func() {
			_, err := c.Allocate(t.Context(), order(fmt.Sprintf("r%d", i)), nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				got++
				return
			}
			refuse = errors.Join(refuse, err)
			wantKind(t, "over quota", err, core.Denied, "ci has 2 of the 2 machines that its token allows", "release one")
		})
	}
	wg.Wait()
	if got != quota {
		t.Errorf("%d were given, want %d: %v", got, quota, refuse)
	}
}
