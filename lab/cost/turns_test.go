//go:build bench

package cost

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/bench"
	"github.com/metalpool/metalpool/lab"
)

// slowSteps does steps that all take as long, once all others wait for their turns.
type slowSteps struct {
	takes   time.Duration
	allWait chan struct{} // closed then

	mu            sync.Mutex
	running, most int
	runs          int
	last          time.Time
}

func (s *slowSteps) Run(context.Context, core.StepRun) error {
	s.mu.Lock()
	s.running++
	s.runs, s.most = s.runs+1, max(s.most, s.running)
	s.mu.Unlock()
	<-s.allWait
	<-time.After(s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	s.last = time.Now()
	return nil
}

// TestBenchTurns shows that the steps of many nodes take as long as their turns do, where
// only so many run at one time, and nothing between one turn and the next.
func TestBenchTurns(t *testing.T) {
	const number, atOnce = 24, 4
	rack, err := lab.Up(t.Context(), lab.Config{Dir: t.TempDir(), Nodes: number, Times: &lab.Times{}})
	try(t, err)
	t.Cleanup(func() { try(t, rack.Close()) })
	runner := &slowSteps{takes: 2 * time.Second, allWait: make(chan struct{})}
	p := benchPoolWith(t, map[core.StepKind]core.StepRunner{core.KindHTTP: runner})
	var group errgroup.Group
	for _, n := range rack.Rack().Nodes {
		in := n.Enrollment()
		in.Erase = true
		group.Go(func() error {
			_, err := p.Enroll(t.Context(), in, nil)
			if err == nil {
				_, err = p.AwaitRest(t.Context(), in.ID, nil)
			}
			return err
		})
	}
	try(t, group.Wait())
	profile, most := "slow", atOnce
	_, err = p.Apply(t.Context(), core.Declaration{
		By:       core.DeclaredIn("bench"),
		Steps:    []core.Step{{Name: "slow", HTTP: &core.HTTPStep{HTTPRequest: core.HTTPRequest{URL: "http://127.0.0.1:9/"}}}},
		Profiles: []core.Profile{{Name: profile, Steps: []string{"slow"}}},
		Pools:    []core.PoolDeclaration{{Name: core.DefaultPool, Profile: &profile, StepsAtOnce: &most}},
	}, core.ApplyOptions{})
	try(t, err)
	var (
		waiting atomic.Int32
		began   time.Time
	)
	for i := range number {
		o := order(fmt.Sprintf("turn-%d", i))
		o.Image = "demo"
		group.Go(func() error {
			_, err := p.Create(t.Context(), o, func(progress core.Progress) {
				if strings.Contains(progress.Message, "for its turn: ") && waiting.Add(1) == number-atOnce {
					began = time.Now()
					close(runner.allWait)
				}
			})
			return err
		})
	}
	try(t, group.Wait())
	if runner.runs != number || runner.most != atOnce {
		t.Fatalf("%d steps were run, and %d at one time; want %d and %d", runner.runs, runner.most, number, atOnce)
	}
	took, turns := runner.last.Sub(began), number/atOnce*runner.takes
	bench.Record(t, bench.Result{
		Name: fmt.Sprintf("steps of %d nodes, %d at one time", number, atOnce), Value: took.Seconds() / turns.Seconds(), Op: "<=", Bound: 1.1, Unit: "×",
		Against: fmt.Sprintf("their turns one after the other (%.0f s)", turns.Seconds()),
	})
}
