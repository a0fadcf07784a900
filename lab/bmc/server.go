package bmc

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// DefaultIdleTimeout is how long a BMC keeps a connection that is not used.
const DefaultIdleTimeout = 15 * time.Second

// Server is a BMC on a listener.
type Server struct {
	bmc      *BMC
	http     *http.Server
	listener net.Listener
	done     chan struct{}
}

// Serve answers for b over TLS on l, which it owns from then on, until Close.
// One BMC may be served several times, also again after Close.
func Serve(b *BMC, l net.Listener, certificate tls.Certificate) *Server {
	s := &Server{bmc: b, listener: l, done: make(chan struct{})}
	s.http = &http.Server{
		Handler: b,
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate},
			MinVersion:   tls.VersionTLS12,
			// A ticket costs each new connection a write, and keys here;
			// clients of BMCs do not resume sessions.
			SessionTicketsDisabled: true,
		},
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       DefaultIdleTimeout,
		MaxHeaderBytes:    16 << 10,
		ConnState:         b.traffic.connection,
		// Not nil: HTTP/1.1 alone, as most controllers speak; it is also what
		// lets a fault cut a single connection.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		// Clients that refuse the certificate are none of the lab's news.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() {
		defer close(s.done)
		// Close is the only way out that callers can act on.
		_ = s.http.ServeTLS(l, "", "")
	}()
	return s
}

// URL is the address that clients use: https://host:port, without a path.
func (s *Server) URL() string { return "https://" + s.listener.Addr().String() }

// Close stops listening and cuts every connection. Requests that a fault holds
// are let go without an answer.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
