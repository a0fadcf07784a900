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
}

func (p phase) took() time.Duration { return time.Duration(p.Seconds * float64(time.Second)) }

// phases tells from an allocation's events where its time went. A step lasts from
// the event before it to the one that says that it is done, or failed.
func phases(events []core.Event) []phase {
	var (
		all  []phase
		last time.Time
	)
	end := func(ev core.Event, name string, failed bool) {
		all = append(all, phase{Name: name, Node: ev.Node, Began: last, Seconds: ev.At.Sub(last).Seconds(), Failed: failed})
	}
	for _, ev := range events {
		if last.IsZero() {
			last = ev.At
		}
		switch {
		case ev.Type == core.StepMet || ev.Type == core.StepFailed:
			end(ev, ev.Step, ev.Type == core.StepFailed)
		case ev.Type != core.StateChanged:
			continue // a note ends nothing
		case ev.From == core.Waiting || ev.From == core.Allocated:
			end(ev, string(ev.From), false)
		}
		last = ev.At
	}
	return all
}
