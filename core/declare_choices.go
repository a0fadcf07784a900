package core

import "fmt"

// checkChoices looks whether all profiles and pools name what there is, and can be put
// in order.
func checkChoices(tx Tx) error {
	steps, err := collect(tx.Steps())
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, s := range steps {
		known[s.Name] = true
	}
	for _, s := range steps {
		for _, before := range s.After {
			if !known[before] {
				return &Error{Op: "declare step " + s.Name, Kind: Invalid, Err: fmt.Errorf("after: there is no step %q", before), Hint: thereAre(before, steps, func(s Step) string { return s.Name }, "metalpool step list")}
			}
		}
	}
	profiles, err := collect(tx.Profiles())
	if err != nil {
		return err
	}
	for _, p := range profiles {
		steps, err := profileSteps(tx, p.Name)
		if err != nil {
			return err
		}
		if err := checkTogether(steps); err != nil {
			return inProfile(err, p.Name)
		}
		if _, err := combine(fragmentsOf(steps, nil), nil); err != nil {
			return inProfile(err, p.Name)
		}
	}
	pools, err := collect(tx.Pools())
	if err != nil {
		return err
	}
	for _, p := range pools {
		for _, name := range p.choices() {
			if _, err := findProfile(tx, name); err != nil {
				return &Error{Op: "set pool " + p.Name, Kind: Invalid, Err: err}
			}
		}
	}
	return nil
}
