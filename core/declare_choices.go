package core

import (
	"fmt"
	"slices"
	"strconv"
)

// checkChoices looks whether all profiles and pools name what there is, and can be put
// in order. What names a thing that is wrong itself is not to blame.
func checkChoices(tx Tx, wrong *faults) error {
	steps, err := collect(tx.Steps())
	if err != nil {
		return err
	}
	like := func(name string) string {
		if len(wrong.all) >= maxFaults {
			return "" // nobody is told
		}
		return meant(name, steps, func(s Step) string { return s.Name }, "metalpool step list")
	}
	known := map[string]bool{}
	for _, s := range steps {
		known[s.Name] = true
	}
	for _, s := range steps {
		for i, before := range s.After {
			if known[before] || wrong.has(kindStep, before) {
				continue
			}
			err := &Error{Op: "declare step " + s.Name, Kind: Invalid, Err: inPart(inPart(fmt.Errorf("there is no step %q", before), strconv.Itoa(i)), "after"), Hint: like(before)}
			if err := wrong.add(kindStep, s.Name, err); err != nil {
				return err
			}
		}
	}
	profiles, err := collect(tx.Profiles())
	if err != nil {
		return err
	}
	for _, p := range profiles {
		unknown := false
		for i, name := range p.Steps {
			if known[name] {
				continue
			}
			unknown = true
			if wrong.has(kindStep, name) {
				continue
			}
			err := &Error{Op: "read profile " + p.Name, Kind: NotFound, Err: inPart(inPart(fmt.Errorf("there is no step %q", name), strconv.Itoa(i)), "steps"), Hint: like(name)}
			if err := wrong.add(kindProfile, p.Name, err); err != nil {
				return err
			}
		}
		if unknown {
			continue
		}
		if err := wrong.add(kindProfile, p.Name, joinable(tx, p.Name)); err != nil {
			return err
		}
	}
	pools, err := collect(tx.Pools())
	if err != nil {
		return err
	}
	for _, p := range pools {
		for _, name := range p.choices() {
			_, err := findProfile(tx, name)
			if err == nil || Is(err, NotFound) && wrong.has(kindProfile, name) {
				continue
			}
			if err := wrong.add(kindPool, p.Name, p.badChoice(name, err)); err != nil {
				return err
			}
		}
	}
	return nil
}

// findChoices refuses a pool that has profiles which there are not.
func (p Pool) findChoices(tx Tx) error {
	for _, name := range p.choices() {
		if _, err := findProfile(tx, name); err != nil {
			return p.badChoice(name, err)
		}
	}
	return nil
}

// badChoice says by which of its fields a pool has a profile that was not found.
func (p Pool) badChoice(name string, err error) error {
	if name == p.Profile {
		return inField("set pool "+p.Name, name, err, "profile")
	}
	return inField("set pool "+p.Name, name, err, "profiles", strconv.Itoa(slices.Index(p.Profiles, name)))
}

// joinable looks whether the steps of a profile go together.
func joinable(tx Tx, profile string) error {
	steps, err := profileSteps(tx, profile)
	if err != nil {
		return err
	}
	if err = checkTogether(steps); err == nil {
		_, err = combine(fragmentsOf(steps, nil), nil)
	}
	return inProfile(err, profile)
}
