// Package credential finds passwords that a store only refers to: in the environment,
// in a file, or as a program tells them. Nothing that it finds is kept.
package credential

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// maxPassword is longer than any BMC takes, in bytes: what is longer is something else.
const maxPassword = 4096

// Resolve finds what a reference leads to, anew with each call. Its errors name the
// reference and never what was found. They are Denied where it is not to be had on this
// host, Timeout where a program takes too long, and Invalid for what is no password.
func Resolve(ctx context.Context, ref core.Reference) (string, error) {
	form, rest := ref.Split()
	var (
		text string
		err  error
	)
	switch form {
	case core.FromEnvironment:
		text, err = environment(rest)
	case core.FromFile:
		text, err = file(rest)
	case core.FromProgram:
		text, err = program(ctx, strings.Fields(rest))
	default:
		err = &core.Error{Kind: core.Invalid, Err: errors.New("it is no reference"), Hint: "set the password again with 'metalpool node set'"}
	}
	if err == nil {
		text, err = onePassword(text)
	}
	if err == nil {
		return text, nil
	}
	told := core.Error{Kind: core.KindOf(err), Err: err}
	if e, ok := errors.AsType[*core.Error](err); ok {
		told = *e
	}
	told.Op = "find the BMC's password at " + string(ref)
	return "", &told
}

// Findable says why a reference leads nowhere on this host, as Resolve would say. It reads
// no file, and runs no program: what those say is a secret, and may be said once only.
func Findable(ref core.Reference) error {
	form, rest := ref.Split()
	var err error
	switch form {
	case core.FromEnvironment:
		_, err = environment(rest)
	case core.FromFile:
		var f *os.File
		if f, err = opened(rest); err == nil {
			err = f.Close()
		}
	case core.FromProgram:
		err = executable(strings.Fields(rest))
	}
	if err == nil {
		return nil
	}
	told := core.Error{Kind: core.KindOf(err), Err: err}
	if e, ok := errors.AsType[*core.Error](err); ok {
		told = *e
	}
	told.Op, told.Err = "look for the secret", fmt.Errorf("%s: %w", ref, told.Err)
	return &told
}

func environment(name string) (string, error) {
	value, there := os.LookupEnv(name)
	if !there {
		return "", &core.Error{Kind: core.Denied, Err: errors.New("that variable is not set in this process"), Hint: "set it for every process that works on the pool, 'metalpool serve' among them; workers in the background have what the command had that started them"}
	}
	return value, nil
}

func file(path string) (string, error) {
	f, err := opened(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPassword+1))
	if err != nil {
		return "", &core.Error{Kind: core.Denied, Err: err}
	}
	return string(text), nil
}

// opened is a file that is to have a password, open to be read.
func opened(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, &core.Error{Kind: core.Denied, Err: err, Hint: fmt.Sprintf("put the password there, on every host that works on the pool, and let user %d read it", os.Getuid())}
	}
	return f, nil
}

// onePassword takes the line break off that editors and programs put at the end.
func onePassword(text string) (string, error) {
	line := strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	var bad string
	switch {
	case len(text) > maxPassword:
		bad = "it is longer than a password"
	case strings.ContainsAny(line, "\r\n\x00"):
		bad = "it has more than one line"
	case line == "":
		bad = "it is empty"
	default:
		return line, nil
	}
	return "", &core.Error{Kind: core.Invalid, Err: errors.New(bad), Hint: "have the password alone there, in one line"}
}
