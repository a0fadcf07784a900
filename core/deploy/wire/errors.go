package wire

import (
	"errors"
	"net/http"

	"github.com/metalpool/metalpool/core"
)

// Error carries a core.Error. Its chain arrives as text.
type Error struct {
	Op   string    `json:"op,omitempty"`
	Kind core.Kind `json:"kind"`
	Text string    `json:"text,omitempty"`
	Hint string    `json:"hint,omitempty"`
}

// ToWire makes err ready to travel; nil stays nil.
func ToWire(err error) *Error {
	if err == nil {
		return nil
	}
	var e *core.Error
	if !errors.As(err, &e) {
		return &Error{Kind: core.KindOf(err), Text: err.Error()}
	}
	w := &Error{Op: e.Op, Kind: e.Kind, Hint: e.Hint}
	if e.Err != nil {
		w.Text = e.Err.Error()
	}
	return w
}

// Core turns it back, saying whose node it came from.
func (e *Error) Core(node core.NodeID) error {
	if e == nil {
		return nil
	}
	c := &core.Error{Op: e.Op, Node: node, Kind: e.Kind, Hint: e.Hint}
	if c.Op == "" {
		c.Op = "agent"
	}
	if _, known := statuses[e.Kind]; !known {
		c.Kind = core.Internal
	}
	if e.Text != "" {
		c.Err = errors.New(e.Text)
	}
	return c
}

var statuses = map[core.Kind]int{
	core.Internal:   http.StatusInternalServerError,
	core.Invalid:    http.StatusBadRequest,
	core.NotFound:   http.StatusNotFound,
	core.Exists:     http.StatusConflict,
	core.NoCapacity: http.StatusInsufficientStorage,
	core.Busy:       http.StatusLocked,
	core.LeaseLost:  http.StatusConflict,
	core.Transient:  http.StatusServiceUnavailable,
	core.Backend:    http.StatusBadGateway,
	core.Timeout:    http.StatusGatewayTimeout,
	core.Denied:     http.StatusForbidden,
}

// HTTPStatus is what an error of that kind is answered with; the body is an Error.
func HTTPStatus(k core.Kind) int {
	if status, ok := statuses[k]; ok {
		return status
	}
	return http.StatusInternalServerError
}
