package bmc

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
)

// Traffic is what clients asked of a BMC since the last ResetTraffic.
type Traffic struct {
	Requests    int          `json:"requests"`
	Connections int          `json:"connections"` // accepted; with TLS, each is one handshake
	Open        int          `json:"open"`        // connections open now
	Peak        int          `json:"peak"`        // most requests under way at once
	WritePeak   int          `json:"write_peak"`  // most requests under way at once that were not reads
	Verbs       map[Verb]int `json:"verbs,omitempty"`
	Recent      []Exchange   `json:"recent,omitempty"` // oldest first; at most Config.Record
}

// Exchange is one answered request. Status 0 is a connection that was cut.
type Exchange struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Verb   Verb   `json:"verb"`
	Status int    `json:"status"`
}

// meter counts the traffic of one BMC.
type meter struct {
	mu     sync.Mutex
	seen   Traffic
	now    int // requests under way
	writes int // of these, not reads
	record int
}

func (m *meter) connection(_ net.Conn, state http.ConnState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch state {
	case http.StateNew:
		m.seen.Connections++
		m.seen.Open++
	case http.StateClosed, http.StateHijacked:
		m.seen.Open--
	}
}

func (m *meter) begin(write bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now++
	m.seen.Peak = max(m.seen.Peak, m.now)
	if write {
		m.writes++
		m.seen.WritePeak = max(m.seen.WritePeak, m.writes)
	}
}

func (m *meter) end(write bool, e Exchange) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now--
	if write {
		m.writes--
	}
	m.seen.Requests++
	if m.seen.Verbs == nil {
		m.seen.Verbs = map[Verb]int{}
	}
	m.seen.Verbs[e.Verb]++
	if m.record == 0 {
		return
	}
	if len(m.seen.Recent) == m.record {
		m.seen.Recent = slices.Delete(m.seen.Recent, 0, 1)
	}
	m.seen.Recent = append(m.seen.Recent, e)
}

// Traffic returns a copy of the counts.
func (b *BMC) Traffic() Traffic {
	m := &b.traffic
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := m.seen
	seen.Verbs = maps.Clone(seen.Verbs)
	seen.Recent = slices.Clone(seen.Recent)
	return seen
}

// ResetTraffic starts counting anew. Connections that are open stay counted as
// Open, requests under way count when they end.
func (b *BMC) ResetTraffic() {
	m := &b.traffic
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = Traffic{Open: m.seen.Open, Peak: m.now, WritePeak: m.writes}
}
