package redfish

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

// outcome is what is known of a request that was to change something.
type outcome int

const (
	taken   outcome = iota
	refused         // certainly not taken
	unknown         // it may have been taken: only a look can tell
	futile          // not taken, and looking makes no sense
)

func outcomeOf(err error, busy []string) outcome {
	var ours *core.Error
	var stopped *fencedError
	var foreign foreignLinkError
	var job *failedJobError
	var answer *schemas.Error
	switch {
	case err == nil:
		return taken
	case errors.As(err, &ours), errors.As(err, &stopped), errors.As(err, &foreign), untrusted(err), neverSent(err):
		return futile
	case errors.As(err, &job):
		return refused
	case !errors.As(err, &answer):
		return unknown
	}
	switch status := answer.HTTPReturnedStatusCode; {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound:
		return futile
	case status == http.StatusRequestTimeout:
		return unknown
	case status >= 300 && status < 500, status == http.StatusNotImplemented, saysBusy(answer, busy):
		return refused
	}
	return unknown
}

// settle runs act, then looks until ok: as long as it takes after a yes, a while
// after an answer that leaves it open, and once after a no, since what was asked
// may be so already. It returns nil where ok came true whatever act answered; else
// act's error, or unsettled where act said yes.
func (t talk) settle(act func() error, look func() (ok bool, seen string, err error)) error {
	err := act()
	var limit time.Duration
	switch outcomeOf(err, t.manners.Busy) {
	case futile:
		return err
	case taken:
		limit = t.options.Settle
	case unknown:
		limit = t.options.Doubt
	}
	seen, ok, lookErr := t.until(limit, look)
	switch {
	case ok:
		return nil
	case err != nil:
		return err
	case lookErr != nil:
		return lookErr
	}
	return &unsettledError{seen: seen, after: limit}
}

// until looks at once and then every poll. ok is false, without an error, where the
// limit came first.
func (t talk) until(limit time.Duration, look func() (ok bool, seen string, err error)) (seen string, ok bool, err error) {
	return t.every(t.options.Poll, limit, look)
}

// patiently is until for what takes minutes: a look at settings is several requests.
func (t talk) patiently(limit time.Duration, look func() (ok bool, seen string, err error)) (seen string, ok bool, err error) {
	return t.every(t.options.Watch, limit, func() (bool, string, error) {
		ok, seen, err := look()
		if err == nil && !ok && seen != "" {
			core.Awaits(t.ctx, seen)
		}
		return ok, seen, err
	})
}

func (t talk) every(pace, limit time.Duration, look func() (ok bool, seen string, err error)) (seen string, ok bool, err error) {
	end := time.Now().Add(limit)
	for {
		ok, now, err := look()
		if err != nil {
			if seen != "" && t.ctx.Err() != nil {
				err = &unsettledError{seen: seen, err: context.Cause(t.ctx)}
			}
			return seen, false, err
		}
		seen = now
		if ok || !time.Now().Add(pace).Before(end) {
			return seen, ok, nil
		}
		if err := t.wait(pace); err != nil {
			return seen, false, &unsettledError{seen: seen, err: err}
		}
	}
}

// unsettledError is a state that does not become what was asked though the BMC said yes.
type unsettledError struct {
	seen  string
	after time.Duration // waited in full; 0 where err came first
	err   error         // of the context
}

func (e *unsettledError) Unwrap() error { return e.err }

func (e *unsettledError) Error() string {
	if e.err != nil {
		return "it still shows " + e.seen + ": " + e.err.Error()
	}
	return "it took the command, but " + e.after.String() + " later it still shows " + e.seen
}
