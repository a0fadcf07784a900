package server_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/server"
)

// revoke ends the tokens of an owner.
func revoke(t *testing.T, e *core.Engine, owner string) {
	t.Helper()
	tokens, err := e.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range tokens {
		if k.Name != owner {
			continue
		}
		if _, err := e.RevokeToken(t.Context(), k.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// Who is put out while he queues hears no more, and is given nothing.
func TestARevokedTokenQueuesNoLonger(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ops := s.client(r.operator())
	if _, err := ops.Allocate(ctx, order("holder"), nil); err != nil {
		t.Fatal(err)
	}
	c := s.client(r.token(core.TokenOrder{Name: "eve"}))
	o := order("eve")
	o.Wait = time.Hour
	told, ended := make(chan core.Progress, 10), make(chan error, 1)
	go func() {
		_, err := c.Create(ctx, o, func(p core.Progress) { told <- p })
		ended <- err
	}()
	awaitStep(t, told, core.StepQueue) // she hears the stream
	revoke(t, s.engine, "eve")
	wantKind(t, "eve", <-ended, core.Denied, "was revoked")
	if err := ops.Release(ctx, "m-holder", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
		t.Fatal(err)
	}
	if state := s.state(o.ID); state == core.Deployed {
		t.Error("eve has a machine")
	}
}

// talkative is a pool whose consoles never end.
type talkative struct{ *core.Engine }

func (talkative) Console(context.Context, core.NodeID) (io.ReadCloser, error) {
	reader, _ := io.Pipe()
	return reader, nil
}

// Who reads a console hears no more of it, either.
func TestARevokedTokenHearsNoConsole(t *testing.T) {
	r := newRig(t, 1)
	e, _ := r.engine()
	s := httptest.NewServer(server.New(server.Config{Pool: talkative{e}}))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v1/nodes/n1/console/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token(core.TokenOrder{Name: "eve", Role: core.RoleOperator}))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	revoke(t, e, "eve")
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("the console goes on: %v", err)
	}
}
