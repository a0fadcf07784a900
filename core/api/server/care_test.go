package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

func TestHealthAndMetrics(t *testing.T) {
	r := newRig(t, 2)
	s := r.serve("")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, path := range []string{"/healthz", "/readyz"} {
		if resp, text := s.raw(http.MethodGet, path, "", ""); resp.StatusCode != http.StatusOK || text != "ok\n" {
			t.Errorf("%s: %s %q", path, resp.Status, text)
		}
	}
	viewer := r.token(core.TokenOrder{Name: "prometheus", Role: core.RoleViewer})
	for who, token := range map[string]string{"a stranger": "", "a user": r.token(core.TokenOrder{Name: "ann"}), "who sees one pool": r.token(core.TokenOrder{Name: "x", Role: core.RoleViewer, Pools: []string{core.DefaultPool}})} {
		if resp, text := s.raw(http.MethodGet, "/metrics", token, ""); resp.StatusCode/100 != 4 || strings.Contains(text, "metalpool_nodes") {
			t.Errorf("%s reads the metrics: %s", who, resp.Status)
		}
	}
	c := s.client(r.operator())
	m, err := c.Create(ctx, order("web-1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Release(ctx, m.ID, core.ReleaseOptions{WaitClean: true}, nil); err != nil {
		t.Fatal(err)
	}
	resp, text := s.raw(http.MethodGet, "/metrics", viewer, "")
	for _, want := range []string{
		`metalpool_nodes{pool="default",state="Available"} 2`, `metalpool_store_up 1`, `metalpool_step_seconds_count{step="write image"} 1`,
		`metalpool_erases_total 1`, `metalpool_state_changes_total{state="Deployed"} 1`, `metalpool_request_seconds_count{operation="PUT /v1/machines/{id}",status="202"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %s", resp.Status, want)
		}
	}
}

// The log is JSON with what a write is about, and with no secret; nor is one in the
// audit log, in an answer, or in the store's own files.
func TestNoSecretLeaks(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	ops := r.operator()
	c := s.client(ops)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o := order("web-1")
	o.UserData = []byte("#cloud-config\npassword: hunter2\n")
	m, err := c.Create(ctx, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	password := "s3cr3t-bmc"
	_, err = c.Enroll(ctx, core.Enrollment{URL: "https://root:" + password + "@n9.bmc", Password: password}, nil)
	wantKind(t, "credentials in the BMC's address", err, core.Invalid)
	if _, err := c.SetNode(ctx, "n1", core.NodeChange{Password: &password}); err != nil {
		t.Fatal(err)
	}
	_, user, err := c.CreateToken(ctx, core.TokenOrder{Name: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	_, refused := s.raw(http.MethodPost, "/v1/nodes", ops, `{"url":"https://n9.bmc","password":["`+password+`"],"x":"`+password+`"}`)
	texts := []string{s.log.String(), refused}
	for _, path := range []string{"/v1/audit", "/v1/tokens", "/v1/nodes", "/v1/nodes/n1", "/v1/machines", "/v1/machines/" + string(m.ID), "/v1/events", "/v1/pools", "/v1/images"} {
		resp, text := s.raw(http.MethodGet, path, ops, "")
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", path, resp.Status, text)
		}
		texts = append(texts, text)
	}
	all := strings.Join(texts, "\n")
	for what, secret := range map[string]string{"token": ops, "new token": user, "user data": "hunter2", "BMC password": password, "old BMC password": "calvin", "seal": "secret\":"} {
		if strings.Contains(all, secret) {
			t.Errorf("the %s leaks", what)
		}
	}
	s.until("the log tells of the last write", func() bool { return strings.Contains(s.log.String(), `"what":"create-token"`) })
	found := false
	for line := range strings.Lines(s.log.String()) {
		var entry struct{ Msg, What, Subject, Request, Outcome string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		found = found || entry.Msg == "write" && entry.What == "create" && strings.Contains(entry.Subject, string(m.ID)) && entry.Request != "" && entry.Outcome == "done"
	}
	if !found {
		t.Errorf("the log does not tell of the create:\n%s", s.log)
	}
}
