package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/metalpool/metalpool/agent/chunk"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// source is where a write's chunks are. It moves when another engine takes over.
type source struct {
	client *http.Client

	mu    sync.Mutex
	hosts []string // the one that answered last is first
	port  string
	path  string
	here  context.Context // ends when it moves
	leave context.CancelFunc
}

func newSource(o *wire.WriteOrder, caller string) *source {
	s := &source{client: &http.Client{Transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ResponseHeaderTimeout: 30 * time.Second,
		MaxIdleConnsPerHost:   fetchers,
		IdleConnTimeout:       30 * time.Second,
		DisableCompression:    true,
	}}}
	s.here, s.leave = context.WithCancel(context.Background())
	s.move(o, caller)
	return s
}

func (s *source) move(o *wire.WriteOrder, caller string) {
	hosts := slices.Clone(o.Hosts)
	if !slices.Contains(hosts, caller) {
		hosts = append(hosts, caller)
	}
	port := strconv.Itoa(o.Manifest.Port)
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(hosts, s.hosts) && port == s.port && o.Manifest.Path == s.path {
		return
	}
	s.hosts, s.port, s.path = hosts, port, o.Manifest.Path
	s.leave()
	s.here, s.leave = context.WithCancel(context.Background())
}

// now returns where chunks are; here ends when that is no longer so.
func (s *source) now() (host, base string, here context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hosts[0], "http://" + net.JoinHostPort(s.hosts[0], s.port) + s.path + "/", s.here
}

// turn puts a host that failed last.
func (s *source) turn(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hosts[0] == host {
		s.hosts = append(slices.Clone(s.hosts[1:]), host)
	}
}

func (s *source) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave()
	s.client.CloseIdleConnections()
}

// chunkTimeout bounds one chunk's way through a network, however slow.
const chunkTimeout = 3 * time.Minute

// get fetches one chunk and checks it. What it returns lies in buf.
func (s *source) get(ctx context.Context, base string, n, size int, digest string, buf *buffer) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+strconv.Itoa(n), nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", base, answer.Status)
	}
	// What cannot be compressed grows a little.
	limit := size + size/64 + 4<<10
	if buf.packed, err = readAll(buf.packed[:0], io.LimitReader(answer.Body, int64(limit)+1)); err != nil {
		return nil, err
	}
	if len(buf.packed) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes for a chunk of %d", chunk.ErrCorrupt, limit, size)
	}
	return buf.Unpack(buf.packed, size, digest)
}

// readAll is io.ReadAll into a slice that is used again.
func readAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}
