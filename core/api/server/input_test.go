package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/core/api/server"
)

// problem reads a refusal, which every answer that is no success must be.
func problem(t *testing.T, resp reply, text string) api.Problem {
	t.Helper()
	var p api.Problem
	if kind := resp.Header.Get("Content-Type"); kind != api.ProblemType {
		t.Errorf("%s comes as %q: %s", resp.Status, kind, text)
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil || p.Kind == "" || p.Detail == "" || p.Hint == "" || p.Status != resp.StatusCode {
		t.Errorf("%s says %s (%v)", resp.Status, text, err)
	}
	return p
}

func TestBadInputIsRefusedWithAReason(t *testing.T) {
	r := newRig(t, 0)
	s := r.serve("")
	ops := r.operator()
	long, endless := strings.Repeat("x", 200), strings.Repeat("x", 1025)
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"no JSON":          {"PUT", "/v1/machines/m-1", `{"name":`, 400, "unexpected"},
		"another type":     {"PUT", "/v1/machines/m-1", `{"name":7}`, 422, "body.name: expected string"},
		"unknown field":    {"PUT", "/v1/machines/m-1", `{"name":"a","colour":"b"}`, 422, "body.colour: unexpected property"},
		"another case":     {"PUT", "/v1/machines/m-1", `{"Name":"a"}`, 422, "body.Name"},
		"deep unknown":     {"PUT", "/v1/machines/m-1", `{"name":"a","request":{"disks":[{"count":1,"sise":1}]}}`, 422, "sise"},
		"null":             {"PUT", "/v1/machines/m-1", `null`, 422, "expected object"},
		"a list":           {"PUT", "/v1/machines/m-1", `[]`, 422, "expected object"},
		"bad duration":     {"PUT", "/v1/machines/m-1", `{"name":"a","wait":"soon"}`, 422, "duration"},
		"no body":          {"PUT", "/v1/machines/m-1", ``, 400, "body"},
		"bad base64":       {"PUT", "/v1/machines/m-1", `{"name":"a","user_data":"!"}`, 422, "base64"},
		"bad ID":           {"PUT", "/v1/machines/%20", `{"name":"a"}`, 400, "not an allocation ID"},
		"long ID":          {"PUT", "/v1/machines/" + long, `{"name":"a"}`, 422, "path.id"},
		"bad power verb":   {"PUT", "/v1/machines/m-1/power", `{"verb":"explode"}`, 422, "body.verb"},
		"unknown query":    {"GET", "/v1/machines?ownr=x", ``, 422, "ownr"},
		"bad query":        {"GET", "/v1/events?after=yesterday", ``, 422, "query.after"},
		"negative":         {"GET", "/v1/events?limit=-1", ``, 422, "query.limit"},
		"another pool":     {"PUT", "/v1/pools/a", `{"name":"b"}`, 400, "that of a pool b"},
		"unknown role":     {"POST", "/v1/tokens", `{"name":"a","role":"king"}`, 400, "no role"},
		"negative quota":   {"POST", "/v1/tokens", `{"name":"a","quota":-1}`, 400, "negative"},
		"token of nobody":  {"POST", "/v1/tokens", `{"name":"a b"}`, 400, "cannot name an owner"},
		"unknown token":    {"DELETE", "/v1/tokens/t-9", ``, 404, "no token has this ID"},
		"unknown progress": {"GET", "/v1/requests/r-9/progress", ``, 404, "no such write"},
		"who enrolls":      {"POST", "/v1/nodes", `{"url":"https://bmc","by":"` + endless + `"}`, 422, "body.by: expected length <= 1024"},
		"who changes":      {"PATCH", "/v1/nodes/n9", `{"by":"` + endless + `"}`, 422, "body.by: expected length <= 1024"},
		"who adds":         {"PUT", "/v1/images/a", `{"source":"a.img","by":"` + endless + `"}`, 422, "body.by: expected length <= 1024"},
		"who declares":     {"POST", "/v1/declarations", `{"by":"` + endless + `"}`, 400, "a name of 1025 bytes, which may be 1024"},
	} {
		resp, text := s.raw(test.method, test.path, ops, test.body)
		p := problem(t, resp, text)
		if resp.StatusCode != test.status || !strings.Contains(p.Detail, test.says) {
			t.Errorf("%s: %d %s, want %d with %q", name, resp.StatusCode, p.Detail, test.status, test.says)
		}
	}
	resp, text := s.raw("PUT", "/v1/machines/m-1", ops, `name: a`, "Content-Type", "application/yaml")
	if p := problem(t, resp, text); resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("YAML: %s %s", resp.Status, p.Detail)
	}
	resp, text = s.raw("POST", "/v1/tokens", ops, `{"name":"a"}`, api.HeaderRequest, "not an ID")
	if p := problem(t, resp, text); resp.StatusCode/100 != 4 || !strings.Contains(p.Detail, "Metalpool-Request") {
		t.Errorf("a bad request ID: %s %s", resp.Status, p.Detail)
	}
	if all, err := s.engine.Machines(t.Context(), core.AllocationFilter{}); err != nil || len(all) > 0 {
		t.Errorf("it made %v, %v", all, err)
	}
}

func TestOversizedRequestsAreRefused(t *testing.T) {
	r := newRig(t, 0)
	s := r.serve("")
	ops := r.operator()
	for path, size := range map[string]int{"/v1/machines/m-1": api.MaxBody, "/v1/pools/a": api.MaxSmallBody} {
		resp, text := s.raw("PUT", path, ops, `{"name":"`+strings.Repeat("a", size)+`"}`)
		if p := problem(t, resp, text); resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %s %s", path, resp.Status, p.Detail)
		}
	}
	resp, _ := s.raw("GET", "/v1/pools", ops, "", "X-Long", strings.Repeat("a", 1<<20))
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("long headers: %s", resp.Status)
	}
	// Who has no token is not listened to.
	resp, text := s.raw("PUT", "/v1/machines/m-1", "", strings.Repeat(" ", 1<<20))
	if p := problem(t, resp, text); resp.StatusCode != http.StatusUnauthorized || p.Kind != core.Denied {
		t.Errorf("a stranger's body: %s %s", resp.Status, p.Detail)
	}
}

// Clients that send slowly do not hold the server.
func TestSlowClientsAreCutOff(t *testing.T) {
	r := newRig(t, 0)
	e, _ := r.engine()
	config, pin, err := server.OwnCertificate(t.Context(), e, "", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	s := server.New(server.Config{Pool: e, HeaderTime: 100 * time.Millisecond, BodyTime: 100 * time.Millisecond})
	go func() { ended <- s.Serve(ctx, l, config) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	check, err := client.Pinned(pin)
	if err != nil {
		t.Fatal(err)
	}
	check.NextProtos = []string{"http/1.1"}
	for what, begin := range map[string]string{
		"headers":         "GET /v1/pools HTTP/1.1\r\nHost: x\r\n",
		"body":            "PUT /v1/machines/m-1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + r.operator() + "\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
		"stranger's body": "PUT /v1/machines/m-1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
	} {
		conn, err := (&tls.Dialer{Config: check}).DialContext(ctx, "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, begin); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(bufio.NewReader(conn))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("who sends %s slowly is still there", what)
		}
		if line, _, _ := strings.Cut(string(answer), "\r\n"); strings.Contains(line, " 2") {
			t.Errorf("half a request (%s) is answered %s", what, line)
		}
		_ = conn.Close()
	}
}

func TestOldAndNewClients(t *testing.T) {
	r := newRig(t, 0)
	s := r.serve("")
	ops := r.operator()
	for level, says := range map[string]string{
		strconv.Itoa(api.Level): "", "": "",
		strconv.Itoa(api.Level + 1): "upgrade the server", "0": "is no number", "one": "is no number",
		strconv.Itoa(api.Level) + "abc": "is no number", strconv.Itoa(api.Level) + " 2": "is no number",
	} {
		resp, text := s.raw("GET", "/v1/pools", ops, "", api.HeaderLevel, level)
		if resp.Header.Get(api.HeaderLevel) != strconv.Itoa(api.Level) {
			t.Errorf("the server does not say what it speaks")
		}
		if says == "" {
			if resp.StatusCode != http.StatusOK {
				t.Errorf("level %q: %s %s", level, resp.Status, text)
			}
			continue
		}
		if p := problem(t, resp, text); resp.StatusCode != http.StatusBadRequest || !strings.Contains(p.Detail, says) {
			t.Errorf("level %q: %s %s", level, resp.Status, p.Detail)
		}
	}
}

// from asks as an address would.
func from(ctx context.Context, s http.Handler, address, token string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/pools", nil)
	req.RemoteAddr = address
	req.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	return w
}

func TestRatesAreLimited(t *testing.T) {
	r := newRig(t, 0)
	e, _ := r.engine()
	s := server.New(server.Config{Pool: e})
	good := r.operator()
	limited := func(address, token string, most int) bool {
		for range most {
			if w := from(t.Context(), s, address, token); w.Code == http.StatusTooManyRequests {
				if seconds, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || seconds < 1 {
					t.Errorf("Retry-After is %q", w.Header().Get("Retry-After"))
				}
				return true
			}
		}
		return false
	}
	if w := from(t.Context(), s, "192.0.2.1:1", good); w.Code != http.StatusOK {
		t.Errorf("a good token is answered %d", w.Code)
	}
	if !limited("192.0.2.1:1", "guess", 100) {
		t.Error("who guesses tokens is answered each time")
	}
	if w := from(t.Context(), s, "192.0.2.1:1", good); w.Code != http.StatusOK {
		t.Errorf("who is known, and has the address of one who guesses, is answered %d", w.Code)
	}
	if w := from(t.Context(), s, "192.0.2.2:1", good); w.Code != http.StatusOK {
		t.Errorf("another address is answered %d", w.Code)
	}
	if !limited("192.0.2.3:1", good, 10_000) {
		t.Error("a token is answered as often as it asks")
	}
	if w := from(t.Context(), s, "192.0.2.3:1", r.operator()); w.Code != http.StatusOK {
		t.Errorf("another token is answered %d", w.Code)
	}
	// Strangers by the thousand take no memory without an end, nor anybody's place.
	for i := range 11_000 {
		from(t.Context(), s, fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), "guess")
	}
	if w := from(t.Context(), s, "192.0.2.4:1", r.operator()); w.Code != http.StatusOK {
		t.Errorf("after many strangers a token is answered %d", w.Code)
	}
}

// neverRead is a body that nobody may read.
type neverRead struct{ t *testing.T }

func (n neverRead) Read([]byte) (int, error) {
	n.t.Error("the body is read")
	return 0, io.EOF
}

// Who may not do a thing is told so before anything that he sends is read, and the audit
// log tells of it.
func TestTheRoleIsLookedAtBeforeTheBody(t *testing.T) {
	r := newRig(t, 0)
	e, _ := r.engine()
	s := server.New(server.Config{Pool: e})
	viewer, user := r.token(core.TokenOrder{Name: "eve", Role: core.RoleViewer}), r.token(core.TokenOrder{Name: "bob"})
	for line, o := range least {
		method, path, _ := strings.Cut(line, " ")
		token, who := user, core.RoleUser
		if o.role == core.RoleUser {
			token, who = viewer, core.RoleViewer
		}
		if o.body == "" || who.Covers(o.role) {
			continue
		}
		req := httptest.NewRequestWithContext(t.Context(), method, path, neverRead{t})
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "and this takes "+string(o.role)) {
			t.Errorf("%s: %d %s", line, w.Code, w.Body)
		}
	}
	log, err := e.Audit(t.Context(), core.AuditFilter{})
	if err != nil {
		t.Fatal(err)
	}
	subjects := map[string]string{}
	for _, line := range log {
		subjects[line.What] = line.Subject
		if line.Outcome != core.AuditDenied {
			t.Errorf("in the audit log is %+v", line)
		}
	}
	for what, subject := range map[string]string{"create": "m-1", "set-power": "m-1", "set-node": "n9", "set-pool": "p", "add-image": "i", "enroll": "", "create-token": ""} {
		if got, there := subjects[what]; !there || got != subject {
			t.Errorf("the audit log tells %s of %q, want %q", what, got, subject)
		}
	}
	if _, there := subjects["check"]; there {
		t.Error("a question is in the audit log")
	}
}
