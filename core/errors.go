package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind says what sort of failure an Error is, so that an adapter can choose an
// exit code or a diagnostic without reading text.
type Kind string

const (
	Internal   Kind = "internal"    // a defect of metalpool itself
	Invalid    Kind = "invalid"     // the request can never succeed as it stands
	NotFound   Kind = "not found"   // the thing named does not exist
	Exists     Kind = "exists"      // the thing exists already, differently
	NoCapacity Kind = "no capacity" // no node fits now
	Busy       Kind = "busy"        // somebody else works on it; try again
	LeaseLost  Kind = "lease lost"  // another worker has taken over; stop at once
	Transient  Kind = "transient"   // a passing fault; the same call may succeed later
	Backend    Kind = "backend"     // the node's own BMC or agent refused or failed
	Timeout    Kind = "timeout"     // the time allowed ran out
	Denied     Kind = "denied"      // credentials or ownership do not allow it
	// Unsuccessful is that what people added to a deploy came to nothing: a step of the
	// operator's, or the user's own script.
	Unsuccessful Kind = "failed"
)

// Error is the one error type of metalpool. Error() reads well alone, because
// docker-machine's net/rpc flattens errors to text.
type Error struct {
	Op         string // what was asked: "acquire", "release", "enroll", …
	Node       NodeID // the node concerned, if any
	Allocation string // the machine's name, or the allocation's ID where it has none
	Kind       Kind
	Err        error  // what there is, and why
	Hint       string // what to do next
	// Before are the last events before it, which Error leaves out; see Before.
	Before []string
	// Faults are what is wrong with a declaration, each with the part that it is of. Err
	// tells of them, too.
	Faults []Fault
}

func (e *Error) Error() string { return e.within(Error{}) }

// within is the error for who knows already of what and of which node and machine is
// told: each is said once, by the outermost error that knows it.
func (e *Error) within(known Error) string {
	what := e.Op
	if what == known.Op {
		what = ""
	}
	if e.Allocation != "" && e.Allocation != known.Allocation {
		what += " " + e.Allocation
	}
	if e.Node != "" && e.Node != known.Node {
		what += " (node " + string(e.Node) + ")"
	}
	parts := []string{strings.TrimSpace(what)}
	inner, wraps := outermost(e.Err)
	// What is wrapped says its kind itself; the same twice only hides what happened.
	if e.Err == nil || !e.Kind.plain() && (!wraps || inner.Kind != e.Kind) {
		parts = append(parts, string(e.Kind))
	}
	switch {
	case wraps:
		parts = append(parts, inner.within(Error{Op: cmp.Or(e.Op, known.Op), Node: cmp.Or(e.Node, known.Node), Allocation: cmp.Or(e.Allocation, known.Allocation)}))
	case e.Err != nil:
		parts = append(parts, e.Err.Error())
	}
	text := strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// plain reports whether a sentence of why says the kind as well: that something is refused,
// and is there otherwise, is what such a sentence is about.
func (k Kind) plain() bool { return k == Invalid || k == Exists }

// reason is why something failed, to be read beside the step and the node that it is about.
func reason(err error, step string, node NodeID) string {
	if e, ok := outermost(err); ok {
		return e.within(Error{Op: step, Node: node})
	}
	return err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// outermost is err where it is itself an Error. One further in is passed over: what
// wraps it has a text of its own, which would be lost with it.
func outermost(err error) (*Error, bool) {
	e, ok := err.(*Error) //nolint:errorlint // just not the wrapped one
	return e, ok
}

// also adds to why something failed what failed after it. That is told as text only:
// the kind is that of the cause, whatever the other's is.
func also(why error, what string, next error) error {
	return fmt.Errorf("%w (and %s: %s)", why, what, next.Error())
}

// KindOf returns the kind of the outermost Error in err's chain. Context ends
// are Timeout; anything else that is not an Error is Internal; nil is "".
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Timeout
	}
	return Internal
}

// Is reports whether err is of one of the kinds.
func Is(err error, kinds ...Kind) bool {
	k := KindOf(err)
	for _, want := range kinds {
		if err != nil && k == want {
			return true
		}
	}
	return false
}
