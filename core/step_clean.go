package core

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Some of the operator's steps are about the end of a machine: those of the phase release
// while it still runs, and those of the phase cleaned once nothing is left of it. Which
// they are was settled when it was deployed, whatever the profile has come to be since.

// later are the steps of a deploy that are done once its machine is given up.
func later(steps []Step) []Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.Phase != PhaseRelease && s.Phase != PhaseCleaned })
}

// stepsOfClean are the operator's steps of a clean that follows an attempt on its node. by
// is the allocation that let go of the node, if one did: only that one's machine is given
// up. Where no machine was there the pool's profile counts as it is now: whoever repairs a
// node that a step has kept out has mended the step.
func (e *Engine) stepsOfClean(tx Tx, n Node, before Attempt, by AllocationID) ([]Step, error) {
	steps := later(before.Steps)
	if before.Job != JobDeploy {
		p, err := findPool(tx, n.Pool)
		if err != nil {
			return nil, err
		}
		all, err := profileSteps(tx, p.Profile)
		if Is(err, NotFound, Invalid) {
			return nil, tx.AddEvent(Event{Node: n.ID, Type: Note, Message: "cleaned without the steps of its pool: " + err.Error(), By: e.process})
		}
		if err != nil {
			return nil, err
		}
		steps = later(stepsFor(n, all))
	}
	if by != "" {
		return steps, nil
	}
	return slices.DeleteFunc(steps, func(s Step) bool { return s.Phase == PhaseRelease }), nil
}

// cleaning are the steps of a clean: ours, and the operator's where their phases are.
func (a Attempt) cleaning() []step {
	if len(a.Steps) == 0 {
		return cleanSteps
	}
	var plan []step
	for _, s := range a.Steps {
		if s.Phase == PhaseRelease {
			plan = append(plan, a.releasing(s))
		}
	}
	for _, s := range cleanSteps {
		plan = append(plan, s)
		if s.name == stepErase {
			plan = append(plan, a.declared(PhaseCleaned)...)
		}
	}
	return plan
}

// releasing is a step before the power is cut. However it ends, or does not, that is cut:
// all of them together have releaseLimit, and drive's own limit is beyond that.
func (a Attempt) releasing(s Step) step {
	limit := func(Timeouts) time.Duration { return releaseLimit + time.Minute }
	own := step{name: stepName(s), timeout: limit, turn: s.turn(), do: func(ctx context.Context, w *work) error { return w.takeBeforeOff(ctx, s) }}
	if s.logsIn() && a.Login == nil {
		own.turn, own.do = "", func(ctx context.Context, w *work) error { return w.noWayIn(s) }
	}
	return own
}

func (w *work) takeBeforeOff(ctx context.Context, s Step) error {
	name := stepName(s)
	if w.releaseEnds.IsZero() {
		w.releaseEnds = time.Now().Add(releaseLimit)
	}
	if !time.Now().Before(w.releaseEnds) {
		w.goWithout(name, "left out: "+errReleaseTooLong.Error())
		return nil
	}
	within, cancel := context.WithDeadlineCause(ctx, w.releaseEnds, errReleaseTooLong)
	defer cancel()
	err := w.takeStep(within, name, s)
	switch {
	case err == nil, ctx.Err() != nil, Is(err, LeaseLost):
		return err
	case within.Err() != nil:
		err = errReleaseTooLong
	case ofStore(err):
		return err
	}
	w.goWithout(name, "goes on without it: "+err.Error())
	return nil
}

// noWayIn is what becomes of a step on a machine that metalpool cannot log in to.
func (w *work) noWayIn(s Step) error {
	if w.attempt.Ran {
		w.goWithout(stepName(s), "left out: pool \""+w.pool.Name+"\" keeps no key to its machines once they are deployed; to have it done, 'metalpool pool set "+w.pool.Name+" --management-key always'")
	}
	return nil
}

var errReleaseTooLong = fmt.Errorf("the steps before a release have %s together, and that is over", FormatDuration(releaseLimit))
