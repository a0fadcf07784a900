package core

import "errors"

// A store that is away says nothing about a node, an agent or an order. So its faults are
// told from theirs, whose kinds they share: nobody is blamed, and nothing is switched off,
// because a database was started anew.

// storeError marks what a store failed at; its text is that of what it wraps.
type storeError struct{ error }

func (s storeError) Unwrap() error { return s.error }

// ofStore reports whether err is, or comes from, a fault of the store that may pass.
func ofStore(err error) bool {
	var s storeError
	return errors.As(err, &s)
}

// markStore marks what a transaction failed with, where that was the store, and not the
// function that ran in it: own is what that returned last. Nothing is Transient that is
// decided upon rows.
func markStore(err, own error) error {
	e, plain := outermost(err)
	if !plain || !Is(err, Transient) && (!Is(err, Busy) || own != nil && errors.Is(err, own)) {
		return err
	}
	return marked(e)
}

// marked puts the mark innermost, where it changes no text.
func marked(e *Error) *Error {
	m := *e
	if inner, ok := outermost(e.Err); ok {
		m.Err = marked(inner)
	} else if e.Err != nil {
		m.Err = storeError{e.Err}
	}
	return &m
}

// ErrOutdated is in the errors of a store that was given another key, a newer schema or
// another place since this process opened it. Nothing was changed, and nothing will be: the
// process has to be started again.
var ErrOutdated = errors.New("the store was changed since this process opened it")

// outdatedError is why, in its own words.
type outdatedError struct{ error }

func (o outdatedError) Unwrap() error        { return o.error }
func (o outdatedError) Is(target error) bool { return target == ErrOutdated }

// Outdated makes why an ErrOutdated that reads as before.
func Outdated(why error) error { return outdatedError{why} }
