package core

import (
	"fmt"
	"strings"
)

// State is where a node is in its life. While an allocation holds the node, the
// allocation is in the same state.
type State string

const (
	Quarantined State = "Quarantined" // kept out until an operator has looked
	Cleaning    State = "Cleaning"    // being erased and verified
	Available   State = "Available"   // clean; may be claimed
	Preparing   State = "Preparing"   // at work for the pool; not claimable meanwhile
	Maintenance State = "Maintenance" // taken aside by an operator
	Allocated   State = "Allocated"   // owned; hardware untouched
	Deploying   State = "Deploying"   // owned; the OS is being put on it
	Deployed    State = "Deployed"    // owned and in use
	Failed      State = "Failed"      // owned; the deploy was given up

	// Unborn and Gone are the ends of the table, never stored on a node.
	Unborn State = "(none)"
	Gone   State = "(gone)"

	// An allocation alone has these: it waits for a node, or has let go of it.
	Waiting  State = "Waiting"
	Released State = "Released"
	Expired  State = "Expired"
)

// Trigger is what moves a node from one state to the next.
type Trigger string

const (
	Enroll      Trigger = "enroll"
	EnrollErase Trigger = "enroll --erase"
	Repair      Trigger = "repair"
	Retire      Trigger = "retire"
	Done        Trigger = "done"
	DoneSuspect Trigger = "done, suspect"
	GiveUp      Trigger = "give up"
	Claim       Trigger = "claim"
	Prepare     Trigger = "prepare"
	// PrepareAgain is Prepare of a node that it had quarantined: nobody had that since.
	PrepareAgain Trigger = "prepare again"
	// Refuse is that nothing was changed, because it could not be had of the node.
	Refuse    Trigger = "refused"
	Pause     Trigger = "pause"
	Resume    Trigger = "resume"
	Unhealthy Trigger = "unhealthy"
	Deploy    Trigger = "deploy"
	Redeploy  Trigger = "redeploy"
	Release   Trigger = "release"
	Expire    Trigger = "expire"
	NodeFault Trigger = "node's fault"
	// Restore is that the store was put back to an earlier time; see restore.go.
	Restore Trigger = "restore"
)

// Transition is one row of a table of states.
type Transition struct {
	From State
	On   Trigger
	To   State
}

// PoolSide is the life of a node that nobody owns; OwnerSide is its life in the
// hands of an allocation. They meet at claim and release. The diagram in
// docs/architecture.md is generated from these two tables.
var (
	PoolSide = []Transition{
		{Unborn, Enroll, Quarantined},
		{Unborn, EnrollErase, Cleaning},
		{Quarantined, Repair, Cleaning},
		{Quarantined, PrepareAgain, Preparing},
		{Quarantined, Retire, Gone},
		{Cleaning, Done, Available},
		{Cleaning, DoneSuspect, Quarantined},
		{Cleaning, GiveUp, Quarantined},
		{Available, Claim, Allocated},
		{Available, Prepare, Preparing},
		{Available, Pause, Maintenance},
		{Available, Unhealthy, Quarantined},
		{Available, Retire, Gone},
		{Preparing, Done, Available},
		{Preparing, Refuse, Available},
		{Preparing, GiveUp, Quarantined},
		{Maintenance, Resume, Cleaning},
		{Maintenance, Retire, Gone},
		{Cleaning, Restore, Quarantined},
		{Available, Restore, Quarantined},
		{Preparing, Restore, Quarantined},
	}
	OwnerSide = []Transition{
		{Allocated, Deploy, Deploying},
		{Allocated, Release, Available},
		{Allocated, Expire, Available},
		{Deploying, Done, Deployed},
		{Deploying, GiveUp, Failed},
		{Deploying, Release, Cleaning},
		{Deploying, NodeFault, Cleaning},
		{Deployed, Redeploy, Deploying},
		{Deployed, Release, Cleaning},
		{Failed, Redeploy, Deploying},
		{Failed, Release, Cleaning},
		{Allocated, Restore, Failed},
		{Deploying, Restore, Failed},
	}
)

// NodeStates lists every state a stored node can be in, in the order of its life.
var NodeStates = []State{Quarantined, Cleaning, Available, Preparing, Maintenance, Allocated, Deploying, Deployed, Failed}

// Triggers lists every trigger.
var Triggers = []Trigger{Enroll, EnrollErase, Repair, Retire, Done, DoneSuspect, GiveUp, Claim, Prepare, PrepareAgain, Refuse, Pause, Resume, Unhealthy, Deploy, Redeploy, Release, Expire, NodeFault, Restore}

// Next is the state that a trigger leads to, or an Invalid error that names what
// the state allows.
func Next(from State, on Trigger) (State, error) {
	var allowed []string
	for _, table := range [][]Transition{PoolSide, OwnerSide} {
		for _, t := range table {
			if t.From != from {
				continue
			}
			if t.On == on {
				return t.To, nil
			}
			if hand := byHand[t.On]; hand.command != "" {
				allowed = append(allowed, "'"+hand.command+"'")
			}
		}
	}
	e := &Error{Op: string(on), Kind: Invalid, Err: fmt.Errorf("a node that is %s cannot %s", from, on), Hint: "its work has to end first ('metalpool reconcile --wait')"}
	if hand, ok := byHand[on]; ok {
		e.Op, e.Err = hand.verb, fmt.Errorf("a node that is %s cannot be %s", from, hand.done)
	}
	if on == Pause && from == Maintenance {
		e.Err = fmt.Errorf("the node is in %s already", Maintenance)
	}
	if len(allowed) > 0 {
		e.Hint = "what can be done with it: " + strings.Join(allowed, ", ")
	}
	return "", e
}

// byHand are the triggers that somebody can ask for, in the words of those who do; the
// others come of themselves.
var byHand = map[Trigger]struct{ verb, done, command string }{
	Repair:   {"repair", "repaired", "metalpool node repair"},
	Retire:   {"retire", "retired", "metalpool node retire"},
	Prepare:  {"set up", "set up", "metalpool node drift --repair"},
	Pause:    {"maintenance", "taken aside", "metalpool node maintenance"},
	Resume:   {"maintenance --off", "put back", "metalpool node maintenance --off"},
	Release:  {"release", "released", "metalpool machine release"},
	Redeploy: {"deploy again", "deployed again", ""}, // its owner's create, which takes no node that is not his
}

// Working reports whether the state is work under way, which needs a lease.
func (s State) Working() bool { return s == Cleaning || s == Preparing || s == Deploying }

// Owned reports whether a node in this state belongs to an allocation.
func (s State) Owned() bool {
	return s == Allocated || s == Deploying || s == Deployed || s == Failed
}

// Ended reports whether an allocation in this state has let go for ever.
func (s State) Ended() bool { return s == Released || s == Expired }
