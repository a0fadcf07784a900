package core

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// ScriptStep is a program of the machine's shell, or of the ramdisk's where the machine
// has no OS. It runs in a folder of its own.
type ScriptStep struct {
	// Run is the script; its first line may name another program than sh to read it.
	Run string `json:"run" yaml:"run"`
	// Check is another script that says whether there is nothing to do any more: it exits
	// with 0 then.
	Check string `json:"check,omitempty" yaml:"check,omitempty"`
	// As is who runs it: root, which is the default, or the login user.
	As ScriptUser `json:"as,omitempty" yaml:"as,omitempty"`
	// Env are variables besides METALPOOL_NODE and the like. Their values are templates.
	Env map[string]string `json:"env,omitempty" yaml:"env,omitempty"`
	// Files lie in its folder, by their names.
	Files map[string]string `json:"files,omitempty" yaml:"files,omitempty"`
}

// ScriptUser is whom a script runs as.
type ScriptUser string

const (
	AsRoot  ScriptUser = "root"
	AsLogin ScriptUser = "login"
)

func (s *ScriptStep) check(of Step, spent *effort) error {
	secrets := of.Secrets
	size := len(s.Run) + len(s.Check)
	for _, texts := range []map[string]string{s.Env, s.Files} {
		for _, text := range texts {
			size += len(text)
		}
	}
	switch {
	case Bytes(size) > maxStepText:
		return fmt.Errorf("it has %s; have the script fetch the rest", tooLong(size))
	case strings.TrimSpace(s.Run) == "":
		return inPart(errors.New("it is empty, and is to be the text of the script"), "run")
	case !slices.Contains([]ScriptUser{"", AsRoot, AsLogin}, s.As):
		return inPart(fmt.Errorf("%q is nobody; say %s or %s", s.As, AsRoot, AsLogin), "as")
	case s.As == AsLogin && (of.Phase == PhasePrepare || of.Phase == PhaseCleaned):
		return inPart(fmt.Errorf("in the phase %s it runs in the ramdisk, where there is nobody but %s", of.Phase, AsRoot), "as")
	}
	for name, value := range s.Env {
		if !variableName().MatchString(name) || strings.HasPrefix(name, ownVariables) {
			return inPart(fmt.Errorf("%q cannot name a variable; use letters, digits and underscores, and do not begin with %s", name, ownVariables), "env")
		}
		if _, twice := secrets[name]; twice {
			return inPart(inPart(errors.New("it is among the secrets as well"), name), "env")
		}
		if err := checkTemplate(value, nil, spent); err != nil {
			return inPart(inPart(err, name), "env")
		}
	}
	for name := range s.Files {
		if name == "" || path.Base(name) != name || strings.HasPrefix(name, ".") || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return inPart(fmt.Errorf("%q cannot name a file in the script's folder", name), "files")
		}
	}
	return nil
}
