package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/metalpool/metalpool/core"
)

const (
	headerTime = 10 * time.Second
	bodyTime   = time.Minute
	// takenTime is long: an answer may be a list of all there ever was, on a slow line.
	takenTime  = 5 * time.Minute
	idleTime   = 2 * time.Minute
	mostHeader = 16 << 10
	// pingAfter and pingTime find connections that died without saying so: who follows
	// an order that queues has to be there.
	pingAfter = 10 * time.Second
	pingTime  = 10 * time.Second
	// drainTime is how long what is under way has to come to a place where another
	// server can go on: one call to a BMC, and a little.
	drainTime = 30 * time.Second
	closeTime = 5 * time.Second
)

// Serve answers at l until ctx ends; then it drains, and returns nil. Where it finds that
// the store is not the one any more that it has opened, it drains by itself, and returns
// why: what runs it has to start it again.
func (s *Server) Serve(ctx context.Context, l net.Listener, certificate *tls.Config) error {
	defer s.denials.flush() // when nobody is answered any more
	h := &http.Server{
		Handler:           s,
		TLSConfig:         certificate,
		ReadHeaderTimeout: s.headerTime,
		WriteTimeout:      s.takenTime, // streams take it away again
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    mostHeader,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTime, MaxConcurrentStreams: 250},
		ErrorLog:          log.New(handshakes{s.log}, "", 0),
	}
	begin, cancel := context.WithTimeout(ctx, readyTime)
	if err := s.metrics.Begin(begin); err != nil {
		s.log.Warn("what happens is counted from the first look at "+pathMetrics+" on", "error", err)
	}
	cancel()
	failed := make(chan error, 1)
	go func() { failed <- h.ServeTLS(l, "", "") }()
	var ends error
	select {
	case err := <-failed:
		return err
	case ends = <-s.ends:
		s.log.Error("draining", "why", ends)
	case <-ctx.Done():
		s.log.Info("draining", "why", context.Cause(ctx))
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := s.Drain(drain); err != nil {
		s.log.Warn("some work did not end in time; its leases lapse", "error", err)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	if err := h.Shutdown(closing); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(ends, err)
	}
	return errors.Join(ends, h.Close())
}

// End has Serve drain, and return why.
func (s *Server) End(why error) {
	select {
	case s.ends <- why:
	default: // it ends already
	}
}

// outdated reports whether err is that the store was changed under the server, which then
// ends.
func (s *Server) outdated(err error) bool {
	if !errors.Is(err, core.ErrOutdated) {
		return false
	}
	s.old.Store(true)
	s.End(err)
	return true
}

// handshakes puts what net/http has to say into the log; most of it is strangers who
// knock.
type handshakes struct{ log *slog.Logger }

func (h handshakes) Write(line []byte) (int, error) {
	h.log.Debug("connection", "said", string(line))
	return len(line), nil
}
