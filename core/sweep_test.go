package core_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
	"github.com/metalpool/metalpool/core/placetest"
)

// The crash sweep. For every n, an engine freezes in its n-th call: before the call
// took effect, or after, or with the call on its way. Nothing of it runs on, no defer,
// no renewal of its lease. Another process goes on; then the frozen one wakes up, at
// its worst moment, and does what it still believes to be its work.

// crashScenario is what is going on when the engine freezes.
type crashScenario struct {
	name    string
	servers int
	prepare func(p *pool)
	act     func(e *core.Engine, p *pool) error
	// again is what its caller does after the crash; nil: the create that made a-1.
	again func(e *core.Engine, p *pool) error
	// rest is where the nodes are once all is over; nil: Available or Quarantined.
	rest []string
}

var crashScenarios = []crashScenario{
	{
		name: "create", servers: 2,
		prepare: func(*pool) {},
		act: func(e *core.Engine, p *pool) error {
			_, err := e.Create(p.t.Context(), order("a-1", "web-1"), nil)
			return err
		},
		rest: []string{"n1 Available", "n2 Available"},
	},
	{
		name: "rm", servers: 1,
		prepare: func(p *pool) {
			e, _ := p.engine()
			if _, err := e.Create(p.t.Context(), order("a-1", "web-1"), nil); err != nil {
				p.t.Fatal(err)
			}
		},
		act: func(e *core.Engine, p *pool) error {
			return e.Release(p.t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil)
		},
		rest: []string{"n1 Available"},
	},
	{
		name: "redeploy", servers: 1,
		prepare: func(p *pool) {
			e, _ := p.engine()
			if _, err := e.Create(p.t.Context(), order("a-1", "web-1"), nil); err != nil {
				p.t.Fatal(err)
			}
		},
		act:   redeploy,
		again: redeploy,
		rest:  []string{"n1 Available"},
	},
	{
		name: "create that logs in", servers: 1,
		prepare: func(*pool) {},
		act:     createThatLogsIn,
		again:   createThatLogsIn,
		rest:    []string{"n1 Available"},
	},
	{
		name: "create with steps", servers: 1,
		prepare: func(p *pool) { p.profile(stepsOfSweep...) },
		act:     createWithSteps,
		again:   createWithSteps,
		rest:    []string{"n1 Available"},
	},
	{
		name: "create with settings", servers: 1,
		prepare: func(p *pool) {
			p.rack.Server("n1").Settings(factory, enginetest.OneAtATime, enginetest.VolumesLater)
			p.profile(baseline()...)
		},
		act:   createWithSettings,
		again: createWithSettings,
		rest:  []string{"n1 Available"},
	},
	{
		name: "set up", servers: 1,
		prepare: func(p *pool) {
			p.rack.Server("n1").Settings(factory, enginetest.OnlyWhenOn)
			p.profile(baseline()...)
		},
		act:   setUpNode,
		again: setUpNode,
		rest:  []string{"n1 Available"},
	},
	{
		name: "rm with steps", servers: 1,
		prepare: func(p *pool) {
			p.manage(core.ManageAlways)
			p.profile(stepsOfSweep...)
			e, _ := p.engine()
			if _, err := e.Create(p.t.Context(), order("a-1", "web-1"), nil); err != nil {
				p.t.Fatal(err)
			}
		},
		act:   releaseWithSteps,
		again: releaseWithSteps,
		rest:  []string{"n1 Available"},
	},
	{
		name: "change of keys", servers: 1,
		prepare: func(p *pool) {
			p.manage(core.ManageAlways)
			e, _ := p.engine()
			if _, err := e.Create(p.t.Context(), order("a-1", "web-1"), nil); err != nil {
				p.t.Fatal(err)
			}
		},
		act: func(e *core.Engine, p *pool) error {
			return errors.Join(changeKeys(e, p, "ssh-ed25519 BBBB ann"), changeKeys(e, p, "ssh-ed25519 CCCC ann"), changeKeys(e, p, "ssh-ed25519 BBBB ann"))
		},
		again: func(e *core.Engine, p *pool) error { return changeKeys(e, p, "ssh-ed25519 DDDD ann") },
		rest:  []string{"n1 Available"},
	},
	{
		name: "create where kexec hangs", servers: 1,
		prepare: func(p *pool) {
			e, _ := p.engine()
			patience := core.Timeouts{Kexec: 10 * time.Second} // each look is a call to freeze in
			if err := e.SetPool(p.t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "debian", Timeouts: patience}); err != nil {
				p.t.Fatal(err)
			}
			p.rack.Server("n1").Fail(enginetest.Fault{Op: "kexec hang", Err: enginetest.ErrBroken, Times: -1})
		},
		act: func(e *core.Engine, p *pool) error {
			_, err := e.Create(p.t.Context(), order("a-1", "web-1"), nil)
			return err
		},
		rest: []string{"n1 Available"},
	},
	{
		name: "move", servers: 3,
		// Whichever node is taken first fails the write, and is suspect ever after.
		prepare: func(p *pool) {
			for _, s := range p.rack.Servers() {
				s.Fail(enginetest.Fault{Op: "write", Err: enginetest.ErrBroken, Times: 1, Unless: func(r *enginetest.Rack) bool {
					return r.Hits("write") > 0
				}})
			}
		},
		act: func(e *core.Engine, p *pool) error {
			_, err := e.Create(p.t.Context(), order("a-1", "web-1"), nil)
			return err
		},
	},
}

// preset is where the scenario's stories begin. It also counts the calls of one
// without a crash.
func (s crashScenario) preset(t *testing.T, at placetest.Place) preset {
	begin := makePreset(t, at, s.servers, s.prepare)
	synctest.Test(t, func(t *testing.T) {
		p := begin.pool(t)
		e, host := p.engine()
		if err := s.act(e, p); err != nil {
			t.Fatal(err)
		}
		begin.calls = len(host.Calls())
		p.reconcile()
		p.sound()
	})
	return begin
}

// recoveries are how others go on.
var recoveries = []struct {
	name string
	run  func(e *core.Engine, p *pool, s crashScenario) error
}{
	{"the same again", func(e *core.Engine, p *pool, s crashScenario) error {
		if s.again != nil {
			return s.again(e, p)
		}
		_, err := e.Create(p.t.Context(), order("a-1", "web-1"), nil)
		if core.Is(err, core.Exists) && p.machine("a-1").State.Ended() {
			return nil // it was released before the crash
		}
		return err
	}},
	{"release", func(e *core.Engine, p *pool, _ crashScenario) error {
		return e.Release(p.t.Context(), "a-1", core.ReleaseOptions{}, nil)
	}},
	{"reconcile", func(_ *core.Engine, p *pool, _ crashScenario) error {
		p.reconcile()
		return nil
	}},
}

// thaws are when the frozen engine wakes up; 0 is when the others are through.
var thaws = []struct {
	name  string
	after time.Duration
}{
	{"at the end", 0},
	{"within its lease", 5 * time.Second},
	{"after its lease", 65 * time.Second},
	{"in the middle of the takeover", 95 * time.Second},
}

// raceDetector makes everything ten times as slow.
var raceDetector bool

// sweepAll asks for every story on every store: see 'make sweep'.
const sweepAll = "METALPOOL_TEST_SWEEP"

// stride is how far the calls are apart that one recovery and thaw is played for. The next
// one begins a call further on, so that between them few are left out.
func stride(at placetest.Place) int {
	_, files := at.(placetest.Files)
	switch {
	case os.Getenv(sweepAll) != "":
		return 1
	case !files:
		return 60
	case raceDetector:
		return 6
	}
	return 1
}

func TestCrashSweep(t *testing.T) { placetest.Each(t, sweep) }

func sweep(t *testing.T, at placetest.Place) {
	sets := 0
	presets := make([]func() preset, len(crashScenarios))
	for i, scenario := range crashScenarios {
		presets[i] = sync.OnceValue(func() preset { return scenario.preset(t, at) })
		for _, recovery := range recoveries {
			for _, thaw := range thaws {
				set := sets
				sets++
				t.Run(scenario.name+"/"+recovery.name+"/thaw "+thaw.name, func(t *testing.T) {
					t.Parallel()
					begin := presets[i]()
					story := func(t *testing.T, call int, when enginetest.When) (name string) {
						synctest.Test(t, func(t *testing.T) {
							c := crash{t: t, at: call, when: when, thaw: thaw.after}
							name = c.run(begin.pool(t), scenario, recovery.run)
						})
						return name
					}
					calls, step := 0, stride(at)
					for !t.Failed() {
						if (calls+set)%step != 0 && (calls < begin.calls || step > 6) {
							if calls++; calls > begin.calls {
								break
							}
							continue
						}
						name := story(t, calls+1, enginetest.Before)
						if name == "" {
							break
						}
						calls++
						story(t, calls, enginetest.After)
						if strings.HasPrefix(name, "bmc ") {
							story(t, calls, enginetest.Late)
						}
					}
					if calls < 20 {
						t.Errorf("swept only %d calls", calls)
					}
				})
			}
		}
	}
}

// crash is one story of the sweep.
type crash struct {
	t    *testing.T
	at   int
	when enginetest.When
	thaw time.Duration
}

// run returns the call in which the engine froze, "" if it never did.
func (c crash) run(p *pool, s crashScenario, recover func(e *core.Engine, p *pool, s crashScenario) error) (call string) {
	if c.when == enginetest.Late {
		// The call is to land when a clean could be over long since.
		p.rack.POST = time.Second
	}
	victim, host := p.engine()
	host.Freeze(c.at, c.when)
	ended := make(chan error, 1)
	go func() { ended <- s.act(victim, p) }()
	select {
	case <-host.Frozen():
		synctest.Wait() // its last call takes effect first
	case err := <-ended:
		if err != nil {
			c.t.Errorf("without a crash: %v", err)
		}
		return ""
	}
	call = host.Calls()[c.at-1]
	defer func() {
		if c.t.Failed() {
			c.t.Logf("frozen %s call %d, %q\n%s", c.when, c.at, call, p.story())
		}
	}()
	thawed := make(chan struct{})
	if c.thaw > 0 {
		time.AfterFunc(c.thaw, func() {
			host.Thaw()
			close(thawed)
		})
	}
	other, _ := p.engine()
	if err := recover(other, p, s); err != nil {
		c.t.Errorf("recovery: %v", err)
	}
	if c.when == enginetest.Late {
		p.reconcile() // all of it before the call lands
	}
	c.check(p, "after the recovery")
	if c.thaw > 0 {
		<-thawed
	} else {
		host.Thaw()
	}
	err := <-ended
	c.check(p, fmt.Sprintf("after the frozen engine went on to its end (%v)", err))
	p.reconcile()
	c.check(p, "after the last of its work was reconciled")
	last, _ := p.engine()
	if err := last.Release(c.t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
		c.t.Errorf("the last release: %v", err)
	}
	p.reconcile()
	// Nothing is still on its way after the longest time that a call may take.
	pass(timing.Lease)
	c.check(p, "at the end")
	// An engine that froze while its servers started was silent itself, and may blame one
	// of them when it wakes up: that one is kept out.
	if s.rest != nil && c.thaw == 0 {
		p.wantStates(s.rest...)
	} else if len(p.nodes(core.Available, core.Quarantined)) != s.servers {
		c.t.Errorf("at the end: %v", p.states())
	}
	if m := p.machine("a-1"); !m.State.Ended() {
		c.t.Errorf("the machine is %s at the end", m.State)
	}
	return call
}

func (c crash) check(p *pool, moment string) {
	c.t.Helper()
	for _, problem := range p.problems() {
		c.t.Errorf("%s: %s", moment, problem)
	}
}
