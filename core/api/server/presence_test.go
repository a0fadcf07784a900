package server_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
	"github.com/metalpool/metalpool/core/api/server"
)

// Who is put out at a server hears no more of it at once: it does not wait until it looks
// again, which here is in an hour.
func TestWhoIsPutOutHearsNoMoreAtOnce(t *testing.T) {
	r := newRig(t, 1)
	e, _ := r.engine()
	handler := server.New(server.Config{Pool: talkative{e}, AliveTime: time.Hour, QueueGrace: time.Hour})
	s := httptest.NewServer(handler)
	defer s.Close()
	defer func() {
		if err := handler.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := e.Allocate(ctx, order("holder"), nil); err != nil {
		t.Fatal(err)
	}
	hears := func(path, secret string) io.ReadCloser {
		t.Helper()
		if w := askAs(t, handler, secret, http.MethodPut, "/v1/machines/m-"+secret[len(secret)-8:], "r-1", `{"name":"q","allocate_only":true,"wait":"1h"}`); w.Code != http.StatusAccepted {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
		return resp.Body
	}
	ops := r.operator()
	for what, path := range map[string]string{"progress": api.ProgressPath("r-1"), "a console": "/v1/nodes/n1/console/stream"} {
		token, secret, err := e.CreateToken(ctx, core.TokenOrder{Name: "eve-" + what[:1], Role: core.RoleOperator})
		if err != nil {
			t.Fatal(err)
		}
		body := hears(path, secret)
		if w := ask(t, handler, ops, http.MethodDelete, "/v1/tokens/"+token.ID, ""); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			t.Errorf("%s of a token that was revoked goes on: %v", what, err)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	}
}
