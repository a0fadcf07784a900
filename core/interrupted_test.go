package core_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
	"github.com/metalpool/metalpool/core/placetest"
)

// stage is what others see of the only node at work.
func (p *pool) stage() string {
	p.t.Helper()
	e, _ := p.engine()
	stages, err := e.Stages(context.WithoutCancel(p.t.Context()))
	if err != nil || len(stages) > 1 {
		p.t.Errorf("stages %v, %v", stages, err)
	}
	for _, s := range stages {
		return s.String()
	}
	return ""
}

// handovers are what the events tell of who worked.
func (p *pool) handovers() (told []string) {
	p.t.Helper()
	e, _ := p.engine()
	events, err := e.Events(p.t.Context(), core.EventFilter{Allocation: "a-1"})
	if err != nil {
		p.t.Error(err)
	}
	for _, ev := range events {
		if ev.Type == core.WorkLeft || ev.Type == core.WorkTaken {
			told = append(told, ev.Step+" "+string(ev.Type)+" "+strings.ReplaceAll(ev.Message, ev.By, "P"))
		}
	}
	return told
}

func TestTheStoryOfAnInterruptedCreate(t *testing.T) {
	placetest.Each(t, theStoryOfAnInterruptedCreate)
}

func theStoryOfAnInterruptedCreate(t *testing.T, at placetest.Place) {
	const lost = ", from P"
	for name, tt := range map[string]struct {
		killed bool
		after  time.Duration
		goOn   func(p *pool, e *core.Engine) error
		nobody string
		want   []string
	}{
		"by Ctrl-C": {false, 0, again, "write image: nobody works on it since ", []string{"write image left by P: interrupt signal received", "write image taken over by P"}},
		"by a kill": {true, timing.Lease + timing.Call, again, "write seed: nobody works on it since ", []string{"write seed taken over by P" + lost}},
		"for good": {true, timing.Lease + timing.Grace, giveUp, "write seed: nobody works on it since ",
			[]string{"power off taken over by P" + lost + ", to end it: its worker died and its caller did not come back"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPoolAt(t, at, 1)
				p.rack.Writing = time.Minute
				e, host := p.engine()
				ctx, interrupt := context.WithCancelCause(t.Context())
				defer interrupt(nil)
				ended := make(chan error, 1)
				var seen []string
				go func() {
					_, err := e.Create(ctx, order("a-1", "web-1"), func(pr core.Progress) {
						switch {
						case pr.Step == "boot ramdisk" && pr.Message != "" && strings.HasPrefix(pr.Message, "powered on"):
							seen = append(seen, p.stage())
						case pr.Step == "write image" && pr.Done == core.GiB/2:
							seen = append(seen, p.stage())
							if tt.killed {
								host.FreezeIn("store view", enginetest.Before)
							} else {
								interrupt(errors.New("interrupt signal received"))
							}
						}
					})
					ended <- err
				}()
				if tt.killed {
					<-host.Frozen()
				} else if err := <-ended; err == nil {
					t.Fatal("it was not interrupted")
				}
				if len(seen) != 2 || !strings.HasPrefix(seen[0], "boot ramdisk: powered on, waiting for the agent since ") || seen[1] != "write image 40% of 1 GiB" {
					t.Errorf("on its way: %q", seen)
				}
				pass(tt.after)
				if got := p.stage(); !strings.HasPrefix(got, tt.nobody) || !strings.Contains(got, " UTC; the same request goes on with it, until ") {
					t.Errorf("nobody is there: %q", got)
				}
				other, _ := p.engine()
				if err := tt.goOn(p, other); err != nil {
					t.Fatal(err)
				}
				if got := p.handovers(); !slices.Equal(got, tt.want) {
					t.Errorf("told %q\nwant %q", got, tt.want)
				}
				if got := p.stage(); got != "" {
					t.Errorf("at the end: %q", got)
				}
				host.Thaw()
				if tt.killed {
					t.Logf("woken up, it ended: %v", <-ended)
				}
				p.sound()
			})
		})
	}
}

func again(p *pool, e *core.Engine) error {
	_, err := e.Create(p.t.Context(), order("a-1", "web-1"), nil)
	return err
}

func giveUp(p *pool, e *core.Engine) error {
	_, err := e.Reconcile(p.t.Context(), core.ReconcileOptions{}, nil)
	p.wantStates("n1 Failed")
	return err
}

// Work that nobody has begun was left when it was asked for, and not at the zero time.
func TestNobodyHasBegunYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bareRack(t, 1)
		e, _ := p.engine()
		if _, err := e.Enroll(t.Context(), core.Enrollment{ID: "n1", URL: p.rack.Servers()[0].BMC(), User: "root", Password: "calvin"}, nil); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		asked := time.Now()
		if _, err := e.Repair(t.Context(), "n1", "new"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		nobody := "power off: nobody works on it since " + asked.UTC().Format(time.TimeOnly) + " UTC; "
		if got, want := p.stage(), nobody+"a server of the pool, the next command that changes the pool, or 'metalpool reconcile' goes on with it"; got != want {
			t.Errorf("on a host: %q, want %q", got, want)
		}
		s, _ := p.server()
		stages, err := s.Stages(t.Context())
		if err != nil || len(stages) != 1 {
			t.Fatal(stages, err)
		}
		if got, want := stages[0].String(), nobody+"a server of the pool goes on with it"; got != want {
			t.Errorf("by a server: %q, want %q", got, want)
		}
	})
}
