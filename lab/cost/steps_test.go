//go:build bench

package cost

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/steps"
	"github.com/metalpool/metalpool/internal/bench"
	"github.com/metalpool/metalpool/lab"
)

// timedSteps does steps, and counts what they take themselves.
type timedSteps struct {
	core.StepRunner
	own, runs atomic.Int64
}

func (s *timedSteps) Run(ctx context.Context, r core.StepRun) error {
	began := time.Now()
	defer func() {
		s.own.Add(int64(time.Since(began)))
		s.runs.Add(1)
	}()
	return s.StepRunner.Run(ctx, r)
}

// TestBenchSteps shows what ten steps that do nothing add to a deploy, on a rack that loses
// no time: all that the pool does about them, without what they do themselves.
func TestBenchSteps(t *testing.T) {
	const number, rounds = 10, 15
	rack, err := lab.Up(t.Context(), lab.Config{Dir: t.TempDir(), Nodes: 1, Times: &lab.Times{}})
	try(t, err)
	t.Cleanup(func() { try(t, rack.Close()) })
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(elsewhere.Close)
	runner := &timedSteps{StepRunner: steps.HTTP{}}
	p := benchPoolWith(t, map[core.StepKind]core.StepRunner{core.KindHTTP: runner})
	in := rack.Rack().Nodes[0].Enrollment()
	in.Erase = true
	_, err = p.Enroll(t.Context(), in, nil)
	try(t, err)
	_, err = p.AwaitRest(t.Context(), in.ID, nil)
	try(t, err)

	d := core.Declaration{By: core.DeclaredIn("bench"), Profiles: []core.Profile{{Name: "none"}, {Name: "ten"}}}
	for i := range number {
		s := core.Step{Name: fmt.Sprintf("no-op-%d", i), HTTP: &core.HTTPStep{HTTPRequest: core.HTTPRequest{URL: elsewhere.URL}}}
		d.Steps = append(d.Steps, s)
		d.Profiles[1].Steps = append(d.Profiles[1].Steps, s.Name)
	}
	_, err = p.Apply(t.Context(), d, core.ApplyOptions{})
	try(t, err)
	try(t, p.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "demo", Profiles: []string{"none", "ten"}}))

	// create is how long one takes, without its steps, and how many commits it made.
	create := func(profile string, round int) (took, own time.Duration, commits int64) {
		o := order(fmt.Sprintf("%s-%d", profile, round))
		o.Profile = profile
		before, committed, began := runner.own.Load(), p.commits.Load(), time.Now()
		_, err := p.Create(t.Context(), o, nil)
		took = time.Since(began)
		try(t, err)
		own, commits = time.Duration(runner.own.Load()-before), p.commits.Load()-committed
		try(t, p.Release(t.Context(), o.ID, core.ReleaseOptions{WaitClean: true}, nil))
		return took - own, own, commits
	}
	var with, without, ownTimes []float64
	var more int64
	create("none", -1) // the first one of a process takes longer
	for round := range rounds {
		bare, _, few := create("none", round)
		took, own, many := create("ten", round)
		without, with, ownTimes = append(without, bare.Seconds()), append(with, took.Seconds()), append(ownTimes, own.Seconds())
		more = many - few
	}
	if runs := runner.runs.Load(); runs != number*rounds {
		t.Fatalf("%d steps were run, want %d", runs, number*rounds)
	}
	bare, loaded := bench.Median(without), bench.Median(with)
	bench.Record(t, bench.Result{
		Name: "a deploy with ten steps that do nothing", Value: loaded / bare, Op: "<=", Bound: 1.05, Unit: "×",
		Against: "the same without them, on a rack that loses no time; without their own calls",
	})
	bench.Tell(t, fmt.Sprintf("a deploy: %.0f ms, with ten steps %.0f ms and their own calls %.0f ms; %d commits more", bare*1000, loaded*1000, bench.Median(ownTimes)*1000, more))
}
