package redfish

import (
	"context"
	"fmt"
	"time"

	"github.com/metalpool/metalpool/core"
)

// progress is how far settings have come after a reset.
type progress struct {
	differs []core.Difference // none: all is in force
	waits   string            // what is still under way, for people; "" is that nothing is
	told    string            // what the BMC says of it, if anything
}

// verify looks until all is in force. Where nothing is under way any more it has been
// given up: but a BMC may take a moment from one list to the next.
func (t talk) verify(look func() (progress, error)) error {
	var (
		last progress
		calm time.Time // since then nothing is under way
	)
	_, met, err := t.patiently(t.options.Apply, func() (bool, string, error) {
		p, err := look()
		if err != nil {
			// In POST a BMC may not know its server's settings.
			return false, "settings that cannot be read", onlyFatal(err)
		}
		last = p
		switch {
		case p.waits != "":
			calm = time.Time{}
		case len(p.differs) == 0:
			return true, "", nil
		case calm.IsZero():
			calm = time.Now()
		case time.Since(calm) >= t.options.Doubt:
			return false, "", &notAppliedError{p}
		}
		return false, p.String(), nil
	})
	if err == nil && !met {
		err = &unsettledError{seen: firstOf(last.String(), "settings that cannot be read"), err: context.DeadlineExceeded}
	}
	return err
}

// String is what is not done yet, and what for.
func (p progress) String() string {
	differs := core.Differences(p.differs)
	if p.waits != "" && differs != "" {
		return p.waits + ": " + differs
	}
	return firstOf(p.waits, differs)
}

// notAppliedError is settings that the BMC took and the server's firmware did not.
type notAppliedError struct{ progress }

func (e *notAppliedError) Error() string {
	text := "it took the settings, but after the reset they are not applied: " + core.Differences(e.differs)
	if e.told != "" {
		text += fmt.Sprintf(" (it says: %s)", e.told)
	}
	return text
}

// wrongError is something wanted that cannot be had of this server.
type wrongError struct {
	what string
	err  error  // the BMC's own refusal, if it was asked
	list string // the command of 'metalpool node' that lists what there is; "": none
}

func (e *wrongError) Error() string {
	if e.err != nil {
		return e.what + "; the BMC said: " + bare(e.err)
	}
	return e.what
}

func (e *wrongError) Unwrap() []error {
	if e.err == nil {
		return []error{core.ErrRefused}
	}
	return []error{core.ErrRefused, e.err}
}

// noFacetError is something that this server's BMC has not got at all.
type noFacetError struct{ what string }

func (e *noFacetError) Error() string { return "it has no " + e.what }
func (e *noFacetError) Unwrap() error { return core.ErrNoFacet }
