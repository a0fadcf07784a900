package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/core/api/server"
)

// least is the least role that each operation takes, with a body that is understood.
var least = map[string]struct {
	role core.Role
	body string
}{
	"GET /v1/identity":                {role: core.RoleViewer},
	"GET /v1/machines":                {role: core.RoleViewer},
	"GET /v1/machine?name=a":          {role: core.RoleViewer},
	"GET /v1/machines/m-1":            {role: core.RoleViewer},
	"GET /v1/machines/m-1/power":      {role: core.RoleViewer},
	"GET /v1/nodes":                   {role: core.RoleViewer},
	"GET /v1/nodes/n1":                {role: core.RoleViewer},
	"GET /v1/pools":                   {role: core.RoleViewer},
	"GET /v1/pools/default":           {role: core.RoleViewer},
	"GET /v1/images":                  {role: core.RoleViewer},
	"GET /v1/images/debian":           {role: core.RoleViewer},
	"GET /v1/events":                  {role: core.RoleViewer},
	"GET /v1/stages":                  {role: core.RoleViewer},
	"GET /v1/stats":                   {role: core.RoleOperator},
	"GET /v1/requests/r-1/progress":   {role: core.RoleViewer},
	"POST /v1/orders/match":           {role: core.RoleViewer, body: `{"order":{"name":"a"}}`},
	"POST /v1/orders/check":           {role: core.RoleUser, body: `{"id":"m-1","order":{"name":"a"}}`},
	"POST /v1/orders/check-deploy":    {role: core.RoleUser, body: `{"id":"m-1","order":{"name":"a"}}`},
	"PUT /v1/machines/m-1":            {role: core.RoleUser, body: `{"name":"_"}`},
	"PUT /v1/machines/m-1/deployment": {role: core.RoleUser, body: `{"name":"a"}`},
	"PATCH /v1/machines/m-1":          {role: core.RoleUser, body: `{}`},
	"PUT /v1/machines/m-1/power":      {role: core.RoleUser, body: `{"verb":"off"}`},
	"DELETE /v1/machines/m-2":         {role: core.RoleUser},
	"GET /v1/nodes/n1/console":        {role: core.RoleUser},
	"GET /v1/nodes/n9/console/stream": {role: core.RoleOperator},
	"POST /v1/nodes":                  {role: core.RoleOperator, body: `{"url":"_"}`},
	"PATCH /v1/nodes/n9":              {role: core.RoleOperator, body: `{}`},
	"DELETE /v1/nodes/n9":             {role: core.RoleOperator},
	"POST /v1/nodes/n9/repair":        {role: core.RoleOperator},
	"POST /v1/nodes/n9/pause":         {role: core.RoleOperator},
	"POST /v1/nodes/n9/resume":        {role: core.RoleOperator},
	"POST /v1/nodes/n9/set-up":        {role: core.RoleOperator},
	"GET /v1/nodes/n9/drift":          {role: core.RoleOperator},
	"GET /v1/nodes/n9/bios":           {role: core.RoleOperator},
	"POST /v1/nodes/n9/rest":          {role: core.RoleOperator},
	"PUT /v1/pools/p":                 {role: core.RoleOperator, body: `{"name":"p"}`},
	"DELETE /v1/pools/p":              {role: core.RoleOperator},
	"PUT /v1/images/i":                {role: core.RoleOperator, body: `{"source":"/i"}`},
	"DELETE /v1/images/i":             {role: core.RoleOperator},
	"GET /v1/steps":                   {role: core.RoleOperator},
	"GET /v1/steps/s":                 {role: core.RoleOperator},
	"DELETE /v1/steps/s":              {role: core.RoleOperator},
	"GET /v1/profiles":                {role: core.RoleViewer},
	"GET /v1/profiles/p":              {role: core.RoleViewer},
	"DELETE /v1/profiles/p":           {role: core.RoleOperator},
	"POST /v1/declarations":           {role: core.RoleOperator, body: `{"by":"file:x"}`},
	"POST /v1/reconcile":              {role: core.RoleOperator, body: `{}`},
	"GET /v1/invariants":              {role: core.RoleOperator},
	"GET /v1/tokens":                  {role: core.RoleOperator},
	"POST /v1/tokens":                 {role: core.RoleOperator, body: `{"name":"x"}`},
	"DELETE /v1/tokens/t-1":           {role: core.RoleOperator},
	"GET /v1/audit":                   {role: core.RoleOperator},
}

// Each operation asks for a token, and for the role that it says; none is forgotten here.
func TestEachOperationTakesItsRole(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	tokens := map[core.Role]string{}
	for _, role := range core.Roles {
		tokens[role] = r.token(core.TokenOrder{Name: string(role), Role: role})
	}
	for line, o := range least {
		method, path, _ := strings.Cut(line, " ")
		for _, role := range core.Roles {
			resp, text := s.raw(method, path, tokens[role], o.body)
			denied := resp.StatusCode == http.StatusForbidden && strings.Contains(text, "the token of "+string(role)+" has the role "+string(role)+", and this takes "+string(o.role))
			if denied == role.Covers(o.role) || resp.StatusCode == http.StatusUnauthorized || resp.StatusCode >= http.StatusInternalServerError && o.role == core.RoleOperator && role != o.role {
				t.Errorf("a %s: %s: %s %s", role, line, resp.Status, text)
			}
		}
	}
	document, err := server.New(server.Config{Pool: s.engine}).OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(document), "operationId:"); n != len(least) {
		t.Errorf("%d operations are looked at, and there are %d", len(least), n)
	}
	// Strangers: one try each for a few, since an address may not go on for long.
	for _, line := range []string{"GET /v1/machines", "PUT /v1/pools/p", "GET /v1/tokens", "GET /metrics", "POST /v1/tokens", "GET /v1/nodes/n9/console/stream"} {
		method, path, _ := strings.Cut(line, " ")
		if resp, text := s.raw(method, path, "", least[line].body); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("nobody: %s: %s %s", line, resp.Status, text)
		}
	}
}

// A token of some pools learns nothing of another pool's node by asking for it, and a
// viewer not where a BMC is.
func TestNodesOfOtherPoolsAreNotThere(t *testing.T) {
	r := newRig(t, 2)
	s := r.serve("")
	ci := "ci"
	if err := s.engine.SetPool(t.Context(), core.Pool{Name: ci, DefaultImage: "debian"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.engine.SetNode(t.Context(), "n2", core.NodeChange{Pool: &ci}); err != nil {
		t.Fatal(err)
	}
	c := s.client(r.token(core.TokenOrder{Name: "runner", Pools: []string{ci}}))
	for _, node := range []core.NodeID{"n1", "n3"} {
		o := order("a")
		o.Request.Pool, o.Request.Node = ci, node
		_, created := c.Create(t.Context(), o, nil)
		_, matched := c.Match(t.Context(), o)
		for what, err := range map[string]error{"create": created, "match": matched, "check": c.Check(t.Context(), o)} {
			wantKind(t, what+" on "+string(node), err, core.NotFound, "no such node")
			if strings.Contains(err.Error(), core.DefaultPool) || strings.Contains(err.Error(), "n2") {
				t.Errorf("%s on %s tells %v", what, node, err)
			}
		}
	}
	events, err := s.client(r.token(core.TokenOrder{Name: "eye", Role: core.RoleViewer})).Events(t.Context(), core.EventFilter{Node: "n1"})
	if err != nil || len(events) == 0 {
		t.Fatal(events, err)
	}
	for _, e := range events {
		if strings.Contains(e.Message, "n1.bmc") {
			t.Errorf("a viewer reads %+v", e)
		}
	}
}

// A signed address of an image is for operators.
func TestSignaturesOfImagesAreNotShown(t *testing.T) {
	r := newRig(t, 0)
	s := r.serve("")
	ops := s.client(r.operator())
	const address, signature = "https://images.example/a.img", "?X-Amz-Signature=abc"
	if _, err := ops.AddImage(t.Context(), core.Image{Name: "signed", Source: address + signature, SHA256: strings.Repeat("a", 64)}, nil); err != nil {
		t.Fatal(err)
	}
	user := s.client(r.token(core.TokenOrder{Name: "ann"}))
	for who, test := range map[string]struct {
		c    *client.Client
		want string
	}{"ops": {ops, address + signature}, "ann": {user, address}} {
		i, err := test.c.Image(t.Context(), "signed")
		if err != nil || i.Source != test.want {
			t.Errorf("%s is told %q, %v", who, i.Source, err)
		}
		all, err := test.c.Images(t.Context())
		if err != nil || !slices.ContainsFunc(all, func(i core.Image) bool { return i.Source == test.want }) {
			t.Errorf("%s lists %v, %v", who, all, err)
		}
	}
}
