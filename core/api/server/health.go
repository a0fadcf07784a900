package server

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// Paths beside the API's. The first two tell strangers nothing; the third takes a
// viewer's token.
const (
	pathHealth  = "/healthz" // the process answers
	pathReady   = "/readyz"  // it takes requests: the store can be read, and it does not drain
	pathMetrics = "/metrics"
)

const readyTime = 2 * time.Second

// care registers what those ask who look after the server.
func (s *Server) care(mux *http.ServeMux) {
	mux.HandleFunc("GET "+pathHealth, func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET "+pathReady, func(w http.ResponseWriter, _ *http.Request) {
		why := s.unready()
		if why != "" {
			say(w, http.StatusServiceUnavailable, why)
			return
		}
		say(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET "+pathMetrics, func(w http.ResponseWriter, r *http.Request) {
		p := caller(r.Context())
		err := p.needs(core.RoleViewer, "read the metrics", "")
		if err == nil && p.Role == core.RoleUser {
			err = &core.Error{Op: "read the metrics", Kind: core.Denied, Err: plain("a user sees no others' machines, and these count all"), Hint: "use a viewer's token"}
		}
		if err == nil {
			err = p.Everywhere("read the metrics")
		}
		if err != nil {
			writeProblem(w, api.NewProblem(err))
			return
		}
		s.metrics.ServeHTTP(w, r)
	})
}

// readiness is what was last found out about the store: strangers may ask as often as they
// like, and the store is asked once a second.
type readiness struct {
	mu  sync.Mutex // held while the store is asked: whoever comes meanwhile takes the same answer
	at  time.Time
	why string
}

// readyFor is how long an answer of the store's is good.
const readyFor = time.Second

// unready says why no requests are taken; "" where they are.
func (s *Server) unready() string {
	const outdated = "the pool's key, schema or place was changed: this server is stopping, and has to be started again"
	switch {
	case s.old.Load():
		return outdated
	case s.jobs.isDraining():
		return "draining"
	}
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	if time.Since(s.ready.at) < readyFor {
		return s.ready.why
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTime) // the answer is not for one alone
	defer cancel()
	_, err := s.pool.Pools(ctx)
	s.ready.at, s.ready.why = time.Now(), ""
	switch {
	case s.outdated(err):
		s.ready.why = outdated
	case err != nil:
		s.log.Error("the store cannot be read", "error", err)
		s.ready.why = "the store cannot be read"
	}
	return s.ready.why
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // who does not listen has gone
}

// guarded reports whether a path takes a token.
func guarded(path string) bool {
	return strings.HasPrefix(path, api.Prefix+"/") || path == pathMetrics
}

// observed counts and logs each request, once it was answered.
func (s *Server) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, seen := time.Now(), &status{ResponseWriter: w, code: http.StatusOK}
		s.unbroken(next, seen, r)
		took := time.Since(began)
		level := slog.LevelDebug
		if seen.code >= http.StatusInternalServerError {
			level = slog.LevelWarn
		}
		// The pattern, and not the path: it is one of few, and repeats nothing that was sent.
		pattern := seen.pattern
		if pattern == "" {
			pattern = "none"
		}
		s.metrics.Answered(pattern, seen.code, took)
		s.log.Log(r.Context(), level, "request", "operation", pattern, "status", seen.code, "took", took.Seconds(), "from", hostOf(r), "request", r.Header.Get(api.HeaderRequest))
	})
}

// unbroken keeps a defect that a request meets from being known to its client alone: one
// that only reads is done outside of any job.
func (s *Server) unbroken(next http.Handler, w *status, r *http.Request) {
	defer func() {
		what := recover()
		switch what {
		case nil:
			return
		case http.ErrAbortHandler: // who broke off his answer has told why
			panic(what)
		}
		s.log.Error("panic", "what", what, "stack", string(debug.Stack()))
		if w.begun {
			panic(http.ErrAbortHandler) // the answer is half there, and must not look whole
		}
		writeProblem(w, api.NewProblem(errDefect))
	}()
	next.ServeHTTP(w, r)
}

// status remembers what was answered, and to which operation.
type status struct {
	http.ResponseWriter
	code    int
	begun   bool
	pattern string
}

func (s *status) WriteHeader(code int) {
	s.code, s.begun = code, true
	s.ResponseWriter.WriteHeader(code)
}

func (s *status) Write(p []byte) (int, error) {
	s.begun = true
	return s.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// patterned tells the one who counts which operation it was.
func patterned(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen, ok := w.(*status); ok {
			_, seen.pattern = mux.Handler(r)
		}
		mux.ServeHTTP(w, r)
	})
}
