package core

import (
	"context"
	"errors"
)

// BIOSAttribute is one setting of a server's firmware, as its BMC tells of it now.
type BIOSAttribute struct {
	Name  string `json:"name"`
	Label string `json:"label,omitempty"` // as the firmware's menu shows it
	// Value is a text, a json.Number, true or false; nil is that the BMC tells none.
	Value any `json:"value"`
	// Pending is the value from the next start on, where that differs.
	Pending any `json:"pending,omitempty"`
	// Secret is that it holds a password or the like, of which no value is told.
	Secret bool `json:"secret,omitempty"`
	// What the BMC's attribute registry says of it, where there is one.
	Type      string   `json:"type,omitempty"` // Enumeration, String, Integer, Boolean, Password
	ReadOnly  bool     `json:"read_only,omitempty"`
	Values    []string `json:"values,omitempty"`     // of an Enumeration
	Lower     any      `json:"lower,omitempty"`      // of an Integer, a json.Number
	Upper     any      `json:"upper,omitempty"`      // likewise
	MaxLength any      `json:"max_length,omitempty"` // of a String, likewise
}

// UnmarshalJSON implements json.Unmarshaler. Numbers stay as they were written.
func (a *BIOSAttribute) UnmarshalJSON(text []byte) error {
	type plain BIOSAttribute
	return unmarshalToTheDigit(text, (*plain)(a))
}

// Visible is a name or a value of an attribute as people are to read it, see
// Difference.Shown; "" is none.
func Visible(v any) string {
	if v == nil {
		return ""
	}
	return visible(spelled(v))
}

// BIOS lists the attributes of a server's firmware by name. It only reads, and asks the BMC
// alone. A node at work is Busy, as it is to Drift.
func (e *Engine) BIOS(ctx context.Context, id NodeID) ([]BIOSAttribute, error) {
	const op = "list BIOS attributes"
	var n Node
	err := e.store.View(ctx, func(tx Tx) (err error) {
		n, err = resting(tx, op, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, compareLimit)
	defer cancel()
	bmc, err := e.connect(ctx, n, nil)
	if err != nil {
		return nil, withNode(err, id)
	}
	defer bmc.Close()
	f, has := bmc.(BIOSSetter)
	if !has {
		return nil, &Error{Op: op, Node: id, Kind: Invalid, Err: errNoVerb}
	}
	all, err := f.BIOS(ctx)
	if e, ok := outermost(err); ok && errors.Is(err, ErrNoFacet) {
		told := *e
		told.Hint = "some BMCs tell them only while the server is on"
		err = &told
	}
	return all, withNode(err, id)
}
