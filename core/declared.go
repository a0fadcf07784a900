package core

import (
	"context"
	"fmt"
	"slices"
)

// Steps lists what operators have declared.
func (e *Engine) Steps(ctx context.Context) (all []Step, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		all, err = collect(tx.Steps())
		return err
	})
	return all, err
}

// Step reads one step.
func (e *Engine) Step(ctx context.Context, name string) (s Step, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		s, err = findStep(tx, name)
		return err
	})
	return s, err
}

// Profiles lists the choices of steps that there are.
func (e *Engine) Profiles(ctx context.Context) (all []Profile, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		all, err = collect(tx.Profiles())
		return err
	})
	return all, err
}

// Profile reads one profile.
func (e *Engine) Profile(ctx context.Context, name string) (p Profile, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		p, err = findProfile(tx, name)
		return err
	})
	return p, err
}

// RemoveStep removes a step that no profile has. by is who removes it.
func (e *Engine) RemoveStep(ctx context.Context, name string, by Declarer, takeOver bool) error {
	return e.store.Update(ctx, func(tx Tx) error {
		s, err := findStep(tx, name)
		if err != nil {
			return err
		}
		if err := mayRemove(kindStep, name, s.DeclaredBy, by, takeOver); err != nil {
			return err
		}
		if err := removeStep(tx, name); err != nil {
			return err
		}
		var wrong faults
		if err := checkChoices(tx, &wrong); err != nil {
			return err
		}
		return wrong.err()
	})
}

func removeStep(tx Tx, name string) error {
	profiles, err := collect(tx.Profiles())
	if err != nil {
		return err
	}
	for _, p := range profiles {
		if slices.Contains(p.Steps, name) {
			return &Error{Op: "remove step " + name, Kind: Busy, Err: fmt.Errorf("profile %s has it", p.Name), Hint: "take it out there first"}
		}
	}
	return tx.DeleteStep(name)
}

// RemoveProfile removes a profile that no pool has. Deploys that have begun with it go on
// with its steps.
func (e *Engine) RemoveProfile(ctx context.Context, name string, by Declarer, takeOver bool) error {
	return e.store.Update(ctx, func(tx Tx) error {
		p, err := findProfile(tx, name)
		if err != nil {
			return err
		}
		if err := mayRemove(kindProfile, name, p.DeclaredBy, by, takeOver); err != nil {
			return err
		}
		return removeProfile(tx, name)
	})
}

func removeProfile(tx Tx, name string) error {
	pools, err := collect(tx.Pools())
	if err != nil {
		return err
	}
	for _, pool := range pools {
		switch busy := (Error{Op: "remove profile " + name, Kind: Busy}); {
		case pool.Profile == name:
			busy.Err, busy.Hint = fmt.Errorf("pool %s has it", pool.Name), "give that another one first"
			return &busy
		case slices.Contains(pool.Profiles, name):
			busy.Err, busy.Hint = fmt.Errorf("pool %s offers it", pool.Name), "take it out of that one's profiles first; the last of them with 'profiles: []'"
			return &busy
		}
	}
	return tx.DeleteProfile(name)
}
