package core

import "time"

// Event is one line of a node's or an allocation's story. Every change of state
// writes one in the same transaction.
type Event struct {
	Seq        int64        `json:"seq"` // grows in the store's order
	At         time.Time    `json:"at"`
	Node       NodeID       `json:"node,omitempty"`
	Allocation AllocationID `json:"allocation,omitempty"`
	Attempt    AttemptID    `json:"attempt,omitempty"`
	Generation uint64       `json:"generation,omitempty"`
	Type       EventType    `json:"type"`
	From       State        `json:"from,omitempty"`
	To         State        `json:"to,omitempty"`
	On         Trigger      `json:"on,omitempty"`
	Step       string       `json:"step,omitempty"`
	Message    string       `json:"message,omitempty"`
	Bytes      Bytes        `json:"bytes,omitempty"` // how much the step has moved, where it moves data
	By         string       `json:"by,omitempty"`    // the process: user@host/pid
}

// EventType is what an event tells of.
type EventType string

const (
	StateChanged EventType = "state"
	StepMet      EventType = "step"
	StepUndone   EventType = "undone"   // its end, where it is gone on without: it failed, or was left out
	StepMoves    EventType = "progress" // it is under way; rare enough to be kept
	StepWaits    EventType = "waits"    // it is not done yet, and why; rarer still
	StepFailed   EventType = "step failed"
	StepOutput   EventType = "output"     // what a step said, or the beginning and the end of it
	StepWarned   EventType = "warning"    // what went wrong with it, and ends no work
	WorkLeft     EventType = "left"       // who worked on it stopped, and another may go on
	WorkTaken    EventType = "taken over" // another goes on, or ends it
	AgentRefused EventType = "agent refused"
	AgentSaid    EventType = "agent log" // the end of what the agent logged before a step failed
	// ConsoleSaid is the end of the serial console where a server did not come to what it
	// was started for. One without an allocation may be of who had the server before.
	ConsoleSaid EventType = "console"
	Erased      EventType = "erased"
	LeftOut     EventType = "left out" // stands for older events; see LeaveOut
	Note        EventType = "note"
)
