package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
)

// longSteps does steps that take their time, and counts them.
type longSteps struct {
	takes time.Duration // but for the step "hang", which takes as long as it may

	mu      sync.Mutex
	running map[core.StepPhase]int
	most    map[core.StepPhase]int // at one time
	began   []string               // the nodes, in that order
}

func newLongSteps(takes time.Duration) *longSteps {
	return &longSteps{takes: takes, running: map[core.StepPhase]int{}, most: map[core.StepPhase]int{}}
}

func (l *longSteps) Run(ctx context.Context, r core.StepRun) error {
	l.mu.Lock()
	phase := r.Step.Phase
	l.running[phase]++
	l.most[phase] = max(l.most[phase], l.running[phase])
	l.began = append(l.began, r.Facts.Node.ID)
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.running[phase]--
	}()
	takes := l.takes
	if r.Step.Name == "hang" {
		takes = 1 << 60
	}
	select {
	case <-time.After(takes):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *longSteps) order() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.began)
}

func (p *pool) stepsAtOnce(most int) {
	p.t.Helper()
	e, _ := p.engine()
	_, err := e.Apply(p.t.Context(), core.Declaration{By: core.DeclaredIn("test"), Pools: []core.PoolDeclaration{{Name: core.DefaultPool, StepsAtOnce: &most}}}, core.ApplyOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
}

// createEach begins to deploy a machine on each of the nodes n1, n2, ..., a second apart. Its
// ID is that of the node.
func (p *pool) createEach(ctx context.Context, e *core.Engine, number int) (ends []<-chan error) {
	for i := range number {
		node := fmt.Sprintf("n%d", i+1)
		ends = append(ends, p.createOn(ctx, e, node))
		pass(time.Second)
	}
	return ends
}

func (p *pool) createOn(ctx context.Context, e *core.Engine, node string) <-chan error {
	end := make(chan error, 1)
	go func() {
		o := order(node, "web-"+node)
		o.Request.Node, o.DeployTimeout = core.NodeID(node), 100*time.Hour
		_, err := e.Create(ctx, o, nil)
		end <- err
	}()
	return end
}

// Of a pool's nodes no more do steps at one time than it says, first come, first served,
// and who waits loses none of the step's own time.
func TestStepsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 6)
		s := pluginStep("dns", "good")
		s.Timeout, s.Retries = core.Span(11*time.Minute), 0 // the last ones wait for twice as long
		p.profile(s)
		p.stepsAtOnce(2)
		runner := newLongSteps(10 * time.Minute)
		began := time.Now()
		for _, end := range p.createEach(t.Context(), p.engineWith(runner), 6) {
			if err := <-end; err != nil {
				t.Errorf("%v\n%s", err, p.story())
			}
		}
		if took := time.Since(began); took < 30*time.Minute || took > 35*time.Minute {
			t.Errorf("six steps of 10 minutes, two at once, took %s", took)
		}
		if most := runner.most[core.PhaseDeployed]; most != 2 {
			t.Errorf("%d ran at once", most)
		}
		if got := runner.order(); !slices.Equal(got, []string{"n1", "n2", "n3", "n4", "n5", "n6"}) {
			t.Errorf("they ran in the order %q", got)
		}
		waited, came := p.told("n5", core.StepWaits), p.told("n5", core.StepMoves)
		if len(waited) != 1 || !strings.HasPrefix(waited[0], "step dns: since ") || !strings.HasSuffix(waited[0], " UTC: for its turn: 2 of 2 steps of pool default run") {
			t.Errorf("n5 waits %q", waited)
		}
		if strings.Count(strings.Join(came, "\n"), "its turn has come") != 1 || !strings.HasPrefix(came[0], "step dns: its turn has come, after 19m") || came[1] != "step dns: began, at most 11m" {
			t.Errorf("n5 goes on: %q", came)
		}
		if waited := p.told("n2", core.StepWaits); len(waited) != 0 {
			t.Errorf("n2 waits %q", waited)
		}
		p.sound()
	})
}

// Who waits is seen to, and is gone at once where the deploy is ended.
func TestWaitForATurnEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 3)
		p.profile(pluginStep("dns", "good"))
		p.stepsAtOnce(1)
		runner := newLongSteps(4 * time.Minute)
		e := p.engineWith(runner)
		first := p.createOn(t.Context(), e, "n1")
		pass(time.Second)
		ctx, cancel := context.WithCancelCause(t.Context())
		second := p.createOn(ctx, e, "n2")
		pass(time.Second)
		third := p.createOn(t.Context(), e, "n3")
		pass(2 * time.Minute)
		if stages, err := e.Stages(t.Context()); err != nil || len(stages) != 3 || !strings.Contains(stages[1].String(), "step dns waits since") || !strings.Contains(stages[1].String(), "for its turn: 1 of 1") {
			t.Errorf("it is at %v, %v", stages, err)
		}
		enough := errors.New("enough")
		asked := time.Now()
		cancel(enough)
		if err := <-second; !errors.Is(err, enough) || time.Since(asked) > 0 {
			t.Errorf("it ended with %v, after %s", err, time.Since(asked))
		}
		if err := errors.Join(<-first, <-third); err != nil {
			t.Error(err)
		}
		if got := runner.order(); !slices.Equal(got, []string{"n1", "n3"}) {
			t.Errorf("they ran in the order %q", got)
		}
		p.give("n2")
		p.sound()
	})
}

// Machines that are given up, and servers that are cleaned, do not wait for a deploy that
// hangs.
func TestReleasesWaitForNoDeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 4)
		p.manage(core.ManageAlways)
		p.stepsAtOnce(1)
		runner := newLongSteps(40 * time.Second)
		e := p.engineWith(runner)
		p.profile(during(core.PhaseRelease, "sign-off", "true"), during(core.PhaseCleaned, "burn-in", "true"))
		for _, end := range p.createEach(t.Context(), e, 3) {
			if err := <-end; err != nil {
				t.Fatal(err)
			}
		}
		hangs := pluginStep("hang", "good")
		hangs.Timeout = core.Span(24 * time.Hour)
		p.profile(hangs)
		ctx, cancel := context.WithCancel(t.Context())
		hung := p.createOn(ctx, e, "n4")
		pass(10 * time.Minute)
		began := time.Now()
		for _, end := range p.releaseEach(e, 3, core.ReleaseOptions{WaitClean: true}) {
			if err := <-end; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > 15*time.Minute {
			t.Errorf("it took %s\n%s", took, p.story())
		}
		for _, phase := range []core.StepPhase{core.PhaseRelease, core.PhaseCleaned} {
			if runner.most[phase] != 1 {
				t.Errorf("%s: %d at once", phase, runner.most[phase])
			}
		}
		cancel()
		if err := <-hung; err == nil {
			t.Error("a deploy that was cancelled is done")
		}
		p.give("n4")
		p.wantStates("n1 Available", "n2 Available", "n3 Available", "n4 Available")
		p.sound()
	})
}

// Nor do they wait for other releases so long that whoever waits for them gives up.
func TestReleasesWaitNotLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 4)
		p.stepsAtOnce(1)
		hangs := core.Step{Name: "hang", Phase: core.PhaseRelease, Timeout: core.Span(5 * time.Minute), HTTP: &core.HTTPStep{HTTPRequest: core.HTTPRequest{URL: "http://cmdb"}}}
		p.profile(hangs)
		runner := newLongSteps(0)
		e := p.engineWith(runner)
		for _, end := range p.createEach(t.Context(), e, 4) {
			if err := <-end; err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		for _, end := range p.releaseEach(e, 4, core.ReleaseOptions{}) {
			if err := <-end; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took >= core.ReleasePatience || len(runner.order()) != 4 {
			t.Errorf("it took %s, and %d steps ran\n%s", took, len(runner.order()), p.story())
		}
		if gone := strings.Count(p.story(), "goes on out of turn, since somebody waits for the release, after 2m"); gone != 3 {
			t.Errorf("%d ran out of turn\n%s", gone, p.story())
		}
		p.reconcile()
		p.sound()
	})
}

func (p *pool) releaseEach(e *core.Engine, number int, o core.ReleaseOptions) (ends []<-chan error) {
	for i := range number {
		end := make(chan error, 1)
		go func() { end <- e.Release(p.t.Context(), core.AllocationID(fmt.Sprintf("n%d", i+1)), o, nil) }()
		ends = append(ends, end)
	}
	return ends
}

// Another number counts for those that wait, too.
func TestMoreStepsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 3)
		s := pluginStep("dns", "good")
		s.Timeout = core.Span(24 * time.Hour)
		p.profile(s)
		p.stepsAtOnce(1)
		runner := newLongSteps(time.Hour)
		ends := p.createEach(t.Context(), p.engineWith(runner), 3)
		pass(30 * time.Minute)
		if n := len(runner.order()); n != 1 {
			t.Errorf("%d run", n)
		}
		p.stepsAtOnce(3)
		pass(15 * time.Second)
		if n := len(runner.order()); n != 3 {
			t.Errorf("%d run", n)
		}
		for _, end := range ends {
			if err := <-end; err != nil {
				t.Error(err)
			}
		}
		p.sound()
	})
}

// A ramdisk in which a step waits for its turn is called: its agent would switch the server
// off else.
func TestRamdiskIsKeptForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		s := pluginStep("dns", "good")
		s.Phase, s.Timeout = core.PhasePrepare, core.Span(24*time.Hour)
		p.profile(s)
		p.stepsAtOnce(1)
		e, host := p.engineAndHostWith(newLongSteps(time.Hour))
		ends := p.createEach(t.Context(), e, 2)
		pass(10 * time.Minute)
		before := len(host.Calls())
		pass(10 * time.Minute)
		if calls := host.Calls()[before:]; !slices.Contains(calls, "agent log") {
			t.Errorf("in ten minutes it is called %q", calls)
		}
		for _, end := range ends {
			if err := <-end; err != nil {
				t.Error(err)
			}
		}
		p.sound()
	})
}
