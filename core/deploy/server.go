package deploy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
)

// listener is one lazily opened HTTP server.
type listener struct {
	mu     sync.Mutex
	server *http.Server
	port   int
	closed bool
}

// open listens unless it does already, and returns the port.
func (l *listener) open(ctx context.Context, bind string, ports portRange, s *http.Server, wrap func(net.Listener) net.Listener) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, &core.Error{Op: "serve", Kind: core.Internal, Err: errors.New("the deployer is closed")}
	}
	if l.server != nil {
		return l.port, nil
	}
	inner, err := listen(ctx, bind, ports)
	if err != nil {
		return 0, err
	}
	l.server, l.port = s, inner.Addr().(*net.TCPAddr).Port
	go func() { _ = s.Serve(wrap(inner)) }() // ends with close
	return l.port, nil
}

func (l *listener) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.server == nil {
		return nil
	}
	return l.server.Close()
}

// listen takes the first free port of the range: several processes may share it.
func listen(ctx context.Context, bind string, ports portRange) (net.Listener, error) {
	var config net.ListenConfig
	var last error
	for port := ports.first; port <= ports.last; port++ {
		inner, err := config.Listen(ctx, "tcp", net.JoinHostPort(bind, strconv.Itoa(port)))
		if err == nil {
			return inner, nil
		}
		last = err
	}
	return nil, &core.Error{
		Op: "listen for BMCs and agents", Kind: core.Transient,
		Err:  fmt.Errorf("no port of %d-%d is free: %w", ports.first, ports.last, last),
		Hint: "set METALPOOL_PORTS to a range with room for two ports per process",
	}
}

func (d *Deployer) httpServer(h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // what BMCs and agents speak; the other costs memory per server
	return &http.Server{
		Handler:           h,
		Protocols:         protocols,
		ReadHeaderTimeout: 15 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(d.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// mount is something served over plain HTTP below a path that cannot be guessed.
type mount struct {
	handler http.Handler
	expires time.Time // zero: with unmount
}

// serve makes a handler reachable over plain HTTP: below path, which it does not
// see in its requests, at port. After unmount, or from expires on, 410 Gone is
// answered. BMCs fetch over plain HTTP, and agents check a digest, so the path's
// secrecy only keeps out the merely curious.
func (d *Deployer) serve(ctx context.Context, h http.Handler, expires time.Time) (port int, path string, unmount func(), err error) {
	port, err = d.plain.open(ctx, d.cfg.Bind, d.ports, d.httpServer(http.HandlerFunc(d.serveMount)), func(l net.Listener) net.Listener { return l })
	if err != nil {
		return 0, "", nil, err
	}
	path = "/" + randomID()
	d.mu.Lock()
	d.mounts[path] = mount{h, expires}
	d.mu.Unlock()
	return port, path, func() {
		d.mu.Lock()
		delete(d.mounts, path)
		d.mu.Unlock()
	}, nil
}

// serveMount cannot tell what has expired from what never was, and need not.
func (d *Deployer) serveMount(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if end := strings.IndexByte(strings.TrimPrefix(path, "/"), '/'); end >= 0 {
		path = path[:end+1]
	}
	d.mu.Lock()
	m, ok := d.mounts[path]
	d.mu.Unlock()
	if !ok || !m.expires.IsZero() && !d.cfg.Now().Before(m.expires) {
		http.Error(w, "gone: what was here belonged to an attempt that has ended", http.StatusGone)
		return
	}
	http.StripPrefix(path, m.handler).ServeHTTP(w, r)
}

// randomID is 128 bits in lower-case hex: a path, a boot ID, a DNS label.
func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// host is the address without its port.
func host(address string) string {
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return h
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // to a peer that has gone, nothing can be said
}
