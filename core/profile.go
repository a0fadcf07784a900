package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// chosenSteps are those of an order's profile, in the order in which they run.
func (e *Engine) chosenSteps(ctx context.Context, o Order) (steps []Step, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		p, err := findPool(tx, o.Request.Pool)
		if err != nil {
			return err
		}
		if err := mayChoose(p, o); err != nil {
			return err
		}
		steps, err = profileSteps(tx, cmp.Or(o.Profile, p.Profile))
		return named(err, o.Name)
	})
	return steps, err
}

// mayChoose refuses a profile that the pool does not let users name.
func mayChoose(p Pool, o Order) error {
	if o.Profile == "" || o.Profile == p.Profile || slices.Contains(p.Profiles, o.Profile) {
		return nil
	}
	hint := fmt.Sprintf("leave it out: pool %q has no choice of profiles", p.Name)
	if all := p.choices(); len(all) > 0 {
		hint = "there are: " + strings.Join(all, ", ")
	}
	return &Error{Op: "choose profile " + o.Profile, Allocation: o.Name, Kind: Invalid, Err: fmt.Errorf("pool %q does not offer it", p.Name), Hint: hint}
}

// choices are the profiles that a pool has, its default one first.
func (p Pool) choices() []string {
	var all []string
	for _, name := range append([]string{p.Profile}, p.Profiles...) {
		if name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// profileSteps reads the steps of a profile, in the order in which they run. "" has none.
func profileSteps(tx Tx, profile string) ([]Step, error) {
	if profile == "" {
		return nil, nil
	}
	p, err := findProfile(tx, profile)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for _, name := range p.Steps {
		s, err := findStep(tx, name)
		if err != nil {
			return nil, inProfile(err, profile)
		}
		steps = append(steps, s)
	}
	ordered, err := OrderSteps(steps)
	return ordered, inProfile(err, profile)
}

func inProfile(err error, profile string) error {
	if e, ok := outermost(err); ok {
		told := *e
		told.Op = "read profile " + profile
		return &told
	}
	return err
}

func findStep(tx Tx, name string) (Step, error) {
	s, err := tx.Step(name)
	if Is(err, NotFound) {
		all, listErr := collect(tx.Steps())
		if listErr != nil {
			return s, listErr
		}
		err = &Error{Op: "find step", Kind: NotFound, Err: fmt.Errorf("there is no step %q", name), Hint: meant(name, all, func(s Step) string { return s.Name }, "metalpool step list")}
	}
	return s, err
}

func findProfile(tx Tx, name string) (Profile, error) {
	p, err := tx.Profile(name)
	if Is(err, NotFound) {
		all, listErr := collect(tx.Profiles())
		if listErr != nil {
			return p, listErr
		}
		err = &Error{Op: "find profile", Kind: NotFound, Err: fmt.Errorf("there is no profile %q", name), Hint: meant(name, all, func(p Profile) string { return p.Name }, "metalpool profile list")}
	}
	return p, err
}

// logsIn reports whether any of a phase's steps runs on the machine, through SSH.
func logsIn(steps []Step, phase StepPhase) bool {
	return slices.ContainsFunc(steps, func(s Step) bool { return s.Phase == phase && s.logsIn() })
}

// doableSteps are an order's, unless they cannot be done.
func (e *Engine) doableSteps(ctx context.Context, o Order) ([]Step, error) {
	steps, err := e.chosenSteps(ctx, o)
	if err != nil {
		return nil, err
	}
	if len(o.PostDeploy) > 0 {
		steps = append(steps, postDeploy())
	}
	p, err := e.Pool(ctx, o.Request.Pool)
	if err != nil {
		return nil, err
	}
	return steps, checkReach(o, p, steps)
}

// checkReach refuses steps that would need a way into a machine which has none.
func checkReach(o Order, p Pool, steps []Step) error {
	i := slices.IndexFunc(steps, func(s Step) bool { return s.Phase == PhaseDeployed && s.logsIn() })
	if i < 0 {
		return nil
	}
	e := &Error{Op: "run " + stepName(steps[i]), Allocation: o.Name, Kind: Invalid}
	switch {
	case p.management() == ManageNever:
		e.Err = fmt.Errorf("it logs in to the machine, and pool %q keeps no management key", p.Name)
		e.Hint = "have the pool set: metalpool pool set " + p.Name + " --management-key deploy; or " + steps[i].leaveOut()
	case o.WaitFor == UntilStarted:
		e.Err = errors.New("it logs in to the machine, and nobody is to wait for that one's SSH")
		e.Hint = fmt.Sprintf("wait for %s, or %s", UntilSSH, steps[i].leaveOut())
	default:
		return nil
	}
	return e
}

// leaveOut is how a machine comes to be without a step.
func (s Step) leaveOut() string {
	if s.users() {
		return "leave the script out"
	}
	return "name a profile without it"
}
