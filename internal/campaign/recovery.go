package campaign

import (
	"slices"
	"time"
)

// sample is how the pool stood at a moment.
type sample struct {
	at    time.Time
	nodes map[string]nodeState
}

// nodeState is a node as `node list` prints it, as far as we look at it.
type nodeState struct {
	State string
	Since time.Time
	By    string // the machine that has it
}

func (n nodeState) working() bool {
	return n.State == "Deploying" || n.State == "Cleaning" || n.State == "Preparing"
}

// done is an operation that ended.
type done struct {
	began, ended time.Time
	changed      bool // it has changed something, and succeeded
}

// struck is a fault that was planted.
type struck struct {
	kind    Kind
	at      time.Time
	node    string // that it is about; empty: any
	machine string // the same
}

// about reports whether a fault is about a node in that state.
func (s struck) about(id string, n nodeState) bool {
	switch {
	case s.node != "":
		return id == s.node
	case s.machine != "":
		return n.By == s.machine
	}
	return true
}

// recovery is how long it took after a fault until every node that it is about, and that
// was at work, had come to rest or to its next state, and an operation that was begun
// after it had succeeded. Other faults may have struck meanwhile: it is no less than what
// this one took. known is false where the samples do not tell.
func recovery(s struck, samples []sample, ops []done) (took time.Duration, known bool) {
	first := slices.IndexFunc(samples, func(p sample) bool { return !p.at.Before(s.at) })
	if first < 0 {
		return 0, false
	}
	over := time.Time{}
	for id, n := range samples[first].nodes {
		if !n.working() || !s.about(id, n) {
			continue
		}
		left := slices.IndexFunc(samples[first:], func(p sample) bool {
			now, there := p.nodes[id]
			return there && (!now.working() || now.State != n.State || !now.Since.Equal(n.Since))
		})
		if left < 0 {
			return 0, false
		}
		over = latest(over, samples[first+left].at)
	}
	works := time.Time{}
	for _, op := range ops {
		if op.changed && op.began.After(s.at) && (works.IsZero() || op.ended.Before(works)) {
			works = op.ended
		}
	}
	if works.IsZero() {
		return 0, false
	}
	return latest(over, works).Sub(s.at), true
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
