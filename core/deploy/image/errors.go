package image

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/metalpool/metalpool/core"
)

// fault is an error that knows its kind already, and not yet what was asked.
type fault struct {
	kind core.Kind
	err  error
	hint string
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// invalid is what a file is refused with: trying again will not help.
func invalid(hint string, err error) error { return &fault{core.Invalid, err, hint} }

// explain says what was asked, and gives err the kind that it has.
func explain(op string, err error) error {
	if err == nil {
		return nil
	}
	if f := (*fault)(nil); errors.As(err, &f) {
		return &core.Error{Op: op, Kind: f.kind, Err: err, Hint: f.hint}
	}
	e := &core.Error{Op: op, Kind: core.Transient, Err: err}
	switch kind := core.KindOf(err); {
	case kind != core.Internal: // a context's end, or what it was ended for
		e.Kind = kind
	case errors.Is(err, fs.ErrNotExist):
		e.Kind = core.NotFound
	case errors.Is(err, fs.ErrPermission):
		e.Kind = core.Denied
	case errors.Is(err, syscall.ENOSPC):
		e.Hint = "make room for the image cache"
	}
	return e
}

// tooShort is a file or a disk that ends before it should.
func tooShort(format string, args ...any) error {
	return invalid("get the file again: it was cut short on its way, or is still being written", fmt.Errorf(format, args...))
}

// damaged is a file that contradicts itself.
func damaged(format string, args ...any) error {
	return invalid("get the file again: it was damaged on its way", fmt.Errorf(format, args...))
}
