//go:build vm

package vmtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// watchedStore is a store beside which something happens while it commits.
type watchedStore struct {
	core.Store

	mu     sync.Mutex
	happen map[string]func() // once, by step
}

// whileMet has something happen once, in the transaction that writes down that a step
// is met: what the step did is done, and nobody knows yet.
func (s *watchedStore) whileMet(step string, happen func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.happen == nil {
		s.happen = map[string]func(){}
	}
	s.happen[step] = happen
}

func (s *watchedStore) Update(ctx context.Context, fn func(core.Tx) error) error {
	return s.Store.Update(ctx, func(tx core.Tx) error { return fn(watchedTx{tx, s}) })
}

type watchedTx struct {
	core.Tx
	store *watchedStore
}

func (t watchedTx) PutAttempt(a core.Attempt) error {
	t.store.mu.Lock()
	var due []func()
	for step, happen := range t.store.happen {
		if _, met := a.Met[step]; met {
			delete(t.store.happen, step)
			due = append(due, happen)
		}
	}
	t.store.mu.Unlock()
	for _, happen := range due {
		happen()
	}
	return t.Tx.PutAttempt(a)
}

// chunkProxy is a deployer whose images pass through a proxy on their way to agents.
type chunkProxy struct {
	core.Deployer
	t    *testing.T
	port int

	mu     sync.Mutex
	target *url.URL
	seen   int
	spoil  func(n int, chunk []byte) []byte // what arrives of the n-th chunk; nil: the chunk
}

func newChunkProxy(t *testing.T, d core.Deployer) *chunkProxy {
	t.Helper()
	p := &chunkProxy{Deployer: d, t: t}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	try(t, err)
	p.port = l.Addr().(*net.TCPAddr).Port
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			p.mu.Lock()
			defer p.mu.Unlock()
			r.SetURL(p.target)
		},
		ModifyResponse: p.pass,
	}
	server := &http.Server{Handler: proxy}
	go func() { _ = server.Serve(l) }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return p
}

// whileWriting has something done once in the next write of an image, while the agent
// waits for a chunk of it: a write of a small image may end before it tells of any
// progress.
func (r *rack) whileWriting(do func()) {
	var once sync.Once
	r.chunk.spoils(func(n int, chunk []byte) []byte {
		if n == 3 {
			once.Do(do)
		}
		return chunk
	})
	r.t.Cleanup(func() { r.chunk.spoils(nil) })
}

// spoils has the chunks of the images to come arrive as spoil says; n counts from 1.
func (p *chunkProxy) spoils(spoil func(n int, chunk []byte) []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen, p.spoil = 0, spoil
}

func (p *chunkProxy) pass(r *http.Response) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
	if p.spoil == nil {
		return nil
	}
	chunk, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return err
	}
	chunk = p.spoil(p.seen, chunk)
	r.Body = io.NopCloser(bytes.NewReader(chunk))
	r.ContentLength = int64(len(chunk))
	r.Header.Set("Content-Length", strconv.Itoa(len(chunk)))
	return nil
}

func (p *chunkProxy) OpenImage(ctx context.Context, i core.Image) (core.ImageSource, error) {
	source, err := p.Deployer.OpenImage(ctx, i)
	if err != nil {
		return nil, err
	}
	m := source.Manifest()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(m.Port))}
	return proxied{source, p.port}, nil
}

type proxied struct {
	core.ImageSource
	port int
}

func (p proxied) Manifest() core.Manifest {
	m := p.ImageSource.Manifest()
	m.Port = p.port
	return m
}
