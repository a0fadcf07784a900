package redfish

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
)

// wire is a connection to a BMC, and what holds back a write on it that would be late.
type wire struct {
	*http.Transport
	latest *latest
}

func (w *wire) close() { w.CloseIdleConnections() }

// shelf keeps the wires of conversations that have ended for those that begin a moment
// later, as a deploy does after the question whether the BMC answers at all: a handshake
// takes a BMC's small processor longer than all that is then said. Whoever takes a wire
// has it alone.
type shelf struct {
	mu    sync.Mutex
	wires map[string]*shelved
}

type shelved struct {
	wire *wire
	drop *time.Timer
}

// shelfKey tells wires apart on which another BMC may have answered, or one that was
// checked in another way.
func shelfKey(at address, check core.TLSCheck) string {
	trust := "host"
	switch {
	case check.Fingerprint != "":
		trust = "fingerprint " + check.Fingerprint
	case check.CA != "":
		trust = "CA " + check.CA
	case check.Insecure:
		trust = "nothing"
	}
	return strings.Join([]string{at.base, trust}, "\n")
}

// take returns nil where there is none.
func (s *shelf) take(key string) *wire {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := s.wires[key]
	if there == nil {
		return nil
	}
	delete(s.wires, key)
	there.drop.Stop()
	return there.wire
}

// put keeps a wire for that long.
func (s *shelf) put(key string, w *wire, keep time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wires == nil {
		s.wires = map[string]*shelved{}
	}
	if s.wires[key] != nil {
		w.close()
		return
	}
	there := &shelved{wire: w}
	there.drop = time.AfterFunc(keep, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.wires[key] == there {
			delete(s.wires, key)
			w.close()
		}
	})
	s.wires[key] = there
}
