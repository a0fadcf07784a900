package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core/internal/spelling"
)

// Bounds of what a step may hold. It is kept in the store, and with each deploy while
// that is under way.
const (
	maxStepText = 256 * KiB // of a step, all that is sent with it
	maxRetries  = 100
	// maxStepTimeout is as long as a burn-in may take; all retries together are counted, too.
	maxStepTimeout = 7 * 24 * time.Hour
)

// Bounds of steps before a release, for which somebody waits.
const (
	releaseTimeout    = time.Minute // where nothing is said
	maxReleaseRetries = 3
	// releaseLimit is for all of them together, so that ReleasePatience has room for the
	// power that is cut after them. No try of one may take longer, therefore.
	releaseLimit = 5 * time.Minute
)

// Validate says what is wrong with a step, whatever else there is in the store.
func (s Step) Validate() error { return s.validate(&effort{}) }

// validate is Validate for one of many steps, whose templates together have cost so much.
func (s Step) validate(spent *effort) error {
	of := func(part, hint, format string, args ...any) error {
		return &Error{Op: "declare step " + s.Name, Kind: Invalid, Err: inPart(fmt.Errorf(format, args...), part), Hint: hint}
	}
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
		return of("name", nameHint, "%q cannot name a step", s.Name)
	case kinds == 0:
		return bad("say "+strings.Join(KindFields(), " or "), "it does not say what is to be done")
	case kinds > 1:
		return bad("make a step of each", "it is of more than one kind")
	case s.Phase != "" && !slices.Contains(kind.phases, s.Phase):
		return of("phase", kind.phaseHint(s.Phase), "a step of kind %s cannot run in the phase %q", kind.kind, s.Phase)
	case s.Timeout < 0:
		return of("timeout", "leave it out for "+FormatDuration(kind.timeout), "the timeout is negative")
	case time.Duration(s.Timeout) > maxStepTimeout:
		return of("timeout", "allow "+FormatDuration(maxStepTimeout)+" at most", "the timeout is %s", s.Timeout)
	case s.Retries < 0 || s.Retries > maxRetries:
		return of("retries", fmt.Sprintf("use 0 to %d", maxRetries), "%d retries", s.Retries)
	case !slices.Contains([]FailurePolicy{"", FailDeploy, FailNode, FailNothing}, s.OnFailure):
		return of("on_failure", "say fail, quarantine or warn", "%q is nothing to do about a failure", s.OnFailure)
	case s.Phase == PhaseRelease && s.OnFailure != "" && s.OnFailure != FailNothing:
		return of("on_failure", "leave on_failure out", "a machine is released whether its steps fail or not, and not with %q", s.OnFailure)
	case s.Phase == PhaseRelease && (time.Duration(s.Timeout) > releaseLimit || s.Retries > maxReleaseRetries):
		return bad(fmt.Sprintf("allow %s and %d retries at most", FormatDuration(releaseLimit), maxReleaseRetries), "somebody waits for the release")
	case s.Phase == PhaseCleaned && s.OnFailure == FailDeploy:
		return of("on_failure", "say quarantine, which it is where nothing is said, or warn", "there is no deploy that could fail once a server was cleaned")
	}
	for _, before := range s.After {
		if before == s.Name {
			return of("after", "take it out of after", "it is to run after itself")
		}
	}
	told := &Error{Op: "declare step " + s.Name, Kind: Invalid, Hint: "'metalpool help steps' tells more"}
	if told.Err = checkSecrets(s.Secrets); told.Err != nil {
		told.Hint = ""
		return told
	}
	if told.Err = s.Only.check(); told.Err != nil {
		return told
	}
	if told.Err = inPart(kind.check(s, spent), s.field()); told.Err != nil {
		return told
	}
	return nil
}

// phaseHint tells the phases of a kind to who asked for another.
func (k stepKind) phaseHint(asked StepPhase) string {
	var near, all string
	for i, phase := range k.phases {
		if i > 0 {
			all += ", "
		}
		if all += string(phase); spelling.Distance(string(asked), string(phase)) <= max(1, len(asked)/3) {
			near = "did you mean " + string(phase) + "? "
		}
	}
	return near + "there are: " + all + "; left out it is " + string(k.phases[0])
}

// checkSecrets refuses what is no reference: it would be kept, and shown.
func checkSecrets(secrets map[string]Reference) error {
	for name, ref := range secrets {
		switch {
		case !variableName().MatchString(name) || strings.HasPrefix(name, ownVariables):
			return inPart(fmt.Errorf("%q cannot name one; use letters, digits and underscores, and do not begin with %s", name, ownVariables), "secrets")
		case !IsReference(string(ref)):
			return inPart(inPart(errors.New("it is not said where to find it; write env:NAME, file:/path or exec:program arguments"), name), "secrets")
		}
		if _, _, err := splitPassword(string(ref)); err != nil {
			return inPart(inPart(errors.New(cause(err)), name), "secrets")
		}
	}
	return nil
}

// ownVariables begins the names of variables that every script has.
const ownVariables = "METALPOOL_"

// KindFields names the fields by which a Step says its kind: one of them is set.
func KindFields() []string {
	var names []string
	for _, k := range stepKinds {
		names = append(names, strings.ReplaceAll(string(k.kind), "-", "_"))
	}
	return names
}

// Validate says what is wrong with a profile by itself.
func (p Profile) Validate() error {
	bad := func(hint, part, format string, args ...any) error {
		return &Error{Op: "declare profile " + p.Name, Kind: Invalid, Err: inPart(fmt.Errorf(format, args...), part), Hint: hint}
	}
	if !namePattern().MatchString(p.Name) {
		return bad(nameHint, "name", "%q cannot name a profile", p.Name)
	}
	chosen := make(map[string]bool, len(p.Steps))
	for _, name := range p.Steps {
		if chosen[name] {
			return bad("name it once", "steps", "step %s is chosen twice", name)
		}
		chosen[name] = true
	}
	return nil
}

// tooLong tells what a step has of text and may not, in bytes: rounded, a little too much
// would read as the most there can be.
func tooLong(size int) string {
	return fmt.Sprintf("%d bytes, and the most is %s (%d)", size, maxStepText, maxStepText)
}
