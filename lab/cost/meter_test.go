//go:build bench

package cost

import (
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/bmc"
)

// spent is what something took.
type spent struct {
	requests    map[bmc.Verb]int // to the BMC
	connections int              // to the BMC
	commits     int64            // to the store
	wall        time.Duration
	engine, lab time.Duration // of processors
}

func (s spent) total() (n int) {
	for _, of := range s.requests {
		n += of
	}
	return n
}

// add is s and n times what lies between two samples.
func (s spent) add(from, to spent) spent {
	sum := spent{
		requests:    map[bmc.Verb]int{},
		connections: s.connections + to.connections - from.connections,
		commits:     s.commits + to.commits - from.commits,
		wall:        s.wall + to.wall - from.wall,
		engine:      s.engine + to.engine - from.engine,
		lab:         s.lab + to.lab - from.lab,
	}
	for v, n := range s.requests {
		sum.requests[v] = n
	}
	for v, n := range to.requests {
		sum.requests[v] += n - from.requests[v]
	}
	return sum
}

// over is the mean of n.
func (s spent) over(n int) spent {
	s.commits /= int64(n)
	s.wall /= time.Duration(n)
	s.engine /= time.Duration(n)
	s.lab /= time.Duration(n)
	return s
}

// meter tells what each step of a create or a rm took. It is the Reporter of the one
// goroutine that does the work.
type meter struct {
	sample func() spent // ever growing

	step  string // under way
	since spent
	order []string // of the steps
	steps map[string]spent
}

func newMeter(first string, sample func() spent) *meter {
	return &meter{sample: sample, step: first, since: sample(), steps: map[string]spent{}}
}

func (m *meter) report(p core.Progress) {
	if p.Step != m.step {
		m.turn(p.Step)
	}
}

// turn ends a step and begins the next.
func (m *meter) turn(next string) {
	now := m.sample()
	if _, known := m.steps[m.step]; !known {
		m.order = append(m.order, m.step)
	}
	m.steps[m.step] = m.steps[m.step].add(m.since, now)
	m.step, m.since = next, now
}

// sum is that of all steps that have ended.
func (m *meter) sum() (all spent) {
	for _, s := range m.steps {
		all = all.add(spent{}, s)
	}
	return all
}
