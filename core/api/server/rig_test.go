package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/core/api/server"
	"github.com/metalpool/metalpool/core/enginetest"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// timing is quick: these tests have a real clock, since they have real connections.
var timing = core.Timing{Lease: 4 * time.Second, Call: time.Second, Retry: 10 * time.Millisecond, Queue: 10 * time.Millisecond, Place: time.Second}

// patience is far beyond what anything takes on a busy machine.
const patience = 2 * time.Minute

// rig is a rack in memory with a real store, and servers of it on loopback.
type rig struct {
	t    testing.TB
	dir  string
	rack *enginetest.Rack
	key  *seal.Key
}

// newRig enrolls and erases every server of a new rack.
func newRig(t testing.TB, servers int) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), rack: enginetest.NewRack(servers)}
	var err error
	if r.key, err = seal.LoadOrCreate("", filepath.Join(r.dir, "key")); err != nil {
		t.Fatal(err)
	}
	e, _ := r.engine()
	fill(t, e, r.rack)
	return r
}

// fill enrolls and erases every server of a rack.
func fill(t testing.TB, e *core.Engine, rack *enginetest.Rack) {
	t.Helper()
	if _, err := e.AddImage(t.Context(), core.Image{Name: "debian", Source: "/debian.img", Arch: "amd64", User: "debian"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "debian"}); err != nil {
		t.Fatal(err)
	}
	for _, s := range rack.Servers() {
		if _, err := e.Enroll(t.Context(), core.Enrollment{ID: s.ID, URL: s.BMC(), User: "root", Password: "calvin", Erase: true}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Reconcile(t.Context(), core.ReconcileOptions{Wait: true}, nil); err != nil {
		t.Fatal(err)
	}
}

// engine is one more process on the pool.
func (r *rig) engine() (*core.Engine, *enginetest.Host) {
	r.t.Helper()
	store, err := sqlite.Open(r.t.Context(), filepath.Join(r.dir, "pool.db"), sqlite.Options{Create: true, KeyFingerprint: r.key.Fingerprint()})
	if err != nil {
		r.t.Fatal(err)
	}
	host := r.rack.Host()
	e := core.New(core.Config{
		Store: host.Store(store), Sealer: r.key, Deployer: host, Timing: timing,
		Backends: map[string]core.Connector{"redfish": host},
	})
	r.t.Cleanup(func() { _ = e.Close() })
	return e, host
}

// running is a server that answers.
type running struct {
	*server.Server
	t           testing.TB
	address     string
	fingerprint string
	engine      *core.Engine
	host        *enginetest.Host
	stop        context.CancelFunc
	ended       chan error
	log         *lockedBuffer
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// serve starts a server on the pool; at "" it listens anywhere.
func (r *rig) serve(at string) *running {
	r.t.Helper()
	e, host := r.engine()
	s := &running{t: r.t, engine: e, host: host, ended: make(chan error, 1), log: &lockedBuffer{}}
	s.Server = server.New(server.Config{
		Pool: e, Images: r.dir, LookTime: time.Nanosecond, QueueGrace: 2 * time.Second, // more than a client needs to come back on a busy machine
		Log: slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	var (
		err    error
		config *tls.Config
	)
	if config, s.fingerprint, err = server.OwnCertificate(r.t.Context(), e, filepath.Join(r.dir, "serve-ca.pem"), []string{"127.0.0.1"}, slog.New(slog.NewJSONHandler(s.log, nil))); err != nil {
		r.t.Fatal(err)
	}
	if at == "" {
		at = "127.0.0.1:0"
	}
	l, err := new(net.ListenConfig).Listen(r.t.Context(), "tcp", at)
	if err != nil {
		r.t.Fatal(err)
	}
	s.address = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.ended <- s.Serve(ctx, l, config) }()
	r.t.Cleanup(func() { s.end() })
	return s
}

// end drains the server, and returns when it has ended.
func (s *running) end() {
	s.stop()
	if err := <-s.ended; err != nil {
		s.t.Error(err)
	}
	s.ended <- nil
}

// client is one for a token.
func (s *running) client(token string) *client.Client {
	s.t.Helper()
	c, err := client.New(client.Config{URL: "https://" + s.address, Token: token, Fingerprint: s.fingerprint, Patience: patience})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// token makes one.
func (r *rig) token(o core.TokenOrder) string {
	r.t.Helper()
	e, _ := r.engine()
	_, secret, err := e.CreateToken(r.t.Context(), o)
	if err != nil {
		r.t.Fatal(err)
	}
	return secret
}

// operator is a token that may do everything.
func (r *rig) operator() string {
	return r.token(core.TokenOrder{Name: "ops", Role: core.RoleOperator})
}

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEdQVC7RBMF5JYcZDrR2zVSpFUs+yP4YSAlOhgmsAr9X test"

func order(name string) core.Order {
	return core.Order{ID: core.AllocationID("m-" + name), Name: name, Keys: []string{key}}
}

// sameText checks that an error reads through the server as it does without.
func sameText(t *testing.T, what string, through, embedded error) {
	t.Helper()
	if through == nil || embedded == nil {
		t.Errorf("%s: %v through the server, %v without", what, through, embedded)
		return
	}
	if through.Error() != embedded.Error() || core.KindOf(through) != core.KindOf(embedded) {
		t.Errorf("%s:\nthrough the server %v\nwithout            %v", what, through, embedded)
	}
	var e *core.Error
	if !errors.As(through, &e) {
		t.Errorf("%s is no Error: %T", what, through)
	}
}

// reply is an answer without its body.
type reply struct {
	Status     string // with its words
	StatusCode int
	Header     http.Header
}

// raw is what a client that is not ours gets, with all that it is told.
func (s *running) raw(method, path, token, body string, headers ...string) (reply, string) {
	s.t.Helper()
	check, err := client.Pinned(s.fingerprint)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, "https://"+s.address+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{TLSClientConfig: check}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply{resp.Status, resp.StatusCode, resp.Header}, string(text)
}

// ask asks a handler without a connection.
func ask(t *testing.T, s http.Handler, token, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	return askAs(t, s, token, method, path, "", body)
}

// askAs is ask under the ID of a write.
func askAs(t *testing.T, s http.Handler, token, method, path, request, body string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	if request != "" {
		req.Header.Set(api.HeaderRequest, request)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	return w
}
