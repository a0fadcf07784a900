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
	// Whoever may declare steps says how many there are: each is looked at once.
	waits, followers := make([]int, len(left)), map[string][]int{}
	var ready []int
	for i, s := range left {
		for _, before := range s.After {
			if _, there := byName[before]; there {
				waits[i]++
				followers[before] = append(followers[before], i)
			}
		}
		if waits[i] == 0 {
			ready = append(ready, i)
		}
	}
	var ordered []Step
	for len(ready) > 0 {
		next := left[ready[0]]
		ordered, ready = append(ordered, next), ready[1:]
		for _, i := range followers[next.Name] {
			if waits[i]--; waits[i] == 0 {
				at, _ := slices.BinarySearch(ready, i)
				ready = slices.Insert(ready, at, i)
			}
		}
	}
	if len(ordered) < len(left) {
		var rest []Step
		for i, s := range left {
			if waits[i] > 0 {
				rest = append(rest, s)
			}
		}
		return nil, unorderly("steps wait for each other: %s", strings.Join(cycle(rest), " after "))
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
