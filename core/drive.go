package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// step is one thing that an attempt has to have done. Its do converges: called
// again after a crash at any line, it ends in the same place.
type step struct {
	name string
	// ramdisk: the step needs the agent. When the agent is gone, so is what only RAM
	// held, and the work goes back to the step that boots it.
	ramdisk bool
	// needed leaves the step out where it says no; nil: every attempt needs it.
	needed  func(a Attempt) bool
	timeout func(Timeouts) time.Duration
	// patience is how long nobody may answer, where timeout is longer than that; nil: as
	// long as that is.
	patience func(Timeouts) time.Duration
	// turn is the phase of a step of the operator's that is done in turn with those of other
	// nodes; "" waits for none.
	turn StepPhase
	do   func(ctx context.Context, w *work) error
}

// agent reports whether the step talks with the agent.
func (s step) agent() bool { return s.ramdisk || s.name == stepBoot }

// maxBoots is how often one worker starts the ramdisk in vain before the node is
// given up. Workers that died do not count.
const maxBoots = 3

// drive is the one loop behind every deploy and every clean: do the first step that
// is not met, write that it is met, go on. What is met is read from this attempt's
// record, never from the look of the hardware.
func (w *work) drive(ctx context.Context, steps []step) error {
	for {
		s, ok := w.firstUnmet(steps)
		if !ok {
			return nil
		}
		w.told, w.without = nil, "" // of one whose end the store did not take
		err := w.try(ctx, s)
		if err == nil {
			err = w.meet(ctx, s.name)
		}
		if err == nil {
			continue
		}
		if cause := context.Cause(ctx); cause != nil {
			if interrupted(ctx) && !Is(cause, LeaseLost) {
				w.leaves(ctx, s.name, cause)
			}
			return cause
		}
		if errors.Is(err, errStartedOver) {
			continue
		}
		if ofStore(err) {
			// Until it answers, or our lease has lapsed without it. What was done is done again.
			w.say(s.name, "the store does not answer, going on once it does: %v", err)
			_ = wait(ctx, w.e.timing.Retry) // the next step hears of its end
			continue
		}
		w.failed(ctx, s, err)
		if w.bootAgain(s, err) {
			w.say(s.name, "the agent is silent; starting the ramdisk again")
			if err := w.unmeet(ctx, stepRamdisk); err != nil {
				return err
			}
			continue
		}
		return err
	}
}

// leaves tells that nobody works on from here, which only the caller would know.
func (w *work) leaves(ctx context.Context, step string, why error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.e.timing.Call)
	defer cancel()
	w.note(ctx, WorkLeft, step, fmt.Sprintf("by %s: %v", w.e.process, why))
}

// failed tells of a step that failed, with the agent's own words where it is there to
// say them.
func (w *work) failed(ctx context.Context, s step, err error) {
	text := reason(err, s.name, w.node.ID)
	if s.agent() && !Is(err, Transient, Timeout, LeaseLost) {
		text += w.agentsWords(ctx, s.name)
	}
	w.note(ctx, StepFailed, s.name, text)
}

// bootAgain reports whether a new start of the ramdisk may help: the agent fell
// silent in the middle, or never came where nobody waits for the outcome.
func (w *work) bootAgain(s step, err error) bool {
	// Firmware that starts anew by itself, to put settings into force, may have forgotten
	// by then that it was to start the media.
	never := s.name == stepRamdisk && (w.attempt.Job != JobDeploy || len(w.attempt.Settings) > 0) && Is(err, Timeout)
	silent := s.ramdisk && Is(err, Transient, Timeout) && !errors.As(err, new(*verdictError))
	return (never || silent) && w.boots < maxBoots
}

// try does a step, again after passing faults, until its time is over.
func (w *work) try(ctx context.Context, s step) error {
	limit := s.timeout(w.pool.Timeouts.OrDefaults())
	// What is waited for on another worker's account is not the step's own time.
	quiet, err := w.quiet(ctx)
	if err != nil {
		quiet = w.e.timing.Call // the step finds out what there is to be waited for
	}
	w.waiting.begin(time.Now())
	if s.turn != "" {
		leave, err := w.awaitTurn(ctx, s.name, s.turn)
		if err != nil {
			return err
		}
		defer leave()
		w.waiting.begin(time.Now())
	}
	bounded, cancel := context.WithTimeout(ctx, limit+quiet)
	defer cancel()
	bounded = WhileAsking(bounded, func(why string) { w.fault(bounded, s.name, "asking again: "+why) })
	if s.agent() {
		defer w.listen(bounded, s.name)()
	}
	until, _ := bounded.Deadline() // that of the whole deploy may be sooner
	w.say(s.name, "%sat most %s", w.place(s.name), FormatDuration(time.Until(until).Round(time.Second)))
	var last error
	var silent time.Time // since then there was no answer
	for {
		began := time.Now()
		err := s.do(bounded, w)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if bounded.Err() != nil {
			if last != nil && errors.Is(err, context.DeadlineExceeded) {
				err = last // a try that was cut short knows less than the one before it
			}
			kind := Timeout
			if Is(err, Transient) {
				kind = Transient // never an answer: not the same as a slow one
			}
			return w.late(s, kind, limit, err)
		}
		if !Is(err, Transient) || s.ramdisk {
			return err
		}
		last = err
		if s.patience != nil {
			most := s.patience(w.pool.Timeouts.OrDefaults())
			if silent.IsZero() || time.Since(began) > most {
				silent = time.Now() // what took so long was answered until then
			}
			if time.Since(silent) > most {
				return w.late(s, Transient, most, err)
			}
		}
		w.retries(bounded, s.name, reason(err, s.name, w.node.ID))
		select {
		case <-bounded.Done():
		case <-time.After(w.e.timing.Retry):
		}
	}
}

// place says which of its attempt's steps one is: "step 2 of 5, "; nothing of one that is
// none of them, as those are not with which somebody ends it.
func (w *work) place(name string) string {
	at, of := 0, 0
	for _, s := range w.attempt.plan() {
		if s.needed != nil && !s.needed(w.attempt) && !w.met(s.name) {
			continue
		}
		if of++; s.name == name {
			at = of
		}
	}
	if at == 0 {
		return ""
	}
	return fmt.Sprintf("step %d of %d, ", at, of)
}

// late says that the time for a step is over. Where the step has said itself why, that
// is not said of another step once more.
func (w *work) late(s step, kind Kind, limit time.Duration, err error) error {
	late := Error{Op: s.name, Node: w.node.ID, Kind: kind, Err: err, Hint: "raise the pool's timeout for this phase if the server is just slow"}
	if own, ok := outermost(err); ok && own.Op == s.name {
		late.Err = own.Err
		if own.Hint != "" {
			late.Hint = own.Hint + "; or " + late.Hint
		}
	}
	late.Err = fmt.Errorf("not done within %s: %w", FormatDuration(limit), late.Err)
	return &late
}

func (w *work) firstUnmet(steps []step) (step, bool) {
	for _, s := range steps {
		if !w.met(s.name) && (s.needed == nil || s.needed(w.attempt)) {
			return s, true
		}
	}
	return step{}, false
}

func (w *work) met(step string) bool {
	_, met := w.attempt.Met[step]
	return met
}

// put changes the attempt in memory. It is for what a step found at its end: that
// counts once the step is met, and is written down with it.
func (w *work) put(change func(a *Attempt)) { change(&w.attempt) }

// save writes the attempt after change, keeping memory and store alike.
func (w *work) save(ctx context.Context, change func(a *Attempt), events ...Event) error {
	a := w.attempt
	a.Met = maps.Clone(a.Met)
	change(&a)
	err := w.commit(ctx, func(tx Tx) error {
		for _, ev := range events {
			if err := tx.AddEvent(ev); err != nil {
				return err
			}
		}
		return tx.PutAttempt(a)
	})
	if err == nil {
		w.attempt = a
	}
	return err
}

func (w *work) meet(ctx context.Context, name string) error {
	end, undone := StepMet, w.without == name
	if undone {
		end = StepUndone
	}
	met := w.event(end, name, afterTries(w.waiting.ends()))
	met.Bytes = w.moved
	err := w.save(ctx, func(a *Attempt) {
		if a.Met == nil {
			a.Met = map[string]time.Time{}
		}
		a.Met[name] = time.Now().UTC()
		if undone {
			a.Undone = append(slices.Clone(a.Undone), name)
		}
	}, append(slices.Clone(w.told), met)...)
	if err == nil {
		w.moved, w.told, w.without = 0, nil, ""
	}
	return err
}

// afterTries says how many tries at a step failed before it was done.
func afterTries(failed int) string {
	switch failed {
	case 0:
		return ""
	case 1:
		return "at the second try"
	}
	return fmt.Sprintf("after %d tries that failed", failed)
}

func (w *work) unmeet(ctx context.Context, name string) error {
	return w.save(ctx, func(a *Attempt) { delete(a.Met, name) })
}

// wait pauses between two looks at something outside, or ends with the context.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// interrupted reports whether the work was stopped from outside, so that nobody
// is to blame.
func interrupted(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(context.Cause(ctx), errOutOfTime)
}

// errOutOfTime is the cause of a context whose deploy took too long.
var errOutOfTime = &Error{Op: "deploy", Kind: Timeout, Err: errors.New("the time for the whole deploy is over"), Hint: "see the node's events for where it went, or allow more " + AdviceTime}
