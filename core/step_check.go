package core

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Bounds of what a step may hold. It is kept in the store, and with each deploy while
// that is under way.
const (
	maxStepText = 256 * KiB // of a step, all that is sent with it
	maxRetries  = 100
)

// Validate says what is wrong with a step, whatever else there is in the store.
func (s Step) Validate() error {
	bad := func(hint, format string, args ...any) error {
		return &Error{Op: "declare step " + s.Name, Kind: Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	kinds := 0
	for _, k := range stepKinds {
		if k.of(s) {
			kinds++
		}
	}
	kind := s.about()
	switch {
	case !namePattern().MatchString(s.Name):
		return bad(nameHint, "%q cannot name a step", s.Name)
	case kinds == 0:
		return bad("say "+kindNames(" or "), "it does not say what is to be done")
	case kinds > 1:
		return bad("make a step of each", "it is of more than one kind")
	case s.Phase != "" && !slices.Contains(kind.phases, s.Phase):
		return bad("leave it out for "+string(kind.phases[0]), "a step of kind %s cannot run in the phase %q", kind.kind, s.Phase)
	case s.Timeout < 0:
		return bad("leave it out for "+FormatDuration(kind.timeout), "the timeout is negative")
	case s.Retries < 0 || s.Retries > maxRetries:
		return bad(fmt.Sprintf("use 0 to %d", maxRetries), "%d retries", s.Retries)
	case !slices.Contains([]FailurePolicy{"", FailDeploy, FailNode, FailNothing}, s.OnFailure):
		return bad("say fail, quarantine or warn", "%q is nothing to do about a failure", s.OnFailure)
	}
	for _, before := range s.After {
		if before == s.Name {
			return bad("take it out of after", "it is to run after itself")
		}
	}
	if err := checkSecrets(s.Secrets); err != nil {
		return bad("", "%w", err)
	}
	if s.Script != nil {
		if err := s.Script.check(s.Secrets); err != nil {
			return bad("see docs/steps.md", "script: %w", err)
		}
	}
	if s.HTTP != nil {
		if err := s.HTTP.check(s.Secrets); err != nil {
			return bad("see docs/steps.md", "http: %w", err)
		}
	}
	return nil
}

// checkSecrets refuses what is no reference: it would be kept, and shown.
func checkSecrets(secrets map[string]Reference) error {
	for name, ref := range secrets {
		switch {
		case !variableName().MatchString(name) || strings.HasPrefix(name, ownVariables):
			return fmt.Errorf("secrets: %q cannot name one; use letters, digits and underscores, and do not begin with %s", name, ownVariables)
		case !IsReference(string(ref)):
			return fmt.Errorf("secrets: %s is not said where to find; write env:NAME, file:/path or exec:program arguments", name)
		}
		if _, _, err := splitPassword(string(ref)); err != nil {
			return fmt.Errorf("secrets: %s: %s", name, cause(err))
		}
	}
	return nil
}

// ownVariables begins the names of variables that every script has.
const ownVariables = "METALPOOL_"

func (s *ScriptStep) check(secrets map[string]Reference) error {
	size := len(s.Run) + len(s.Check)
	switch {
	case strings.TrimSpace(s.Run) == "":
		return fmt.Errorf("run is empty: it is the text of the script")
	case !slices.Contains([]ScriptUser{"", AsRoot, AsLogin}, s.As):
		return fmt.Errorf("as: %q is nobody; say %s or %s", s.As, AsRoot, AsLogin)
	}
	for name, value := range s.Env {
		if !variableName().MatchString(name) || strings.HasPrefix(name, ownVariables) {
			return fmt.Errorf("env: %q cannot name a variable; use letters, digits and underscores, and do not begin with %s", name, ownVariables)
		}
		if _, twice := secrets[name]; twice {
			return fmt.Errorf("env: %s is among the secrets as well", name)
		}
		if err := checkTemplate(value, nil); err != nil {
			return fmt.Errorf("env: %s: %w", name, err)
		}
		size += len(value)
	}
	for name, text := range s.Files {
		if name == "" || path.Base(name) != name || strings.HasPrefix(name, ".") || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return fmt.Errorf("files: %q cannot name a file in the script's folder", name)
		}
		if slices.Contains(scriptNames, name) {
			return fmt.Errorf("files: %s is what metalpool itself puts there", name)
		}
		size += len(text)
	}
	if Bytes(size) > maxStepText {
		return fmt.Errorf("it has %s, and the most is %s; have the script fetch the rest", Bytes(size), maxStepText)
	}
	return nil
}

var methods = []string{"", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

func (s *HTTPStep) check(secrets map[string]Reference) error {
	if s.Check != nil {
		if err := s.Check.check(secrets); err != nil {
			return fmt.Errorf("check: %w", err)
		}
	}
	return s.HTTPRequest.check(secrets)
}

func (r HTTPRequest) check(secrets map[string]Reference) error {
	size := len(r.URL) + len(r.Body)
	switch {
	case !slices.Contains(methods, r.Method):
		return fmt.Errorf("method: %q is none; there are:%s", r.Method, strings.Join(methods, " "))
	case !strings.HasPrefix(r.URL, "https://") && !strings.HasPrefix(r.URL, "http://"):
		return fmt.Errorf("url: it does not begin with https:// or http://")
	}
	texts := map[string]string{"url": r.URL, "body": r.Body}
	for name, text := range r.Headers {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) {
			return fmt.Errorf("headers: %q cannot name one", name)
		}
		texts["headers: "+name] = text
		size += len(text)
	}
	for what, text := range texts {
		if err := checkTemplate(text, secrets); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	for _, status := range r.Expect {
		if status < 100 || status > 599 {
			return fmt.Errorf("expect: %d is no status of HTTP", status)
		}
	}
	if Bytes(size) > maxStepText {
		return fmt.Errorf("it has %s, and the most is %s", Bytes(size), maxStepText)
	}
	return nil
}

// scriptNames are taken in a script's folder.
var scriptNames = []string{"script", "environment", "status", "begun"}

// kindNames lists all kinds.
func kindNames(between string) string {
	var names []string
	for _, k := range stepKinds {
		names = append(names, string(k.kind))
	}
	return strings.Join(names, between)
}

// Validate says what is wrong with a profile by itself.
func (p Profile) Validate() error {
	bad := func(hint, format string, args ...any) error {
		return &Error{Op: "declare profile " + p.Name, Kind: Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if !namePattern().MatchString(p.Name) {
		return bad(nameHint, "%q cannot name a profile", p.Name)
	}
	for i, name := range p.Steps {
		if slices.Contains(p.Steps[:i], name) {
			return bad("name it once", "step %s is chosen twice", name)
		}
	}
	return nil
}
