package api

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/metalpool/metalpool/core"
)

// ProblemType is the media type of every refusal (RFC 9457).
const ProblemType = "application/problem+json"

// Problem is an error as it travels. From it the client makes an error that reads, and
// is told apart, as the one that the server had.
type Problem struct { //nolint:errname // what is on the wire has RFC 9457's name
	Title  string `json:"title" doc:"What sort of failure it is."`
	Status int    `json:"status,omitempty"`
	Detail string `json:"detail" doc:"All of it, as one text for people."`

	Kind       core.Kind    `json:"kind"`
	Op         string       `json:"op,omitempty" doc:"What was asked."`
	Node       core.NodeID  `json:"node,omitempty"`
	Allocation string       `json:"allocation,omitempty"`
	Hint       string       `json:"hint,omitempty" doc:"What to do next."`
	Before     []string     `json:"before,omitempty" doc:"The last events before it, oldest first, each with its time in UTC."`
	Faults     []core.Fault `json:"faults,omitempty" doc:"What is wrong with a declaration, part by part."`
	// Why is what there is, and Cause the error that it comes from, if that one is an
	// Error itself.
	Why   string   `json:"why,omitempty" doc:"What there is, and why."`
	Cause *Problem `json:"cause,omitempty"`
}

var errServerOutdated = &core.Error{Op: "serve", Kind: core.Transient, Err: errors.New("this server was started before the pool's key, schema or place was changed, and is stopping"), Hint: "ask again: another one, or its next start, goes on"}

// maxCauses bounds how deep errors are told in each other; the text has the rest.
const maxCauses = 8

// NewProblem tells an error. err is not nil.
func NewProblem(err error) *Problem {
	if errors.Is(err, core.ErrOutdated) {
		// Nobody who asks has done anything wrong, and the next server, or this one's next
		// start, serves him.
		p := problem(errServerOutdated, maxCauses)
		p.Status = http.StatusServiceUnavailable
		return p
	}
	p := problem(err, maxCauses)
	p.Status = Status(p.Kind)
	return p
}

func problem(err error, depth int) *Problem {
	kind := core.KindOf(err)
	p := &Problem{Title: string(kind), Detail: err.Error(), Kind: kind}
	e, direct := err.(*core.Error) //nolint:errorlint // what wraps an Error has a text of its own
	inner := err
	if direct {
		p.Op, p.Node, p.Allocation, p.Hint, p.Before, p.Faults = e.Op, e.Node, e.Allocation, e.Hint, e.Before, e.Faults
		if inner = e.Err; inner == nil {
			return p
		}
	}
	p.Why = inner.Error()
	if found, ok := errors.AsType[*core.Error](inner); ok && depth > 0 {
		p.Cause = problem(found, depth-1)
	}
	return p
}

// Err is the error that the problem tells of.
func (p *Problem) Err() error { return p.err(maxCauses) }

func (p *Problem) err(depth int) error {
	var cause error
	if p.Cause != nil && depth > 0 {
		cause = p.Cause.err(depth - 1)
	}
	// What the server had without an operation was no Error, or wrapped one.
	if p.Op == "" {
		if cause == nil {
			cause = &core.Error{Kind: p.Kind}
		}
		return &told{cmp.Or(p.Detail, p.Title, "the server gives no reason"), cause}
	}
	e := &core.Error{Op: p.Op, Node: p.Node, Allocation: p.Allocation, Kind: p.Kind, Hint: p.Hint, Before: p.Before, Faults: p.Faults}
	switch {
	case cause != nil && cause.Error() == p.Why:
		e.Err = cause
	case p.Why != "":
		e.Err = &told{p.Why, cause}
	}
	return e
}

// told is an error that was none of ours on the server: its text, and what it wrapped.
type told struct {
	text  string
	cause error
}

func (t *told) Error() string { return t.text }
func (t *told) Unwrap() error { return t.cause }

// GetStatus tells the server's framework the HTTP status to answer with.
func (p *Problem) GetStatus() int { return p.Status }

// Error is the detail: the server's framework carries a refusal as an error.
func (p *Problem) Error() string { return p.Detail }

// ContentType tells the server's framework that a refusal is no plain JSON.
func (p *Problem) ContentType(string) string { return ProblemType }

// Status is the HTTP status of a kind. None of them is 503: that is for servers that
// do not serve, which may be asked again.
func Status(k core.Kind) int {
	switch k {
	case core.Invalid:
		return http.StatusBadRequest
	case core.NotFound:
		return http.StatusNotFound
	case core.Exists, core.NoCapacity, core.Busy, core.LeaseLost:
		return http.StatusConflict
	case core.Denied:
		return http.StatusForbidden
	case core.Transient, core.Backend, core.Unsuccessful:
		return http.StatusBadGateway
	case core.Timeout:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}
