package redfish

import (
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

// refusedError is a change that the BMC did not take.
type refusedError struct{ error }

func (e *refusedError) Unwrap() []error { return []error{core.ErrRefused, e.error} }

// notTaken tells of a change that failed whether the BMC refused it, so that nothing was
// changed: for what was asked, which will be refused again; or for a reason of its own,
// which may pass. what says what was asked.
func (t talk) notTaken(err error, what string) error {
	answer := answerOf(err)
	var job *failedJobError
	switch {
	case answer == nil, errors.As(err, &job), passing(answer, t.manners.Busy):
		return err
	case answer.HTTPReturnedStatusCode == http.StatusRequestTimeout,
		answer.HTTPReturnedStatusCode >= 500 && answer.HTTPReturnedStatusCode != http.StatusNotImplemented:
		return err // it may have been taken all the same
	case slices.ContainsFunc(messageIDs(answer), isAboutValue):
		return &wrongError{what: what, err: errors.New(said(answer))}
	}
	return &refusedError{err}
}

// isAboutValue tells the messages by which BMCs refuse what a request holds: those of
// Redfish's own registry, HPE's, and Dell's for attributes.
func isAboutValue(id string) bool {
	return strings.HasPrefix(id, "PropertyValue") ||
		slices.Contains([]string{"PropertyUnknown", "PropertyNotWritable", "PropertyNotWritableOrUnknown", "PropertyTypeError", "SYS403", "SYS409", "SYS410"}, id)
}

// answerOf is the BMC's own answer in an error; nil where it gave none.
func answerOf(err error) *schemas.Error {
	var answer *schemas.Error
	if errors.As(err, &answer) && answer.HTTPReturnedStatusCode != 0 {
		return answer
	}
	return nil
}

// isAbout reports whether an answer names a property: in its words, or beside them.
func isAbout(e *schemas.Error, name string) bool {
	if strings.Contains(said(e), name) {
		return true
	}
	return slices.ContainsFunc(e.ExtendedInfos, func(info schemas.ErrExtendedInfo) bool {
		return slices.Contains(info.MessageArgs, name) || slices.ContainsFunc(info.RelatedProperties, func(at string) bool { return path.Base(at) == name })
	})
}
