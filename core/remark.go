package core

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Remark is said of a part of what is declared.
type Remark struct {
	// Path leads to the part, by the words of a rack file: ["script", "env", "RACK"]. Items
	// of lists are counted from 0. Empty is the whole.
	Path []string `json:"path,omitempty"`
	// Line is that of the part's text, from 1, where it is of one line only; else 0.
	Line int    `json:"line,omitempty"`
	Text string `json:"text"`
}

// String is the remark without where it is to be found in a file.
func (r Remark) String() string {
	text := r.Text
	if r.Line > 0 {
		text = fmt.Sprintf("line %d: %s", r.Line, text)
	}
	if words := slices.DeleteFunc(slices.Clone(r.Path), isNumber); len(words) > 0 {
		text = strings.Join(words, ".") + ": " + text
	}
	return text
}

func isNumber(word string) bool {
	_, err := strconv.Atoi(word)
	return err == nil
}

// Fault is why a declaration is refused, of one thing in it.
type Fault struct {
	Of   string `json:"of"` // image, step, profile, pool or node
	Name string `json:"name"`
	Remark
	Hint string `json:"hint,omitempty"` // what to do about it
}

func (f Fault) String() string {
	text := f.Of + " " + f.Name + ": " + f.Remark.String()
	if f.Hint != "" {
		text += "; " + f.Hint
	}
	return text
}

// partError is an error of a part of what is declared.
type partError struct {
	name string
	line int
	err  error
}

func (p *partError) Error() string {
	if p.line > 0 {
		return fmt.Sprintf("line %d: %s", p.line, p.err)
	}
	return p.name + ": " + p.err.Error()
}

func (p *partError) Unwrap() error { return p.err }

// inPart says which part an error is of. nil stays nil.
func inPart(err error, name string) error {
	if err == nil {
		return nil
	}
	return &partError{name: name, err: err}
}

// inField says of a name that was not found by which part it is asked for. An error of a
// store stays as it is.
func inField(op, name string, err error, path ...string) error {
	e, ok := outermost(err)
	if !ok || e.Err == nil {
		return err
	}
	why := e.Err
	if !strings.Contains(why.Error(), name) {
		why = fmt.Errorf("%w %q", why, name)
	}
	for _, name := range slices.Backward(path) {
		why = inPart(why, name)
	}
	return &Error{Op: op, Kind: e.Kind, Err: why, Hint: e.Hint}
}

// FaultOf is an error of one thing that is declared.
func FaultOf(of, name string, err error) Fault {
	f := Fault{Of: of, Name: name}
	for {
		switch e := err.(type) { //nolint:errorlint // what wraps one has a text of its own
		case *Error:
			if e.Hint != "" {
				f.Hint = e.Hint
			}
			if e.Err == nil {
				f.Text = string(e.Kind)
				return f
			}
			err = e.Err
		case *partError:
			if f.Line = e.line; e.line == 0 {
				f.Path = append(f.Path, e.name)
			}
			err = e.err
		default:
			f.Text = err.Error()
			return f
		}
	}
}

// maxFaults bounds how many faults one error tells of.
const maxFaults = 20

// faults are those of a declaration: all of them are told at once.
type faults struct {
	all  []Fault
	errs []error
	of   map[string]bool // of which things
}

// add keeps what is wrong with one thing. An error that is not the declaration's own, as
// of the store, is handed back.
func (f *faults) add(of, name string, err error) error {
	if err == nil {
		return nil
	}
	if !Is(err, Invalid, NotFound, Exists, Busy, Denied) {
		return err
	}
	if f.of == nil {
		f.of = map[string]bool{}
	}
	f.of[of+" "+name] = true
	f.all, f.errs = append(f.all, FaultOf(of, name, err)), append(f.errs, err)
	return nil
}

// has reports whether something is wrong with a thing already: what names it is not to
// blame.
func (f *faults) has(of, name string) bool { return f.of[of+" "+name] }

// err is one error of all; one fault alone is told by the error that it was.
func (f *faults) err() error {
	if len(f.all) == 0 {
		return nil
	}
	if e, ok := outermost(f.errs[0]); ok && len(f.all) == 1 {
		told := *e
		told.Faults = f.all
		return &told
	}
	kind := KindOf(f.errs[0])
	if slices.ContainsFunc(f.errs, func(err error) bool { return KindOf(err) != kind }) {
		kind = Invalid
	}
	told, more := f.all, ""
	if n := len(told) - maxFaults; n > 0 {
		told, more = told[:maxFaults], fmt.Sprintf(", and %d more", n)
	}
	var texts []string
	for _, fault := range told {
		texts = append(texts, fault.String())
	}
	return &Error{Op: "apply", Kind: kind, Err: errors.New(strings.Join(texts, " | ") + more), Faults: told}
}

func (f faults) clone() faults {
	return faults{slices.Clone(f.all), slices.Clone(f.errs), maps.Clone(f.of)}
}
