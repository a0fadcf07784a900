package pgtest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/metalpool/metalpool/internal/needs"
)

// OwnWithClock starts a server as Own does, whose clock is its own; see SetClock. For what
// lasts it still goes by the kernel's.
func OwnWithClock(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := newServer(needs.Postgres(t), needs.Faketime(t), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// HasClock is whether the server's clock can be set.
func (s *Server) HasClock() bool { return s.faketime != "" }

// SetClock puts the server's clock ahead of the kernel's by so much, or behind, from its
// next start on. While it runs that cannot be: the library would read a file wherever
// PostgreSQL looks at its clock, and it does so where it is interrupted, too.
func (s *Server) SetClock(ahead time.Duration) error {
	if !s.HasClock() {
		return errors.New("this server goes by the kernel's clock: make it with OwnWithClock")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead = ahead
	return nil
}

// clock is what the server's environment has for its clock.
func (s *Server) clock() []string {
	if !s.HasClock() {
		return nil
	}
	return []string{"LD_PRELOAD=" + s.faketime, fmt.Sprintf("FAKETIME=%+.3f", s.ahead.Seconds()), "FAKETIME_DONT_FAKE_MONOTONIC=1"}
}
