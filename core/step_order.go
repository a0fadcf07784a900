package core

import (
	"fmt"
	"slices"
	"strings"
)

// phases in the order in which they come.
var phases = []StepPhase{PhasePrepare, PhaseFirstBoot, PhaseDeployed, PhaseRelease, PhaseCleaned}

// OrderSteps puts steps in the order in which they run: by phase, then each after those
// of its After that are among them, then as they were given. It fills in what they leave
// out.
func OrderSteps(given []Step) ([]Step, error) {
	left := make([]Step, len(given))
	byName := map[string]Step{}
	for i, s := range given {
		left[i] = s.OrDefaults()
		byName[s.Name] = left[i]
	}
	for _, s := range left {
		for _, before := range s.After {
			switch b, there := byName[before]; {
			case !there || b.place() <= s.place():
			case b.Phase == s.Phase:
				return nil, unorderly("step %s is to run after %s, and steps of kind %s come before those of kind %s", s.Name, before, s.Kind(), b.Kind())
			default:
				return nil, unorderly("step %s is to run after %s, whose phase %s comes after %s", s.Name, before, b.Phase, s.Phase)
			}
		}
	}
	slices.SortStableFunc(left, func(a, b Step) int { return a.place() - b.place() })
	var ordered []Step
	done := map[string]bool{}
	waits := func(s Step) bool {
		return slices.ContainsFunc(s.After, func(before string) bool { _, there := byName[before]; return there && !done[before] })
	}
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(s Step) bool { return !waits(s) })
		if i < 0 {
			return nil, unorderly("steps wait for each other: %s", strings.Join(cycle(left), " after "))
		}
		ordered, done[left[i].Name] = append(ordered, left[i]), true
		left = slices.Delete(left, i, i+1)
	}
	return ordered, nil
}

// place is where a step's phase comes, and within one what sets the server itself up: the
// start of the ramdisk, in which the others find it, is what puts that into force.
func (s Step) place() int {
	place := 2 * slices.Index(phases, s.Phase)
	if s.about().setting == nil {
		place++
	}
	return place
}

func unorderly(format string, args ...any) error {
	return &Error{Op: "order steps", Kind: Invalid, Err: fmt.Errorf(format, args...), Hint: "change what they have in after"}
}

// cycle finds steps of which each is to run after the next, and the last is the first.
// Each of them has one that it waits for.
func cycle(steps []Step) []string {
	byName := map[string]Step{}
	for _, s := range steps {
		byName[s.Name] = s
	}
	var way []string
	for name := steps[0].Name; ; {
		if at := slices.Index(way, name); at >= 0 {
			return append(way[at:], name)
		}
		way = append(way, name)
		after := byName[name].After
		name = after[slices.IndexFunc(after, func(before string) bool { _, there := byName[before]; return there })]
	}
}
