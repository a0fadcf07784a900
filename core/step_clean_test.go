package core_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// during is a step that runs a script in a phase.
func during(phase core.StepPhase, name, text string) core.Step {
	s := script(name, text)
	s.Phase = phase
	return s
}

// ofPhases are steps of every phase that runs scripts.
func ofPhases() []core.Step {
	return []core.Step{
		during(core.PhaseCleaned, "burn-in", "burn in"), during(core.PhaseRelease, "leave", "sign off"),
		script("agent", "install agent"), during(core.PhasePrepare, "firmware", "flash"),
	}
}

func (p *pool) give(id core.AllocationID) {
	p.t.Helper()
	e, _ := p.engine()
	if err := e.Release(p.t.Context(), id, core.ReleaseOptions{WaitClean: true}, nil); err != nil {
		p.t.Fatalf("%v\n%s", err, p.story())
	}
}

func (p *pool) create() core.Machine {
	p.t.Helper()
	e, _ := p.engine()
	m, err := e.Create(p.t.Context(), order("a-1", "web-1"), nil)
	if err != nil {
		p.t.Fatalf("%v\n%s", err, p.story())
	}
	return m
}

// What is done about a machine's end was settled when it began.
func TestStepsOfAllPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.manage(core.ManageAlways)
		p.profile(ofPhases()...)
		p.create()
		p.profile(script("other", "other")) // it counts for the next one
		p.give("a-1")
		if ran := p.ran("n1"); !slices.Equal(ran, []string{"flash", "install agent", "sign off", "burn in"}) {
			t.Errorf("it ran %q\n%s", ran, p.story())
		}
		for _, s := range p.rack.Server("n1").Look().Ran {
			if s.Env["METALPOOL_MACHINE"] != "web-1" || s.Env["METALPOOL_NODE"] != "n1" {
				t.Errorf("%s ran with %q", s.Text, s.Env)
			}
		}
		p.wantStates("n1 Available")
		p.sound()
	})
}

// A node that nobody is given up on has the steps that its pool has by now.
func TestStepsOfACleanWithoutAMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.profile(during(core.PhaseCleaned, "burn-in", "exit 3"), during(core.PhaseRelease, "leave", "sign off"))
		p.create()
		p.give("a-1")
		p.wantStates("n1 Quarantined")
		e, _ := p.engine()
		n, err := e.Node(t.Context(), "n1")
		if err != nil || !strings.Contains(n.Reason, `step burn-in: backend: it ended with status 3; its output ends: "script 1: exit 3"; once that is mended, 'metalpool node repair n1' cleans it again`) {
			t.Errorf("%v: the reason is %q", err, n.Reason)
		}
		p.profile(during(core.PhaseCleaned, "burn-in", "mended"), during(core.PhaseRelease, "leave", "sign off"))
		if _, err := e.Repair(t.Context(), "n1", "the step is mended"); err != nil {
			t.Fatal(err)
		}
		p.reconcile()
		if ran := p.ran("n1"); !slices.Equal(ran, []string{"exit 3", "mended"}) {
			t.Errorf("it ran %q", ran)
		}
		p.wantStates("n1 Available")
		p.sound()
	})
}

// Nothing that a step does keeps a machine from being released.
func TestReleaseWhoseStepsFail(t *testing.T) {
	for name, tt := range map[string]struct {
		keeps core.ManagementPolicy
		text  string
		fault string
		ran   int
		warns string
	}{
		"by themselves":             {keeps: core.ManageAlways, text: "exit 3", ran: 1, warns: "goes on without it: it ended with status 3"},
		"by hanging":                {keeps: core.ManageAlways, text: "hang", ran: 1, warns: "goes on without it: it was ended after 1m"},
		"by a restart":              {keeps: core.ManageAlways, text: "crash", ran: 1, warns: "nobody knows how it ended"},
		"for want of a key":         {keeps: core.ManageDeploy, text: "sign off", warns: `left out: pool "default" keeps no key`},
		"since nobody answers":      {keeps: core.ManageAlways, text: "sign off", fault: "ssh log in", warns: "no route to host"},
		"since the machine is lost": {keeps: core.ManageAlways, text: "sign off", fault: "ssh run", ran: 1, warns: "out of reach until its time was over"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				p.manage(tt.keeps)
				p.profile(during(core.PhaseRelease, "leave", tt.text))
				p.create()
				if tt.fault != "" {
					p.rack.Server("n1").Fail(enginetest.Fault{Op: tt.fault, Err: enginetest.ErrUnreachable, Times: -1, After: true})
				}
				began := time.Now()
				p.give("a-1")
				if took := time.Since(began); took > 10*time.Minute {
					t.Errorf("it took %s", took)
				}
				if ran := p.ran("n1"); len(ran) != tt.ran {
					t.Errorf("it ran %q", ran)
				}
				if warned := p.told("a-1", core.StepWarned); len(warned) != 1 || !strings.Contains(warned[0], tt.warns) {
					t.Errorf("it warned %q\n%s", warned, p.story())
				}
				p.wantStates("n1 Available")
				p.sound()
			})
		})
	}
}

// Steps that hang, each within its own bound, hold a release up no longer than all of them
// may. The power is cut all the same, and nobody keeps the node out.
func TestReleaseWhoseStepsHangTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		var all []core.Step
		for _, name := range []string{"one", "two", "three"} {
			all = append(all, core.Step{Name: name, Phase: core.PhaseRelease, Retries: 1, Timeout: core.Span(80 * time.Second), Plugin: &core.PluginStep{Name: "hangs"}})
		}
		p.profile(append(all, core.Step{Name: "cmdb", Phase: core.PhaseCleaned, Plugin: &core.PluginStep{Name: "good"}})...)
		p.create()
		runner := program{tries: map[string]int{}}
		began := time.Now()
		if err := p.engineWith(runner).Release(t.Context(), "a-1", core.ReleaseOptions{}, nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 4*time.Minute || took > 6*time.Minute || p.rack.Server("n1").Look().Power != core.PowerOff {
			t.Errorf("it took %s, and the server is %s\n%s", took, p.rack.Server("n1").Look().Power, p.story())
		}
		if _, err := p.engineWith(runner).Reconcile(t.Context(), core.ReconcileOptions{Wait: true}, nil); err != nil {
			t.Fatal(err)
		}
		warned := p.told("a-1", core.StepWarned)
		if len(warned) != 3 || !strings.Contains(warned[0], "step one: goes on without it: not done within 1m20s") || !strings.Contains(warned[1], "step two: goes on without it: the steps before a release have 5m together") || !strings.Contains(warned[2], "step three: left out: ") {
			t.Errorf("it warned %q\n%s", warned, p.story())
		}
		if runner.tries["one"] != 2 || runner.tries["two"] != 2 || runner.tries["three"] != 0 || runner.tries["cmdb"] != 1 {
			t.Errorf("tried %v", runner.tries)
		}
		p.wantStates("n1 Available")
		p.sound()
	})
}

// A playbook logs in to the machine as well, or is left out where nobody can.
func TestPlaybookBeforeARelease(t *testing.T) {
	for keeps, want := range map[core.ManagementPolicy]int{core.ManageAlways: 1, core.ManageDeploy: 0} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, 1)
			p.manage(keeps)
			p.profile(core.Step{Name: "leave", Phase: core.PhaseRelease, Ansible: &core.AnsibleStep{Path: "/etc/leave.yml"}})
			p.create()
			played := 0
			host := p.rack.Host()
			e := core.New(core.Config{
				Store: host.Store(p.store), Sealer: cloak{}, Deployer: host, Timing: timing, Backends: map[string]core.Connector{"redfish": host},
				Steps: map[core.StepKind]core.StepRunner{core.KindAnsible: playing(func(ctx context.Context, r core.StepRun) error {
					played++
					at, key, err := r.WayIn(ctx)
					if err == nil && (at.Address == "" || len(at.HostKeys) == 0 || len(key) == 0) {
						t.Errorf("the way in is %+v", at)
					}
					return err
				})},
			})
			if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil || played != want {
				t.Errorf("%s: %v; played %d times\n%s", keeps, err, played, p.story())
			}
			p.sound()
		})
	}
}

type playing func(ctx context.Context, r core.StepRun) error

func (p playing) Run(ctx context.Context, r core.StepRun) error { return p(ctx, r) }

// A machine that never ran is not logged in to, and other systems hear of its end.
func TestReleaseOfAMachineThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.manage(core.ManageAlways)
		p.profile(script("s", "exit 3"), during(core.PhaseRelease, "leave", "sign off"),
			core.Step{Name: "cmdb", Phase: core.PhaseRelease, HTTP: &core.HTTPStep{HTTPRequest: core.HTTPRequest{Method: "DELETE", URL: "http://cmdb/{{.Machine.Name}}"}}})
		e, _ := p.engine()
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err == nil {
			t.Fatal("it is deployed")
		}
		p.give("a-1")
		if ran := p.ran("n1"); !slices.Equal(ran, []string{"exit 3"}) || !slices.Equal(p.rack.Called(), []string{"DELETE /web-1"}) {
			t.Errorf("it ran %q, and called %q\n%s", ran, p.rack.Called(), p.story())
		}
		if warned := p.told("a-1", core.StepWarned); len(warned) != 0 {
			t.Errorf("it warned %q", warned)
		}
		p.sound()
	})
}

// A step that takes too long fails its deploy, as the operator has it; the node is not
// blamed for that.
func TestScriptThatIsTooSlowForItsDeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		p.profile(during(core.PhasePrepare, "s", "hang"))
		e, _ := p.engine()
		_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		m := p.machine("a-1")
		if ran := p.ran(m.Node); !core.Is(err, core.Timeout) || m.State != core.Failed || len(m.Moves) > 0 || len(ran) != 1 {
			t.Errorf("it is %s, after %q, and ran %q: %v", m.State, m.Moves, ran, err)
		}
		p.sound()
	})
}

// Scripts in the ramdisk, which they may take with them.
func TestScriptsThatLoseTheirRamdisk(t *testing.T) {
	for name, tt := range map[string]struct {
		step  core.Step
		ran   int
		state core.State
		says  string
	}{
		"for good":           {step: during(core.PhasePrepare, "s", "crash"), ran: 1, state: core.Failed, says: "the ramdisk that it ran in is gone: it was begun, and nobody knows how it ended"},
		"and may do so":      {step: core.Step{Name: "s", Phase: core.PhasePrepare, OnFailure: core.FailNothing, Script: &core.ScriptStep{Run: "crash"}}, ran: 1, state: core.Deployed},
		"again and again":    {step: core.Step{Name: "s", Phase: core.PhasePrepare, Repeatable: true, Script: &core.ScriptStep{Run: "crash"}}, ran: 3, state: core.Failed, says: "(node n1): step s: reach agent: transient: connection refused"},
		"after it was asked": {step: core.Step{Name: "s", Phase: core.PhasePrepare, Script: &core.ScriptStep{Run: "crash", Check: "true"}}, ran: 1, state: core.Deployed},
		"by hanging":         {step: during(core.PhasePrepare, "s", "hang"), ran: 1, state: core.Failed, says: "step s: timeout: it was ended after 10m, which is its timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				p.profile(tt.step)
				o := order("a-1", "web-1")
				o.Request.Node = "n1"
				e, _ := p.engine()
				_, err := e.Create(t.Context(), o, nil)
				if got := p.machine("a-1").State; got != tt.state || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
					t.Errorf("the machine is %s: %v\n%s", got, err, p.story())
				}
				if ran := p.ran("n1"); len(ran) != tt.ran {
					t.Errorf("it ran %q", ran)
				}
				p.sound()
			})
		})
	}
}
