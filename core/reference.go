package core

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"
)

// Reference says where a BMC's password is to be found whenever it is needed:
// env:NAME, file:/path, or exec:program and its arguments. It is no secret itself; what
// it leads to is never stored.
type Reference string

// The forms of a reference. A password that happens to begin with one of them is
// written with literal: before it.
const (
	FromEnvironment = "env:"
	FromFile        = "file:"
	FromProgram     = "exec:"
	literally       = "literal:"
)

// Split cuts a reference into its form and what follows.
func (r Reference) Split() (form, rest string) {
	form, rest, _ = strings.Cut(string(r), ":")
	return form + ":", rest
}

// IsReference reports whether a password that somebody gave says where the password is,
// instead of being it.
func IsReference(password string) bool {
	for _, form := range []string{FromEnvironment, FromFile, FromProgram} {
		if strings.HasPrefix(password, form) {
			return true
		}
	}
	return false
}

var variableName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`) })

// splitPassword tells a reference from a password. No error shows what it was given: it
// may be a password that begins like a reference.
func splitPassword(given string) (ref Reference, literal string, err error) {
	if !IsReference(given) {
		return "", strings.TrimPrefix(given, literally), nil
	}
	form, rest := Reference(given).Split()
	bad := ""
	switch {
	case strings.ContainsFunc(rest, func(r rune) bool { return r < ' ' || r == 0x7f }):
		bad = "more than one line of text"
	case form == FromEnvironment && !variableName().MatchString(rest):
		bad = "not the name of a variable"
	case form == FromEnvironment && (strings.HasPrefix(rest, "METALPOOL_") || strings.HasPrefix(rest, "MACHINE_")):
		bad = "a variable of metalpool's or docker-machine's own, which workers in the background are not given"
	case form == FromFile && !path.IsAbs(rest):
		bad = "not the absolute path of a file"
	case form == FromProgram && len(strings.Fields(rest)) == 0:
		bad = "no program"
	case form == FromProgram && strings.Contains(strings.Fields(rest)[0], "/") && !path.IsAbs(strings.Fields(rest)[0]):
		bad = "a program of one folder; give its absolute path, or one that is found by PATH"
	}
	if bad != "" {
		return "", "", &Error{Op: "read the BMC's password", Kind: Invalid, Err: fmt.Errorf("it begins with %s, and what follows is %s", form, bad),
			Hint: "write env:NAME, file:/path or exec:program arguments; a password that begins so is written " + literally + form + "…"}
	}
	return Reference(given), "", nil
}

// errNoResolver is a program that was put together without a way to resolve references.
var errNoResolver = errors.New("this program resolves no references")
