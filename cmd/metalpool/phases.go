package main

import (
	"time"

	"github.com/metalpool/metalpool/core"
)

// phase is one stretch of an allocation's life in which something was done.
type phase struct {
	Name    string      `json:"name"` // a step, or the state that was waited in
	Node    core.NodeID `json:"node,omitempty"`
	Began   time.Time   `json:"began"`
	Seconds float64     `json:"seconds"`
	Failed  bool        `json:"failed,omitempty"`
	// Bytes is how much was moved; of an image, what it takes on the disk.
	Bytes     core.Bytes `json:"bytes,omitempty"`
	PerSecond core.Bytes `json:"bytes_per_second,omitempty"`
}

func (p phase) took() time.Duration { return time.Duration(p.Seconds * float64(time.Second)) }

// phases tells from an allocation's events where its time went.
func phases(events []core.Event) []phase {
	var (
		all   []phase
		watch stopwatch
	)
	for _, ev := range events {
		if p, ended := watch.lap(ev); ended {
			all = append(all, p)
		}
	}
	return all
}

// stopwatch measures phases as events come. A step lasts from the event before it to
// the one that says that it is done, or failed: whether or not it is gone on without.
type stopwatch struct{ last time.Time }

// lap returns the phase that the event ends, if it ends one. The first event ends
// none, for nobody knows what began before it.
func (s *stopwatch) lap(ev core.Event) (p phase, ended bool) {
	began := s.last
	first := began.IsZero()
	switch {
	case ev.Type == core.StepMet || ev.Type == core.StepFailed || ev.Type == core.StepUndone:
		p.Name, p.Failed, ended = ev.Step, ev.Type != core.StepMet, true
	case ev.Type != core.StateChanged:
		if first {
			s.last = ev.At
		}
		return p, false // a note ends nothing
	case ev.From == core.Waiting || ev.From == core.Allocated:
		p.Name, ended = string(ev.From), true
	}
	s.last = ev.At
	if first {
		return p, false
	}
	took := ev.At.Sub(began)
	p.Node, p.Began, p.Seconds, p.Bytes = ev.Node, began, took.Seconds(), ev.Bytes
	if p.Bytes > 0 && took > 0 {
		p.PerSecond = core.Bytes(float64(p.Bytes) / took.Seconds())
	}
	return p, ended
}

// moved says how much a phase has moved, and how fast: "2 GiB, 97 MiB/s".
func (p phase) moved() string {
	if p.Bytes == 0 {
		return ""
	}
	return p.Bytes.String() + either(p.PerSecond > 0, ", "+p.PerSecond.String()+"/s", "")
}
