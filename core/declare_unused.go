package core

import "slices"

// warnOfUnused adds to what becomes of steps that no profile has them, and of profiles that
// no pool has them: nothing is wrong with those, and nothing comes of them.
func warnOfUnused(tx Tx, changes []Declared) error {
	if !slices.ContainsFunc(changes, func(d Declared) bool { return d.Kind == kindStep || d.Kind == kindProfile }) {
		return nil
	}
	steps, profiles := map[string]bool{}, map[string]bool{}
	for p, err := range tx.Profiles() {
		if err != nil {
			return err
		}
		for _, name := range p.Steps {
			steps[name] = true
		}
	}
	for p, err := range tx.Pools() {
		if err != nil {
			return err
		}
		profiles[p.Profile] = true
		for _, name := range p.Profiles {
			profiles[name] = true
		}
	}
	for i := range changes {
		switch d := &changes[i]; {
		case d.Change == Removed:
		case d.Kind == kindStep && !steps[d.Name]:
			d.warn([]string{"name"}, "no profile has it, so that it is done to no server; list it among the steps of one")
		case d.Kind == kindProfile && !profiles[d.Name]:
			d.warn([]string{"name"}, "no pool has it, so that no machine gets it; name it as a pool's profile, or among its profiles")
		}
	}
	return nil
}
