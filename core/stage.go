package core

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Stage is how far the work on a node is, for people.
type Stage struct {
	Node       NodeID       `json:"node"`
	Pool       string       `json:"pool"`
	Allocation AllocationID `json:"allocation,omitempty"` // whose node it is, while it is somebody's
	Step       string       `json:"step"`                 // under way, or the next one
	Since      time.Time    `json:"since"`                // when it began
	// Worker is the process that works on it, user@host/pid; empty where nobody does,
	// which is then since Left. A deploy may be gone on with by its caller until Until.
	Worker string    `json:"worker,omitempty"`
	Left   time.Time `json:"left,omitzero"`
	Until  time.Time `json:"until,omitzero"`
	// Served is that a server of the pool goes on with it, and nobody need ask.
	Served bool `json:"served,omitempty"`
	// Told is what was told last of the step, as what of events; none: nothing yet.
	Told    EventType `json:"told,omitempty"`
	Message string    `json:"message,omitempty"`
}

// String says it in a line: "write image 45% of 2 GiB".
func (s Stage) String() string {
	switch {
	case s.Step == "":
		return "" // all is done but for saying so
	case s.Worker == "" && !s.Until.IsZero():
		return fmt.Sprintf("%s: nobody works on it since %s; the same request goes on with it, until %s", s.Step, utc(s.Left), utc(s.Until))
	case s.Worker == "" && s.Served:
		return fmt.Sprintf("%s: nobody works on it since %s; a server of the pool goes on with it", s.Step, utc(s.Left))
	case s.Worker == "":
		return fmt.Sprintf("%s: nobody works on it since %s; a server of the pool, the next command that changes the pool, or 'metalpool reconcile' goes on with it", s.Step, utc(s.Left))
	case s.Told == StepWaits:
		return s.Step + " waits " + s.Message
	case s.Told == StepMoves:
		return s.Step + " " + s.Message
	case s.Told == StepMet:
		return s.Step + ": powered on, " + s.Message
	}
	return s.Step + " since " + utc(s.Since)
}

func utc(t time.Time) string { return t.UTC().Format(time.TimeOnly) + " UTC" }

// Stages tells of every node at work how far that is, in the order of their IDs.
func (e *Engine) Stages(ctx context.Context) ([]Stage, error) {
	var stages []Stage
	err := e.store.View(ctx, func(tx Tx) error {
		stages = nil
		nodes, err := collect(tx.Nodes(NodeFilter{States: workingStates}))
		if err != nil {
			return err
		}
		for _, n := range nodes {
			s, err := e.stage(tx, n)
			if err != nil {
				return err
			}
			stages = append(stages, s)
		}
		return nil
	})
	return stages, err
}

// lately is how many of a node's last events may tell of the step under way. More than
// one matters only where something else was told in between.
const lately = 8

func (e *Engine) stage(tx Tx, n Node) (Stage, error) {
	at, err := tx.Attempt(n.Attempt)
	if Is(err, NotFound) {
		return Stage{Node: n.ID, Pool: n.Pool, Allocation: n.Allocation}, nil // Verify tells of it
	}
	if err != nil {
		return Stage{}, err
	}
	l, err := tx.Lease(n.ID)
	if err != nil {
		return Stage{}, err
	}
	events, err := collect(tx.Events(EventFilter{Node: n.ID, Limit: lately}))
	if err != nil {
		return Stage{}, err
	}
	events = slices.DeleteFunc(events, func(ev Event) bool { return ev.Attempt != at.ID })
	s := stageOf(at, events)
	s.Node, s.Pool, s.Allocation = n.ID, n.Pool, n.Allocation
	s.Worker = processOf(l.Holder)
	switch {
	case l.Free(tx.Now(), e.timing.Call):
		s.Worker, s.Left = "", at.StartedAt // where nobody has taken the lease since
		if l.Expires.After(s.Left) {
			s.Left = l.Expires
		}
	case len(events) > 0 && events[len(events)-1].Type == WorkLeft:
		s.Worker, s.Left = "", events[len(events)-1].At // its last call is waited out
	}
	switch {
	case s.Worker != "":
		return s, nil
	case n.State != Deploying:
		s.Served = e.serves // a clean is anybody's
		return s, nil
	}
	a, err := tx.Allocation(n.Allocation)
	switch {
	case err != nil:
		return s, err
	case a.Order != nil && a.Order.Served:
		s.Served = true
	default:
		s.Until = l.Expires.Add(e.timing.Grace)
	}
	return s, nil
}

// stageOf finds the step under way, and what the events of its attempt tell of it.
func stageOf(at Attempt, events []Event) (s Stage) {
	steps := at.plan()
	if at.Job == JobDeploy && givesUp(events) {
		steps = abandonSteps
	}
	step, _ := (&work{attempt: at}).firstUnmet(steps)
	s.Step, s.Since = step.name, at.StartedAt
	for _, met := range at.Met {
		if met.After(s.Since) {
			s.Since = met
		}
	}
	for _, ev := range slices.Backward(events) {
		if ends(ev) {
			if ev.At.After(s.Since) {
				s.Since = ev.At
			}
			break
		}
		if tells(ev, s.Step) {
			s.Told, s.Message = ev.Type, ev.Message
			break
		}
	}
	return s
}

// tells reports whether an event is about a step that goes on.
func tells(ev Event, step string) bool {
	switch ev.Type {
	case StepMoves, StepWaits:
		return ev.Step == step
	case StepMet:
		return ev.Step == stepOn && step == stepRamdisk
	}
	return false
}

// ends reports whether what an event tells of made room for something else, or for the
// same anew.
func ends(ev Event) bool {
	return ev.Type == StepMet && ev.Step != stepOn || ev.Type == StepUndone || ev.Type == StepFailed || ev.Type == WorkTaken
}

// givesUp reports whether whoever worked on a deploy last came to end it.
func givesUp(events []Event) bool {
	for _, ev := range slices.Backward(events) {
		if ev.Step != "" && ev.Step != stepEject { // that is a step of both
			return ev.Step == stepOff
		}
	}
	return false
}
