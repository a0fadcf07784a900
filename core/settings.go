package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Some of the operator's steps set the server itself up, through its BMC. Most of what
// they write is in force after a start of the server only, which takes minutes: so all of
// an attempt are written first, the start of the ramdisk is that one start for them all,
// and they are looked at once the ramdisk has shown that the firmware is through. Where
// all is as wanted nothing is written. Each verb converges, so that whoever goes on after
// a crash does it all again.

// setting is what such a step has of a server. Its verbs are those of the facets in
// facets.go.
type setting interface {
	compare(ctx context.Context, bmc BMC) ([]Difference, error)
	set(ctx context.Context, bmc BMC) (Change, error)
	verify(ctx context.Context, bmc BMC) error
}

// errNoVerb is a backend that has not got a facet, whatever the server.
var errNoVerb = fmt.Errorf("its backend knows of none: %w", ErrNoFacet)

// facetOf finds a facet of a BMC.
func facetOf[F any](bmc BMC, what string) (F, error) {
	f, has := bmc.(F)
	if !has {
		return f, &Error{Op: stepSetUp, Kind: Invalid, Err: fmt.Errorf("%s: %w", what, errNoVerb)}
	}
	return f, nil
}

// SettingStage is how far a setting has come that is not in force yet.
type SettingStage string

const (
	settingWaits SettingStage = "waits" // written, for the next start
	settingAgain SettingStage = "again" // to be written once more after the next start
	settingLater SettingStage = "later" // cannot be had while the server is off
)

const (
	stepSetUp = "set up"
	// maxRounds is how often a server is started for its settings: some take changes in a
	// certain order only, others would never have enough.
	maxRounds = 5
	// setLimit is how long a setting may take to be written, and then to be in force.
	setLimit = 20 * time.Minute
)

// settings are the steps of an attempt that set the server up, as drive takes them once
// the server has started.
func (a Attempt) settings() (all []step) {
	for _, s := range a.Steps {
		if s.about().setting != nil {
			all = append(all, step{name: stepName(s), timeout: s.longest, patience: Timeouts.boot, do: func(ctx context.Context, w *work) error { return w.awaitSetting(ctx, s) }})
		}
	}
	return all
}

// setUp is what goes before that start.
func (a Attempt) setUp() step {
	return step{name: stepSetUp, do: setUp, patience: Timeouts.boot, timeout: func(t Timeouts) (limit time.Duration) {
		for _, s := range a.Steps {
			if s.about().setting != nil {
				limit += s.longest(t)
			}
		}
		return limit
	}}
}

// stepName is how a step is called in events.
func stepName(s Step) string {
	if s.users() {
		return s.Name
	}
	return "step " + s.Name
}

// longest is how long all tries of a step may take together.
func (s Step) longest(Timeouts) time.Duration {
	return time.Duration(s.Retries+1) * (time.Duration(s.Timeout) + maxPause + time.Minute)
}

// unset are the settings that are not met yet, in their order.
func (a Attempt) unset() (all []Step) {
	for _, s := range a.Steps {
		if _, met := a.Met[stepName(s)]; !met && s.about().setting != nil {
			all = append(all, s)
		}
	}
	return all
}

// ready are the settings that can be written now: all that they are to come after is in
// force.
func (a Attempt) ready() []Step {
	unset := a.unset()
	return slices.DeleteFunc(slices.Clone(unset), func(s Step) bool {
		return slices.ContainsFunc(unset, func(before Step) bool { return slices.Contains(s.After, before.Name) })
	})
}

// setUp writes all that is not as wanted, and has the server start where something waits
// for that.
func setUp(ctx context.Context, w *work) error {
	for _, s := range w.attempt.unset() {
		if w.met(stepRamdisk) && w.attempt.Settings[s.Name] == settingWaits {
			if err := w.confirm(ctx, s); err != nil {
				return err
			}
		}
	}
	if w.stages == nil {
		w.stages = map[string]SettingStage{}
	}
	for {
		ready := slices.DeleteFunc(w.attempt.ready(), func(s Step) bool { return w.stages[s.Name] != "" })
		if len(ready) == 0 {
			break
		}
		// All are looked at before the first is written: where one is refused, nothing is done.
		for _, s := range ready {
			if err := w.lookAt(ctx, s); err != nil {
				return err
			}
		}
		for _, s := range ready {
			if w.met(stepName(s)) {
				continue // it is gone on without
			}
			stage, err := w.write(ctx, s)
			if err != nil {
				return err
			}
			if stage != "" {
				w.stages[s.Name] = stage
			}
		}
	}
	w.put(func(a *Attempt) {
		if a.Settings = w.stages; len(a.Settings) > 0 {
			a.Met = maps.Clone(a.Met)
			delete(a.Met, stepRamdisk)
		}
	})
	w.stages = nil
	return nil
}

// ask has the BMC do something about a setting. failure is the setting's own, err what
// came in its way.
func (w *work) ask(ctx context.Context, s Step, do func(ctx context.Context, bmc BMC) error) (failure, err error) {
	within, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	within = WhileAwaiting(within, func(what string) { w.waits(within, stepName(s), "not done yet: "+what) })
	bmc, err := w.conn(within)
	if err == nil {
		err = do(within, bmc)
	}
	switch {
	case err == nil:
		return nil, nil
	case ctx.Err() != nil || Is(err, Transient, LeaseLost, Busy) || ofStore(err):
		return nil, err
	case within.Err() != nil:
		err = fmt.Errorf("not done within %s: %w", s.Timeout, err)
	}
	return err, nil
}

// lookAt looks whether a setting can be had, and only that.
func (w *work) lookAt(ctx context.Context, s Step) error {
	kind := s.about()
	if kind.kind == KindRAID {
		if err := w.expectVolumes(ctx); err != nil {
			return err
		}
	}
	failure, err := w.ask(ctx, s, func(ctx context.Context, bmc BMC) error {
		differs, err := kind.setting(s).compare(ctx, bmc)
		switch {
		case err != nil || len(differs) == 0:
			return err
		case kind.reads:
			return &Error{Op: stepSetUp, Kind: Invalid, Err: errors.New(Differences(differs)), Hint: "nothing of it is changed here"}
		case kind.spends:
			return w.mayLose(ctx, differs)
		}
		return nil
	})
	if err != nil || failure == nil || w.comesLater(ctx, failure) {
		return err
	}
	if err := w.stepFailed(stepName(s), s, failure); err != nil {
		return unchanged(err)
	}
	return w.meet(ctx, stepName(s))
}

// mayLose refuses to change what a machine's disks are made of once it was in use: what is
// on them is its owner's, and a deploy leaves it as it is.
func (w *work) mayLose(ctx context.Context, differs []Difference) error {
	if w.attempt.Allocation == "" {
		return nil
	}
	var a Allocation
	err := w.e.store.View(ctx, func(tx Tx) (err error) {
		a, err = tx.Allocation(w.attempt.Allocation)
		return err
	})
	if err != nil || !a.Settled {
		return err
	}
	return &Error{Op: stepSetUp, Kind: Denied, Err: fmt.Errorf("%s; to change that would destroy what the machine has on its disks: release it, and create another one", Differences(differs))}
}

// comesLater reports whether what failed may do once the server is on: some BMCs know
// settings, and even what there is to be set, only then.
func (w *work) comesLater(ctx context.Context, failure error) bool {
	lacks := errors.Is(failure, ErrNoFacet) && !errors.Is(failure, errNoVerb)
	if !lacks && !Is(failure, Backend) || w.attempt.Rounds > 0 {
		return false
	}
	return w.isOff(ctx)
}

// isOff reports whether the BMC says that the server's power is off.
func (w *work) isOff(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, w.e.timing.Call)
	defer cancel()
	bmc, err := w.conn(ctx)
	if err != nil {
		return false
	}
	power, err := bmc.Power(ctx)
	return err == nil && power == PowerOff
}

// write writes a setting, and says what it waits for then: nothing, where it is met.
func (w *work) write(ctx context.Context, s Step) (SettingStage, error) {
	name, kind := stepName(s), s.about()
	for {
		var change Change
		failure, err := w.ask(ctx, s, func(ctx context.Context, bmc BMC) (err error) {
			change, err = kind.setting(s).set(ctx, bmc)
			return err
		})
		differs := changes(change.Differs)
		switch {
		case err != nil:
			return "", err
		case failure != nil && w.comesLater(ctx, failure):
			w.tell(ctx, name, "to be set once the server is on: "+cause(failure))
			return settingLater, nil
		case failure != nil:
			again, err := w.failedToSet(ctx, s, failure)
			if err == nil && again {
				continue
			}
			if err == nil {
				err = w.meet(ctx, name)
			}
			if errors.Is(failure, ErrRefused) {
				err = unchanged(err)
			}
			return "", err
		case change.Again:
			w.tell(ctx, name, "to be set after the next start of the server, since what waits for that is in the way: "+differs)
			return settingAgain, nil
		case change.Reset, len(change.Differs) > 0 && kind.spends && w.met(stepRamdisk):
			// A ramdisk that runs has not seen what became of its disks.
			w.tell(ctx, name, "set, for the next start of the server: "+differs)
			return settingWaits, nil
		case len(change.Differs) > 0:
			w.tell(ctx, name, "set: "+differs)
			return "", w.confirm(ctx, s)
		}
		w.note(ctx, Note, name, "nothing to do: all is as wanted")
		return "", w.meet(ctx, name)
	}
}

// tell tells the caller, and everybody else.
func (w *work) tell(ctx context.Context, step, text string) {
	w.note(ctx, Note, step, text)
	w.say(step, "%s", text)
}

// confirm looks whether what was set is in force, and meets its step. Where it is not, and
// is to be tried again, the step is left unmet.
func (w *work) confirm(ctx context.Context, s Step) error {
	done, err := w.inForce(ctx, s)
	if err == nil && done {
		err = w.meet(ctx, stepName(s))
	}
	return err
}

// inForce reports whether a setting's step is done: what was set is in force, or the
// operator wants no more of it.
func (w *work) inForce(ctx context.Context, s Step) (done bool, err error) {
	failure, err := w.ask(ctx, s, s.about().setting(s).verify)
	if err != nil || failure == nil {
		return err == nil, err
	}
	again, err := w.failedToSet(ctx, s, failure)
	return err == nil && !again, err
}

// failedToSet does what the operator wants where a setting has failed. again says that it
// is to be tried once more; else it is gone on without.
func (w *work) failedToSet(ctx context.Context, s Step, failure error) (again bool, err error) {
	try := max(1, w.attempt.Tries[s.Name])
	if try > s.Retries || errors.Is(failure, ErrRefused) && Is(failure, Invalid, Denied) {
		return false, w.stepFailed(stepName(s), s, failure)
	}
	text := fmt.Sprintf("try %d of %d: %s", try, s.Retries+1, cause(failure))
	w.note(ctx, StepFailed, stepName(s), text)
	w.say(stepName(s), "%s", text)
	if err := wait(ctx, min(w.e.timing.Retry<<min(try-1, 10), maxPause)); err != nil {
		return false, err
	}
	return true, w.begins(ctx, s, try+1)
}

// awaitSetting is a setting's own step, after the start. What is not in force by now is
// set anew, or at last, and the server started once more.
func (w *work) awaitSetting(ctx context.Context, s Step) error {
	if w.attempt.Settings[s.Name] == settingWaits {
		if done, err := w.inForce(ctx, s); err != nil || done {
			return err
		}
	}
	if w.attempt.Rounds+1 >= maxRounds {
		return w.stepFailed(stepName(s), s, fmt.Errorf("it is not in force after %d starts of the server", maxRounds))
	}
	w.boots = 0 // the ramdisk did start
	err := w.save(ctx, func(a *Attempt) {
		a.Rounds++
		a.Settings = maps.Clone(a.Settings)
		delete(a.Settings, s.Name)
		delete(a.Met, stepSetUp)
	})
	if err != nil {
		return err
	}
	return errStartedOver
}
