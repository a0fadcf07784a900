package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
	"github.com/metalpool/metalpool/core/api/server"
)

// slow is a pool whose policies take until the gate opens.
type slow struct {
	*core.Engine
	began chan string
	gate  chan struct{}
}

func (s slow) SetPool(_ context.Context, p core.Pool) error {
	s.began <- p.Name
	<-s.gate
	return nil
}

// refusedForNow checks that somebody is told to ask again, and why.
func refusedForNow(t *testing.T, w *httptest.ResponseRecorder, says string) {
	t.Helper()
	resp := reply{http.StatusText(w.Code), w.Code, w.Result().Header}
	p := problem(t, resp, w.Body.String())
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || p.Kind != core.Transient || !strings.Contains(p.Detail, says) {
		t.Errorf("answered %d, Retry-After %q: %s; want %q", w.Code, w.Header().Get("Retry-After"), p.Detail, says)
	}
}

// A token has so many writes under way, whoever sends them, and others none the fewer.
func TestATokensWritesAreBounded(t *testing.T) {
	for name, test := range map[string]struct {
		crowd server.Crowd
		fits  int // writes
		says  string
	}{
		"their number": {server.Crowd{Working: 2}, 3, "3 writes under way"},
		// A body counts while its request is answered, and besides as what the write keeps.
		"their bytes": {server.Crowd{Held: 4200}, 2, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 0)
			e, _ := r.engine()
			pool := slow{e, make(chan string, 10), make(chan struct{})}
			s := server.New(server.Config{Pool: pool, Crowd: test.crowd})
			one, other := r.operator(), r.operator()
			var answered sync.WaitGroup
			set := func(token, name string) *httptest.ResponseRecorder {
				return ask(t, s, token, http.MethodPut, "/v1/pools/"+name, `{"name":"`+name+`"`+strings.Repeat(" ", 500)+`,"default_image":"`+strings.Repeat("x", 500)+`"}`)
			}
			under := func(token, name string) {
				answered.Go(func() {
					if w := set(token, name); w.Code != http.StatusOK {
						t.Errorf("%s: %d %s", name, w.Code, w.Body)
					}
				})
			}
			for i := range test.fits {
				under(one, fmt.Sprintf("p%d", i))
				<-pool.began
			}
			refusedForNow(t, set(one, "more"), test.says)
			under(other, "others")
			if name := <-pool.began; name != "others" {
				t.Errorf("%s began", name)
			}
			if w := ask(t, s, one, http.MethodGet, "/v1/pools", ""); w.Code != http.StatusOK {
				t.Errorf("a read: %d", w.Code)
			}
			close(pool.gate)
			answered.Wait()
			if w := set(one, "more"); w.Code != http.StatusOK {
				t.Errorf("when all have ended: %d %s", w.Code, w.Body)
			}
		})
	}
}

// queue is a server whose only node is taken, and how a token of it asks for more.
func queue(t *testing.T, crowd server.Crowd) (s *server.Server, ops string, create func(name, wait string) *httptest.ResponseRecorder) {
	t.Helper()
	r := newRig(t, 1)
	e, _ := r.engine()
	s, ops = server.New(server.Config{Pool: e, QueueGrace: time.Hour, Crowd: crowd}), r.operator()
	t.Cleanup(func() {
		if err := s.Drain(context.Background()); err != nil {
			t.Error(err)
		}
	})
	create = func(name, wait string) *httptest.ResponseRecorder {
		return ask(t, s, ops, http.MethodPut, "/v1/machines/m-"+name, `{"name":"`+name+`","allocate_only":true,"wait":"`+wait+`"}`)
	}
	if w := create("holder", "0s"); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return s, ops, create
}

// Orders that queue take little, and leave room for those that do not.
func TestOrdersThatQueueAreCountedApart(t *testing.T) {
	s, ops, create := queue(t, server.Crowd{Working: 1, Queuing: 2})
	for _, name := range []string{"one", "two"} {
		if w := create(name, "1h"); w.Code != http.StatusAccepted {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	refusedForNow(t, create("three", "1h"), "2 orders that queue")
	if w := create("one", "1h"); w.Code != http.StatusAccepted {
		t.Errorf("an order that queues already is answered %d", w.Code)
	}
	if w := ask(t, s, ops, http.MethodDelete, "/v1/machines/m-two", ""); w.Code != http.StatusOK {
		t.Errorf("beside those that queue: %d %s", w.Code, w.Body)
	}
}

// Who asks for the same again and again, each time as a request of its own, has no more of
// them kept than another.
func TestRequestsForOneWriteAreBounded(t *testing.T) {
	_, _, create := queue(t, server.Crowd{Told: 4})
	for i := range 4 { // of which the first takes the place of the holder's
		if w := create("one", "1h"); w.Code != http.StatusAccepted {
			t.Fatalf("%d: %d %s", i, w.Code, w.Body)
		}
	}
	refusedForNow(t, create("one", "1h"), "4 requests under way")
	if w := create("two", "1h"); w.Code != http.StatusAccepted {
		t.Errorf("another order: %d %s", w.Code, w.Body)
	}
}

// The ends of the last writes are told again, and not of all that there ever were.
func TestSoManyEndsAreRemembered(t *testing.T) {
	r := newRig(t, 0)
	e, _ := r.engine()
	s := server.New(server.Config{Pool: e, Crowd: server.Crowd{Told: 3}})
	ops := r.operator()
	follow := func(i int) int {
		return ask(t, s, ops, http.MethodGet, api.ProgressPath(fmt.Sprintf("r-%d", i)), "").Code
	}
	for i := range 10 {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v1/pools/p", strings.NewReader(fmt.Sprintf(`{"name":"p","quota":%d}`, i)))
		req.Header.Set("Authorization", "Bearer "+ops)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(api.HeaderRequest, fmt.Sprintf("r-%d", i))
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		if w.Code != http.StatusOK || follow(i) != http.StatusOK {
			t.Fatalf("%d: %d %s", i, w.Code, w.Body)
		}
	}
	for i, want := range map[int]int{0: http.StatusNotFound, 5: http.StatusNotFound, 6: http.StatusNotFound, 8: http.StatusOK, 9: http.StatusOK} {
		if got := follow(i); got != want {
			t.Errorf("the end of write %d is told with %d, want %d", i, got, want)
		}
	}
}
