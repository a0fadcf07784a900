package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/core/api/server"
)

// behind is our client of a handler that answers over TLS.
func behind(t *testing.T, h http.Handler, token string) *client.Client {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	c, err := client.New(client.Config{URL: s.URL, Token: token, Fingerprint: client.Fingerprint(s.Certificate()), Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A client that is newer than its server is told so in words, for reads and for writes, and
// nothing was done.
func TestANewClientAtAnOldServer(t *testing.T) {
	r := newRig(t, 1)
	e, _ := r.engine()
	s := server.New(server.Config{Pool: e})
	c := behind(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Header.Set(api.HeaderLevel, strconv.Itoa(api.Level+1))
		s.ServeHTTP(w, req)
	}), r.operator())
	_, err := c.Nodes(t.Context(), core.NodeFilter{})
	wantKind(t, "a read", err, core.Invalid, fmt.Sprintf("this client speaks level %d of the API, and the server levels %d to %d", api.Level+1, api.LeastLevel, api.Level), "upgrade the server, or use an older client")
	_, err = c.Create(t.Context(), order("a"), nil)
	wantKind(t, "a write", err, core.Invalid, "upgrade the server")
	if all, err := e.Machines(t.Context(), core.AllocationFilter{}); err != nil || len(all) > 0 {
		t.Errorf("it made %v, %v", all, err)
	}
	// What a newer client may send besides is not done as if it had not been said.
	w := ask(t, s, r.operator(), http.MethodPut, "/v1/machines/m-1", `{"name":"a","allocate_only":true,"new_in_level_2":true}`)
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "new_in_level_2: unexpected property") || !strings.Contains(w.Body.String(), "older or newer client") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A client that is older than its server reads past what it does not know.
func TestAnOldClientAtANewServer(t *testing.T) {
	answers := map[string]string{
		"GET /v1/nodes":                  `[{"id":"n1","state":"available","invented":{"a":[1]}}]`,
		"PUT /v1/pools/p":                `{"done":false,"progress":"/v1/requests/x/progress","invented":1}`,
		"GET /v1/requests/{id}/progress": ": a comment\nevent: invented\ndata: {\"a\":1}\n\nretry: 7\nevent: progress\nid: 7\ndata: {\"step\":\"s\",\"invented\":1}\n\nevent: end\ndata: {\"result\":{},\"invented\":1}\n\n",
	}
	mux := http.NewServeMux()
	for pattern, answer := range answers {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(api.HeaderLevel, strconv.Itoa(api.Level+1))
			_, _ = io.WriteString(w, answer)
		})
	}
	c := behind(t, mux, "metalpool_x")
	if nodes, err := c.Nodes(t.Context(), core.NodeFilter{}); err != nil || len(nodes) != 1 || nodes[0].ID != "n1" {
		t.Errorf("a list comes as %+v, %v", nodes, err)
	}
	if err := c.SetPool(t.Context(), core.Pool{Name: "p"}); err != nil {
		t.Errorf("a write: %v", err)
	}
}
