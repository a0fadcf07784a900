package core

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A mass deploy is not to run a hundred playbooks on one host, or to call a CMDB from a
// hundred servers at once: of a pool's nodes only so many do steps of the operator's at one
// time. Each process counts for itself: it is its own host that it spares, and another
// process would have to be asked through the store, before each step.

// DefaultStepsAtOnce is how many steps of a pool's nodes run at one time in one process,
// where the pool says nothing else.
const DefaultStepsAtOnce = 16

// lane is whose steps wait for each other. A machine that is given up, and a server that is
// cleaned, wait for their like alone, whose steps end: never for a deploy that hangs.
type lane struct {
	pool string
	of   string // in the words that tell people
}

const (
	stepsOfDeploys  = "steps"
	stepsOfReleases = "steps before releases"
	stepsOfCleans   = "steps after cleans"
)

// laneOf is the lane in which steps of a phase wait.
func laneOf(pool string, p StepPhase) lane {
	switch p {
	case PhaseRelease:
		return lane{pool, stepsOfReleases}
	case PhaseCleaned:
		return lane{pool, stepsOfCleans}
	}
	return lane{pool, stepsOfDeploys}
}

// turn is the phase in which a step waits for its turn; "" where it waits for none. What is
// set through a BMC costs the same as the deploy itself, a fragment for cloud-init next to
// nothing; and no user's script is to hold up what the operator wants of others' nodes.
func (s Step) turn() StepPhase {
	if s.users() || s.about().setting != nil || s.Phase == PhaseFirstBoot {
		return ""
	}
	return s.Phase
}

// turns has each lane's steps run in turn: first come, first served.
type turns struct {
	mu    sync.Mutex
	lines map[lane]*line
}

// line is a lane that somebody is in.
type line struct {
	most    int // as it was said last
	running int
	waiting []*turn // who came first first
}

// turn is a place in a line, and then the right to run. It is given back by leave.
type turn struct {
	all   *turns
	lane  lane
	comes chan struct{} // closed once it has come
}

// join takes the last place of a lane's line, of which at most so many may run.
func (t *turns) join(at lane, most int) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines == nil {
		t.lines = map[lane]*line{}
	}
	if t.lines[at] == nil {
		t.lines[at] = &line{}
	}
	mine := &turn{all: t, lane: at, comes: make(chan struct{})}
	l := t.lines[at]
	l.waiting = append(l.waiting, mine)
	l.admit(most)
	return mine
}

// admit lets run whose turn it is, with at most so many at a time from now on.
func (l *line) admit(most int) {
	l.most = most
	for l.running < l.most && len(l.waiting) > 0 {
		close(l.waiting[0].comes)
		l.waiting = slices.Delete(l.waiting, 0, 1)
		l.running++
	}
}

// may says how many may run by now, and tells how many do.
func (t *turn) may(most int) (running int) {
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	l := t.all.lines[t.lane]
	l.admit(most)
	return l.running
}

// leave ends what runs, or the wait for it. It is called once.
func (t *turn) leave() {
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	l := t.all.lines[t.lane]
	if at := slices.Index(l.waiting, t); at >= 0 {
		l.waiting = slices.Delete(l.waiting, at, at+1)
	} else {
		l.running--
	}
	if l.admit(l.most); l.running == 0 && len(l.waiting) == 0 {
		delete(t.all.lines, t.lane)
	}
}

// turnPatience is how long the steps before a release wait for their turns, all together.
// Somebody waits for the release, with ReleasePatience: they run out of turn then.
const turnPatience = 2 * time.Minute

// awaitTurn returns once a step of the operator's may run. The wait takes none of the step's
// own time, and is told of as any obstacle is.
func (w *work) awaitTurn(ctx context.Context, name string, p StepPhase) (leave func(), err error) {
	at, most, since := laneOf(w.pool.Name, p), w.stepsAtOnce(ctx), time.Now()
	mine := w.e.turns.join(at, most)
	select {
	case <-mine.comes:
		return mine.leave, nil
	default:
	}
	defer func() {
		took := time.Since(since)
		w.waited += took
		if !w.releaseEnds.IsZero() {
			w.releaseEnds = w.releaseEnds.Add(took)
		}
	}()
	until, _ := ctx.Deadline()
	var enough <-chan time.Time
	if p == PhaseRelease {
		rest := time.NewTimer(turnPatience - w.waited)
		defer rest.Stop()
		enough, until = rest.C, time.Now().Add(turnPatience-w.waited)
	}
	look := time.NewTicker(tellEvery)
	defer look.Stop()
	for {
		running := mine.may(most)
		w.waitsFor(ctx, name, fmt.Sprintf("for its turn: %d of %d %s of pool %s run", running, most, at.of, at.pool), since, until)
		select {
		case <-mine.comes:
			w.passes(ctx, name, "its turn has come", time.Since(since))
			return mine.leave, nil
		case <-enough:
			mine.leave()
			w.passes(ctx, name, "goes on out of turn, since somebody waits for the release", time.Since(since))
			return func() {}, nil
		case <-ctx.Done():
			mine.leave()
			return nil, context.Cause(ctx)
		case <-look.C:
			w.keepRamdisk(ctx, p)
			most = w.stepsAtOnce(ctx) // the operator may want more of them, or fewer
		}
	}
}

// stepsAtOnce is how many steps the pool lets run as it is declared now.
func (w *work) stepsAtOnce(ctx context.Context) int {
	now := w.pool
	_ = w.e.store.View(ctx, func(tx Tx) error { // what was declared before counts until it answers
		p, err := findPool(tx, w.pool.Name)
		if err == nil {
			now = p
		}
		return err
	})
	return now.withDefaults().StepsAtOnce
}

// keepRamdisk calls the agent of a ramdisk that is to be there still when the turn has
// come: one that nobody calls switches its server off. Where it does not answer the step is
// to find out.
func (w *work) keepRamdisk(ctx context.Context, p StepPhase) {
	if p != PhasePrepare && p != PhaseCleaned {
		return
	}
	if agent, err := w.agent(); err == nil {
		_, _ = agent.Log(ctx)
	}
}
