package core

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
)

// What a step needs of the host that does it is found out when it runs, which may be after
// an image was written. Whoever declares it is told before what his host, or the server
// that he asks, has not got: told only, since others may work on the pool, too.

// HostChecker is a StepRunner that knows what its host lacks to do a step. It looks, and
// runs nothing. The error says what is missing, where it was looked for, and what to do;
// path leads to where the step asks for it.
type HostChecker interface {
	CheckHost(s Step) (path []string, missing error)
}

// lacks tells what this host has not got that a step needs.
func (e *Engine) lacks(s Step) (all []Remark) {
	add := func(err error, path ...string) {
		if err != nil {
			all = append(all, Remark{Path: path, Text: fmt.Sprintf("%s lacks it: %s", hostName(), advised(err))})
		}
	}
	if checker, looks := e.steps[s.Kind()].(HostChecker); looks {
		path, missing := checker.CheckHost(s)
		add(missing, path...)
	}
	if e.findable == nil {
		return all
	}
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		add(e.findable(s.Secrets[name]), "secrets", name)
	}
	return all
}

// warnOfLacks adds to what becomes of steps what this host lacks for them.
func (e *Engine) warnOfLacks(ctx context.Context, steps []Step, changes []Declared) {
	told := changedSteps(changes)
	for _, s := range steps {
		if d, there := told[s.Name]; there && ctx.Err() == nil {
			d.Warnings = append(d.Warnings, e.lacks(s.OrDefaults())...)
		}
	}
}

// changedSteps are by name what becomes of steps: a file may have very many.
func changedSteps(changes []Declared) map[string]*Declared {
	steps := map[string]*Declared{}
	for i := range changes {
		if changes[i].Kind == kindStep {
			steps[changes[i].Name] = &changes[i]
		}
	}
	return steps
}

// advised is why something is missing, and what to do.
func advised(err error) string {
	text := cause(err)
	if e, ok := outermost(err); ok && e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

func hostName() string {
	if name, err := os.Hostname(); err == nil {
		return "the host " + name
	}
	return "this host"
}
