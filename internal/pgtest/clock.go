package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/metalpool/metalpool/internal/needs"
)

// OwnWithClock starts a server as Own does, whose clock is its own; see SetClock. For what
// lasts it still goes by the kernel's.
func OwnWithClock(t testing.TB, settings ...string) *Server {
	t.Helper()
	library := needs.Faketime(t)
	s, err := newServer(needs.Postgres(t), func(dir string) ([]string, error) {
		file := clockFile(dir)
		env := []string{"LD_PRELOAD=" + library, "FAKETIME_TIMESTAMP_FILE=" + file, "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"}
		return env, writeClock(file, 0)
	}, settings)
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
func (s *Server) HasClock() bool { return len(s.env) > 0 }

// SetClock puts the server's clock ahead of the kernel's by so much, or behind, at once
// and also for those who are connected.
func (s *Server) SetClock(ahead time.Duration) error {
	if !s.HasClock() {
		return errors.New("this server goes by the kernel's clock: make it with OwnWithClock")
	}
	return writeClock(clockFile(s.dir), ahead)
}

func clockFile(dir string) string { return filepath.Join(dir, "clock") }

func writeClock(file string, ahead time.Duration) error {
	// Whole or not at all: the server reads it whenever it looks at its clock.
	if err := os.WriteFile(file+".new", []byte(fmt.Sprintf("%+.3f\n", ahead.Seconds())), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
