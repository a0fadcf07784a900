package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// declared is a step of the operator's as drive takes it.
func declared(s Step) step {
	name := stepName(s)
	// Its own time is kept by takeStep: what follows when that is over the operator says.
	return step{name: name, timeout: s.longest, ramdisk: s.inRamdisk(), turn: s.turn(), do: func(ctx context.Context, w *work) error { return w.takeStep(ctx, name, s) }}
}

// maxPause is the longest pause between two tries of a step; the first is Timing.Retry.
const maxPause = time.Minute

// plan are the steps of an attempt: ours, and the operator's where their phases are.
func (a Attempt) plan() []step {
	switch {
	case a.Job == JobPrepare:
		return a.preparation()
	case a.Job == JobClean:
		return a.cleaning()
	case len(a.Steps) == 0:
		return deploySteps
	}
	var plan []step
	for _, s := range deploySteps {
		if s.name == stepRamdisk && len(a.settings()) > 0 {
			plan = append(plan, a.setUp())
		}
		plan = append(plan, s)
		switch s.name {
		case stepRamdisk:
			plan = append(plan, a.settings()...)
		case stepInspect:
			plan = append(plan, a.declared(PhasePrepare)...)
			plan = append(plan, a.declared(PhaseFirstBoot)...) // made before the disk is written: it may fail
		case stepSettle:
			plan = append(plan, a.declared(PhaseDeployed)...)
		}
	}
	return plan
}

func (a Attempt) declared(p StepPhase) []step {
	var all []step
	for _, s := range a.Steps {
		if s.Phase == p && s.about().setting == nil {
			all = append(all, declared(s))
		}
	}
	return all
}

// takeStep does one of the operator's steps, and what he wants where it fails. That a
// try is begun is written down before it is: whoever comes after a crash goes on with the
// same one.
func (w *work) takeStep(ctx context.Context, name string, s Step) error {
	runner := w.e.steps[s.Kind()]
	if runner == nil {
		return &Error{Op: name, Node: w.node.ID, Kind: Invalid, Err: fmt.Errorf("this program does no steps of kind %s", s.Kind()), Hint: "use a build that does"}
	}
	try := w.attempt.Tries[s.Name]
	begun := try > 0 // by whoever was here before
	if !begun {
		try = 1
		if err := w.begins(ctx, s, try); err != nil {
			return err
		}
	}
	for pause := w.e.timing.Retry; ; pause = min(2*pause, maxPause) {
		failure, err := w.tryOnce(ctx, runner, name, s, try, begun)
		switch {
		case err != nil:
			return err
		case failure == nil:
			return nil
		case try > s.Retries || errors.Is(failure, ErrUnknownOutcome) || Is(failure, Invalid):
			return w.stepFailed(name, s, failure)
		}
		text := fmt.Sprintf("try %d of %d: %s", try, s.Retries+1, cause(failure))
		w.note(ctx, StepFailed, name, text)
		w.say(name, "%s", text)
		if err := wait(ctx, pause); err != nil {
			return err
		}
		try, begun = try+1, false
		if err := w.begins(ctx, s, try); err != nil {
			return err
		}
	}
}

// begins writes ahead that a try is made.
func (w *work) begins(ctx context.Context, s Step, try int) error {
	return w.save(ctx, func(a *Attempt) {
		a.Tries = maps.Clone(a.Tries)
		if a.Tries == nil {
			a.Tries = map[string]int{}
		}
		a.Tries[s.Name] = try
		if a.Boot != nil {
			a.TriedIn = maps.Clone(a.TriedIn)
			if a.TriedIn == nil {
				a.TriedIn = map[string]string{}
			}
			a.TriedIn[s.Name] = a.Boot.ID
		}
	}, w.began(s, try))
}

// tryOnce makes one try, and goes on with it while the machine is out of reach. failure
// is how the step failed, err what came in its way that is no fault of the step.
func (w *work) tryOnce(ctx context.Context, runner StepRunner, name string, s Step, try int, begun bool) (failure, err error) {
	w.told = nil
	limit := time.Duration(s.Timeout)
	if s.logsIn() || s.inRamdisk() {
		limit += endsItself
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if s.users() {
		if s, err = w.withScript(ctx, s); err != nil {
			return nil, err
		}
	}
	facts, err := w.facts(within)
	if err != nil {
		return nil, err
	}
	var (
		said    output
		met     string
		secrets secretsFound
		entered = begun
	)
	if begun && s.inRamdisk() && !s.harmless() && w.attempt.TriedIn[s.Name] != w.attempt.Boot.ID {
		return fmt.Errorf("the ramdisk that it ran in is gone: %w", ErrUnknownOutcome), nil
	}
	run := StepRun{
		ID: fmt.Sprintf("%s/%s/%d", w.attempt.ID, s.Name, try), Step: s, Begun: begun, Facts: facts, Output: &said, spent: &effort{},
		LogIn: func(ctx context.Context) (Login, error) {
			login, err := w.enter(ctx)
			entered = entered || err == nil
			return login, err
		},
		WayIn: func(ctx context.Context) (Access, []byte, error) {
			at, key, err := w.wayIn(ctx)
			entered = entered || err == nil
			return at, key, err
		},
		Agent: func(context.Context) (Agent, error) {
			agent, err := w.agent()
			entered = entered || err == nil
			return agent, err
		},
		Met: func(how string) { met = how },
		Warn: func(what string) {
			what = secrets.hide(what)
			w.note(within, StepWarned, name, what)
			w.say(name, "%s", what)
		},
		Secret: func(ctx context.Context, secret string) (string, error) {
			value, err := w.stepSecret(ctx, s, secret)
			if err == nil {
				secrets.add(value)
			}
			return value, err
		},
		Hide: secrets.hide,
		AtFirstBoot: func(ctx context.Context, fragment string) error {
			return w.keepFragment(ctx, name, fragment, secrets.all())
		},
	}
	stop := sync.OnceFunc(w.beats(within, name, &said, &secrets))
	defer stop()
	var (
		reached error     // why the machine could not be, when that was tried last
		looked  time.Time // at its power
		off     bool
	)
	for {
		if _, err := w.fence(ctx); err != nil {
			return nil, err
		}
		failure = runner.Run(within, run)
		if failure != nil && within.Err() != nil && reached != nil {
			failure = reached
		}
		if s.inRamdisk() && within.Err() == nil && Is(failure, Transient) {
			// It is started again.
			return nil, &Error{Op: name, Node: w.node.ID, Kind: Transient, Err: hiding(failure, secrets.all())}
		}
		if failure == nil || within.Err() != nil || !Is(failure, Transient) || !s.logsIn() {
			break
		}
		if s.Phase == PhaseRelease && !entered {
			break // a machine that is not to be reached is switched off all the same
		}
		if time.Since(looked) >= powerEvery {
			off, looked = w.isOff(within), time.Now()
		}
		if off { // SSH cannot tell that from a machine that restarts; whoever waits can do something about it
			failure = &Error{Op: name, Kind: Transient, Err: fmt.Errorf("the server's power is off: %w", failure)}
		}
		reached = failure
		run.Begun = entered
		w.retries(within, name, secrets.hide(failure.Error()))
		if wait(within, w.e.timing.Retry) != nil {
			break
		}
	}
	stop()
	text := said.text(secrets.all())
	switch {
	case text != "" && failure == nil:
		w.told = append(w.told, w.event(StepOutput, name, text))
	case text != "":
		w.note(context.WithoutCancel(ctx), StepOutput, name, text)
	}
	switch {
	case failure == nil && met != "":
		w.told = append(w.told, w.event(Note, name, "nothing to do: "+met))
	case failure != nil && ctx.Err() != nil, Is(failure, LeaseLost):
		return nil, hiding(failure, secrets.all())
	case failure != nil && within.Err() != nil && entered && (s.logsIn() || s.inRamdisk()) && !s.harmless():
		failure = fmt.Errorf("the machine was out of reach until its time was over: %s: %w", cause(failure), ErrUnknownOutcome)
	case failure != nil && within.Err() != nil:
		if inner, ok := outermost(failure); ok && inner.Err != nil {
			failure = inner.Err // of what kind it is by itself does not count any more
		}
		failure = &Error{Op: name, Kind: Timeout, Err: fmt.Errorf("not done within %s, which is its timeout: %w", s.Timeout, failure)}
	}
	if quote := s.about().quoted; failure != nil && quote != nil {
		failure = &quotedError{failure, ending(saidEnds, quote(text))}
	}
	return hiding(failure, secrets.all()), nil
}

// quotedError is a failure with the last of what was said before it.
type quotedError struct {
	error
	words string
}

func (q *quotedError) Error() string { return cause(q.error) + q.words }
func (q *quotedError) Unwrap() error { return q.error }

// harmless reports whether a step may be done once more where nobody knows whether it was.
func (s Step) harmless() bool {
	return s.Repeatable || s.Script != nil && s.Script.Check != "" || s.HTTP != nil && s.HTTP.Check != nil
}

// powerEvery is how often the BMC of a machine that SSH does not reach is asked whether it
// is on.
const powerEvery = time.Minute

// endsItself is the time in which a machine tells that it has ended a script whose time
// was over.
const endsItself = 30 * time.Second

// hiding is err without secrets. Where it tells none, it stays what it is.
func hiding(err error, secrets []string) error {
	if err == nil || hide(err.Error(), secrets) == err.Error() {
		return err
	}
	told := hide(err.Error(), secrets)
	if errors.Is(err, ErrUnknownOutcome) {
		return &Error{Op: "run", Kind: KindOf(err), Err: fmt.Errorf("%s: %w", told, ErrUnknownOutcome)}
	}
	return &Error{Op: "run", Kind: KindOf(err), Err: errors.New(told)}
}

// stepFailed does what the operator wants where a step has failed for good.
func (w *work) stepFailed(name string, s Step, why error) error {
	e := &Error{Op: name, Node: w.node.ID, Kind: Unsuccessful, Err: errors.New(cause(why))}
	if Is(why, Invalid, Timeout) {
		e.Kind = KindOf(why)
	}
	if e.Kind == Timeout && !s.users() {
		e.Hint = "if it is just slow, give it more time: 'timeout', where step " + s.Name + " is declared"
	}
	if q, quoted := why.(*quotedError); quoted { //nolint:errorlint // what it wraps is looked at
		why = q.error
	}
	// Whoever refused it knows best what to do next; but not that it is worth another try,
	// which it has had.
	if inner, ok := outermost(why); ok && inner.Hint != "" && e.Kind != Timeout && inner.Kind != Transient {
		e.Hint = inner.Hint
	}
	if e.Hint == "" && w.attempt.Job == JobClean {
		e.Hint = "once that is mended, 'metalpool node repair " + string(w.node.ID) + "' cleans it again"
	}
	if s.users() {
		e.Err = fmt.Errorf("the user's own script: %w", e.Err)
	} else if errors.Is(why, ErrUnknownOutcome) {
		e.Hint = "a new deploy begins with a fresh system, so that only what the step does elsewhere may have been done already. One that may be done twice is declared 'repeatable: true', or with a 'check'"
	}
	switch s.OnFailure {
	case FailNothing:
		w.goWithout(name, "goes on without it: "+e.Err.Error())
		return nil
	case FailNode:
		e.Kind, e.Err = Backend, &verdictError{e.Err, true}
	default:
		e.Err = &verdictError{e.Err, false}
	}
	return e
}

// goWithout tells everybody that a step was not done. Why, and that it is gone on without,
// is written down with its end, so that nobody who comes after a crash takes it for done.
func (w *work) goWithout(name, text string) {
	w.told = append(w.told, w.event(StepWarned, name, text))
	w.without = name
	w.say(name, "%s", text)
}

// verdictError is a step that has failed for good: what follows the operator has said, of
// whatever kind the error is, and however far the deploy had come.
type verdictError struct {
	error
	onNode bool // the node is at fault, else the deploy is
}

func (v *verdictError) Unwrap() error { return v.error }

// given are the operator's steps that a machine has of its deploy, or that its release will
// have: not those that were gone on without.
func (a Attempt) given() (names []string) {
	for _, s := range a.Steps {
		if !s.users() && !slices.Contains(a.Undone, stepName(s)) {
			names = append(names, s.Name)
		}
	}
	return names
}

// Without selects the machines that are deployed, and have not that step, although it is
// for their nodes.
func Without(machines []Machine, nodes []Node, step Step) (lacking []Machine) {
	others := map[NodeID]bool{}
	for _, n := range nodes {
		others[n.ID] = !step.Only.are(n)
	}
	for _, m := range machines {
		if m.State == Deployed && !slices.Contains(m.Steps, step.Name) && !others[m.Node] {
			lacking = append(lacking, m)
		}
	}
	return lacking
}

// verdict is what a step's failure means for a deploy that err ends: that its node is at
// fault, or that none is; or neither, where err is no step's.
func verdict(err error) (node, deploy bool) {
	v, ok := errors.AsType[*verdictError](err)
	return ok && v.onNode, ok && !v.onNode
}

// stepSecret finds what a step's secret refers to.
func (w *work) stepSecret(ctx context.Context, s Step, name string) (string, error) {
	ref, there := s.Secrets[name]
	if !there {
		return "", &Error{Op: "find secret " + name, Kind: Invalid, Err: errors.New("the step declares none of that name"), Hint: "name it under secrets"}
	}
	if w.e.referred == nil {
		return "", &Error{Op: "find secret " + name, Kind: Invalid, Err: errNoResolver}
	}
	value, err := w.e.referred(ctx, ref)
	if err != nil {
		return "", &Error{Op: "find secret " + name, Kind: KindOf(err), Err: fmt.Errorf("at %s: %s", ref, cause(err))}
	}
	return value, nil
}

// facts are what the steps of an attempt may know.
func (w *work) facts(ctx context.Context) (Facts, error) {
	n := w.node
	f := Facts{
		Node: NodeFacts{ID: string(n.ID), Serial: n.Spec.Identity.Serial, UUID: n.Spec.Identity.UUID, Arch: n.Hardware.Arch, CPUs: n.Hardware.CPUs, Memory: int64(n.Hardware.Memory), Labels: n.Spec.Labels},
		Pool: n.Pool, Attempt: string(w.attempt.ID),
	}
	for _, port := range n.Hardware.NICs {
		f.Node.MACs = append(f.Node.MACs, port.MAC)
	}
	if w.attempt.Allocation == "" {
		return f, nil // nobody's machine was there
	}
	a, err := w.e.allocation(ctx, w.attempt.Allocation)
	if err != nil {
		return Facts{}, err
	}
	order, err := w.order(ctx)
	if err != nil {
		return Facts{}, err
	}
	at := a.Access
	if w.attempt.Job == JobDeploy {
		image, err := w.image(ctx)
		if err != nil {
			return Facts{}, err
		}
		at = w.access(order)
		at.SSHUser = cmp.Or(at.SSHUser, image.User)
	}
	f.Machine = MachineFacts{ID: string(a.ID), Name: a.Name, Owner: a.Owner, Hostname: order.Hostname, Image: order.Image, Address: at.Address, SSHPort: at.SSHPort, SSHUser: at.SSHUser, Labels: a.Labels}
	return f, nil
}

// settle waits until cloud-init is done with the machine, so that the operator's scripts
// do not get in its way. How it ends is its own matter here, and it does not hold a
// deploy up for ever.
func settle(ctx context.Context, w *work) error {
	limit := w.pool.Timeouts.OrDefaults().SSH
	within, cancel := context.WithTimeout(ctx, limit/2)
	defer cancel()
	err := awaitCloudInit(within, w)
	switch {
	case err == nil, ctx.Err() != nil, Is(err, LeaseLost):
		return err
	case within.Err() != nil || Is(err, Invalid):
		w.note(ctx, Note, stepSettle, "the steps begin all the same: "+err.Error())
		return nil
	}
	return err
}
