package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

const stepSecret = "the secret of a step"

func secretOf(_ context.Context, ref core.Reference) (string, error) {
	if ref != "env:TOKEN" {
		return "", &core.Error{Op: "resolve", Kind: core.Denied, Err: errors.New("that variable is not set in this process")}
	}
	return stepSecret, nil
}

// script is a step that runs a script as enginetest knows them.
func script(name, text string) core.Step {
	return core.Step{Name: name, Script: &core.ScriptStep{Run: text}}
}

// profile has the default pool do steps, in the order in which they are given.
func (p *pool) profile(all ...core.Step) {
	p.t.Helper()
	choice := core.Profile{Name: "base"}
	for _, s := range all {
		choice.Steps = append(choice.Steps, s.Name)
	}
	e, _ := p.engine()
	_, err := e.Apply(p.t.Context(), core.Declaration{
		By: core.DeclaredIn("test"), Steps: all, Profiles: []core.Profile{choice}, Pools: []core.PoolDeclaration{{Name: core.DefaultPool, Profile: &choice.Name}},
	}, core.ApplyOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
}

// ran are the scripts that ran on a node, by their texts.
func (p *pool) ran(id core.NodeID) (texts []string) {
	for _, s := range p.rack.Server(id).Look().Ran {
		texts = append(texts, s.Text)
	}
	return texts
}

// told are a machine's events of one type, each as "step: message".
func (p *pool) told(id core.AllocationID, what core.EventType) (all []string) {
	p.t.Helper()
	e, _ := p.engine()
	events, err := e.Events(p.t.Context(), core.EventFilter{Allocation: id})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, ev := range events {
		if ev.Type == what {
			all = append(all, ev.Step+": "+ev.Message)
		}
	}
	return all
}

// What templates cost only where they are filled in is bounded there, for all of a try.
func TestTemplatesOfATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		dear := script("agent", "install agent")
		dear.Script.Env = map[string]string{}
		for i := range 10 {
			dear.Script.Env[fmt.Sprint("X", i)] = `{{if ne .Node.ID "x"}}{{range 9990}}{{end}}{{end}}`
		}
		p.profile(dear)
		e, _ := p.engine()
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "all templates up to it together") {
			t.Errorf("it is deployed: %v", err)
		}
	})
}

func TestStepsOfADeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		agent, baseline := script("agent", "install agent"), script("baseline", "harden")
		agent.After = []string{"baseline"}
		agent.Secrets = map[string]core.Reference{"TOKEN": "env:TOKEN"}
		agent.Script.Env = map[string]string{"SITE": "{{.Pool}} {{.Node.ID}}"}
		p.profile(agent, baseline)
		e, _ := p.engine()
		m, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, p.story())
		}
		if got := p.ran(m.Node); !slices.Equal(got, []string{"harden", "install agent"}) {
			t.Errorf("it ran %q", got)
		}
		env := p.rack.Server(m.Node).Look().Ran[1].Env
		if env["SITE"] != "default n1" || env["TOKEN"] != stepSecret || env["METALPOOL_MACHINE"] != "web-1" || env["METALPOOL_NODE"] != "n1" {
			t.Errorf("with %q", env)
		}
		if said := p.told("a-1", core.StepOutput); len(said) != 2 || !strings.Contains(said[1], "step agent: script 2: install agent") || strings.Contains(said[1], stepSecret) || !strings.Contains(said[1], "(secret)") {
			t.Errorf("it said %q", said)
		}
		if met := p.told("a-1", core.StepMet); !slices.Contains(met, "step agent: ") {
			t.Errorf("met are %q", met)
		}
		if ours(p.keysOn(m.Node)) != 0 {
			t.Error("the management key was left on the machine")
		}
		p.sound()
	})
}

// ends are the types of the events that told of a step's end.
func (p *pool) ends(t *testing.T, step string) (all []core.EventType) {
	t.Helper()
	for _, what := range []core.EventType{core.StepMet, core.StepUndone} {
		for _, line := range p.told("a-1", what) {
			if strings.HasPrefix(line, step+": ") {
				all = append(all, what)
			}
		}
	}
	return all
}

func TestStepsThatFail(t *testing.T) {
	for name, tt := range map[string]struct {
		step    core.Step
		ran     int
		state   core.State
		node    core.NodeID // that it is on at the end
		says    string
		warning string
	}{
		"for good":                       {step: script("s", "exit 3"), ran: 1, state: core.Failed, says: "deploy web-1 (node n1): step s: failed: it ended with status 3; its output ends: \"script 1: exit 3\"; 'metalpool machine logs web-1' tells all of it; the same request tries again"},
		"a few times":                    {step: core.Step{Name: "s", Retries: 2, Script: &core.ScriptStep{Run: "exit 3"}}, ran: 3, state: core.Failed, says: "status 3"},
		"once":                           {step: core.Step{Name: "s", Retries: 2, Script: &core.ScriptStep{Run: "exit 3 once"}}, ran: 2, state: core.Deployed},
		"without harm":                   {step: core.Step{Name: "s", OnFailure: core.FailNothing, Script: &core.ScriptStep{Run: "exit 3"}}, ran: 1, state: core.Deployed, warning: "goes on without it: it ended with status 3"},
		"by hanging":                     {step: core.Step{Name: "s", Timeout: core.Span(5 * time.Minute), Script: &core.ScriptStep{Run: "hang"}}, ran: 1, state: core.Failed, says: "step s: timeout: it was ended after 5m, which is its timeout; its output ends: \"script 1: hang\"; if it is just slow, give it more time: 'timeout', where step s is declared"},
		"by hanging, with harm":          {step: core.Step{Name: "s", OnFailure: core.FailNode, Script: &core.ScriptStep{Run: "hang"}}, ran: 1, state: core.Failed, says: "backend: it was ended after 10m"},
		"by a crash of the machine":      {step: core.Step{Name: "s", Retries: 5, Script: &core.ScriptStep{Run: "crash"}}, ran: 1, state: core.Failed, says: "nobody knows how it ended; its output ends: \"script 1: crash\"; a new deploy begins with a fresh system"},
		"for want of a secret":           {step: core.Step{Name: "s", Secrets: map[string]core.Reference{"X": "env:OTHER"}, Script: &core.ScriptStep{Run: "x"}}, ran: 0, state: core.Failed, says: "at env:OTHER: that variable is not set"},
		"for want of a label":            {step: core.Step{Name: "s", Script: &core.ScriptStep{Run: "x", Env: map[string]string{"RACK": "{{.Node.Labels.rack}}"}}}, ran: 0, state: core.Failed, says: `map has no entry for key "rack"`},
		"where its check says it is met": {step: core.Step{Name: "s", Script: &core.ScriptStep{Run: "exit 3", Check: "true"}}, ran: 1, state: core.Deployed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				p.profile(tt.step)
				e, _ := p.engine()
				m, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
				if got := p.machine("a-1").State; got != tt.state {
					t.Errorf("the machine is %s\n%s", got, p.story())
				}
				if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
					t.Errorf("it says %v", err)
				}
				if ran := p.ran("n1"); len(ran) != tt.ran {
					t.Errorf("it ran %q", ran)
				}
				if warned := p.told("a-1", core.StepWarned); (len(warned) == 1) != (tt.warning != "") || len(warned) == 1 && !strings.Contains(warned[0], tt.warning) {
					t.Errorf("it warned %q", warned)
				}
				end := core.StepMet
				if tt.warning != "" || err != nil {
					end = core.StepUndone
				}
				if err == nil && !slices.Equal(p.ends(t, "step s"), []core.EventType{end}) {
					t.Errorf("the step's ends are told as %q", p.ends(t, "step s"))
				}
				stats, err := e.Stats(t.Context(), core.StatsFilter{})
				if err != nil {
					t.Fatal(err)
				}
				of := stats[slices.IndexFunc(stats, func(s core.PhaseStats) bool { return s.Phase == "step s" })]
				if done := end == core.StepMet; done != (of.Count == 1) || done != (of.Failed == 0) {
					t.Errorf("the statistics have %+v", of)
				}
				if has := slices.Equal(m.Steps, []string{"s"}); has != (tt.state == core.Deployed && tt.warning == "") {
					t.Errorf("the machine is told to have the steps %q", m.Steps)
				}
				p.sound()
			})
		})
	}
}

// A step that hangs is told of while it does, to whoever looks at its node, and the rarer
// the longer it takes.
func TestStepThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		s := pluginStep("dns", "dns")
		s.Timeout, s.Secrets = core.Span(time.Hour), map[string]core.Reference{"TOKEN": "env:TOKEN"}
		p.profile(s)
		host := p.rack.Host()
		e := core.New(core.Config{
			Store: host.Store(p.store), Sealer: cloak{}, Deployer: host, Timing: timing, Resolve: secretOf,
			Backends: map[string]core.Connector{"redfish": host}, Steps: map[core.StepKind]core.StepRunner{core.KindPlugin: playing(func(ctx context.Context, r core.StepRun) error {
				token, err := r.Secret(ctx, "TOKEN")
				fmt.Fprintf(r.Output, "waits with %s\n", token)
				<-ctx.Done()
				return err
			})},
		})
		began := make(chan error, 1)
		go func() {
			_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
			began <- err
		}()
		pass(30 * time.Minute)
		var told []string
		for _, line := range p.told("a-1", core.StepMoves) {
			if strings.HasPrefix(line, "step dns: ") {
				told = append(told, strings.TrimPrefix(line, "step dns: "))
			}
		}
		last := `, and said last: "waits with (secret)"`
		want := []string{"began, try 1 of 3, at most 1h"}
		for _, after := range []string{"15s", "30s", "1m", "2m", "4m", "8m", "16m"} {
			want = append(want, "under way for "+after+last)
		}
		if !slices.Equal(told, want) {
			t.Errorf("told were %q", told)
		}
		if err := <-began; err != nil { // it made do with its time
			t.Error(err)
		}
	})
}

// A step may say that its node is at fault: the machine goes to another one.
func TestStepThatBlamesItsNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		s := script("burn-in", "exit 3 once")
		s.OnFailure = core.FailNode
		p.profile(s)
		e, _ := p.engine()
		_, err := e.Create(t.Context(), order("a-1", "web-1"), nil) // each server counts for itself
		if err == nil {
			t.Fatal("both nodes fail, and the machine is deployed")
		}
		p.reconcile()
		m := p.machine("a-1")
		if m.State != core.Failed || len(m.Moves) != 1 || len(p.nodes(core.Quarantined)) != 1 {
			t.Errorf("the machine is %s after %d moves, the nodes are %v: %v", m.State, len(m.Moves), p.states(), err)
		}
		p.sound()
	})
}

// A machine that cannot be reached while its step runs is gone on with.
func TestStepWhoseConnectionBreaks(t *testing.T) {
	for name, after := range map[string]bool{"before it has begun": false, "after it has ended": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				p.profile(script("s", "once"))
				p.rack.Server("n1").Fail(enginetest.Fault{Op: "ssh run", Err: enginetest.ErrUnreachable, Times: 1, After: after})
				e, _ := p.engine()
				if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
					t.Fatalf("%v\n%s", err, p.story())
				}
				if ran := p.ran("n1"); !slices.Equal(ran, []string{"once"}) {
					t.Errorf("it ran %q", ran)
				}
			})
		})
	}
}

// A script may cut its own machine off.
func TestStepWhoseMachineIsNeverReachedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		repeatable bool
		says       string
	}{
		"once it has begun":  {says: "the machine was out of reach until its time was over: no route to host: it was begun, and nobody knows how it ended"},
		"and it is harmless": {repeatable: true, says: "not done within 10m"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				s := script("s", "ip link set eth0 down")
				s.Repeatable = tt.repeatable
				p.profile(s)
				p.rack.Server("n1").Fail(enginetest.Fault{Op: "ssh run", Err: enginetest.ErrUnreachable, Times: -1, After: true})
				e, _ := p.engine()
				if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("it says %v", err)
				}
				p.sound()
			})
		})
	}
}

// Whoever waits for a machine that SSH does not reach is told where it is off.
func TestStepWhoseMachineIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.profile(script("s", "poweroff"))
		e, _ := p.engine()
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err == nil || !strings.Contains(err.Error(), "until its time was over: the server's power is off: ") {
			t.Errorf("it says %v", err)
		}
		if waits := p.told("a-1", core.StepWaits); len(waits) == 0 || !strings.Contains(waits[0], "the server's power is off: ") {
			t.Errorf("it waits for %q", waits)
		}
		p.sound()
	})
}

// What a pool does not allow is refused before a node is taken.
func TestOrdersWhoseStepsCannotBeDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.profile(script("s", "x"))
		e, _ := p.engine()
		refused := func(o core.Order, says string) {
			t.Helper()
			if _, err := e.Create(t.Context(), o, nil); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), says) {
				t.Errorf("got %v, want %s", err, says)
			}
		}
		unseen := order("a-1", "web-1")
		unseen.WaitFor = core.UntilStarted
		refused(unseen, "run step s web-1: it logs in to the machine, and nobody is to wait for that one's SSH")
		other := order("a-2", "web-2")
		other.Profile = "other"
		refused(other, `choose profile other web-2: pool "default" does not offer it; there are: base`)
		never, err := e.Pool(t.Context(), core.DefaultPool)
		if err != nil {
			t.Fatal(err)
		}
		never.ManagementKey = core.ManageNever
		if err := e.SetPool(t.Context(), never); err != nil {
			t.Fatal(err)
		}
		refused(order("a-3", "web-3"), "keeps no management key")
		if free := p.nodes(core.Available); len(free) != 1 {
			t.Errorf("the nodes are %v", p.states())
		}
	})
}

// A profile counts as it was when the deploy began.
func TestProfileThatChangesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.profile(script("s", "the old one"))
		p.rack.Writing = time.Hour
		e, _ := p.engine()
		ended := make(chan error, 1)
		go func() {
			_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
			ended <- err
		}()
		pass(10 * time.Minute)
		p.profile(script("s", "the new one"))
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		o := order("a-1", "web-1")
		o.Revision = "2"
		if _, err := e.Deploy(t.Context(), o, nil); err != nil {
			t.Fatal(err)
		}
		if ran := p.ran("n1"); !slices.Equal(ran, []string{"the old one", "the new one"}) {
			t.Errorf("it ran %q", ran)
		}
		p.sound()
	})
}

// stepsOfSweep are in the crash sweep, of every phase: no script of them may be run twice.
var stepsOfSweep = []core.Step{
	during(core.PhasePrepare, "flash", "flash"), call(core.PhasePrepare, "plan", "PUT"), cloudInit("chrony", "packages: [chrony]"),
	script("baseline", "harden"), script("agent", "install agent"), {Name: "cmdb", OnFailure: core.FailNothing, Script: &core.ScriptStep{Run: "register", As: core.AsLogin}}, call(core.PhaseDeployed, "dns", "PUT"),
	during(core.PhaseRelease, "leave", "sign off"), call(core.PhaseRelease, "alerts", "DELETE"),
	during(core.PhaseCleaned, "burn-in", "burn in"), call(core.PhaseCleaned, "free", "PUT"),
}

// call is a step that asks something of another system.
func call(phase core.StepPhase, name, method string) core.Step {
	return core.Step{Name: name, Phase: phase, HTTP: &core.HTTPStep{HTTPRequest: core.HTTPRequest{Method: method, URL: "http://sweep/" + name}}}
}

// onceEach says which script ran more often than once under its ID.
func onceEach(ran []core.Script) error {
	times := map[string]int{}
	for _, s := range ran {
		if times[s.ID]++; times[s.ID] > 1 {
			return fmt.Errorf("%s ran %d times", s.ID, times[s.ID])
		}
	}
	return nil
}

// lastOf are the texts of the scripts that ran last.
func lastOf(ran []core.Script, n int) (texts []string) {
	for _, s := range ran[max(0, len(ran)-n):] {
		texts = append(texts, s.Text)
	}
	return texts
}

// createWithSteps has each step done once for each attempt that ends Deployed, in their
// order, and never twice.
func createWithSteps(e *core.Engine, p *pool) error {
	o := order("a-1", "web-1")
	o.PostDeploy = []byte("user's")
	m, err := e.Create(p.t.Context(), o, nil)
	if core.Is(err, core.Exists) && p.machine("a-1").State.Ended() {
		return nil // it was released before the crash
	}
	if err != nil || m.State != core.Deployed {
		return err
	}
	ran, called := p.rack.Server("n1").Look().Ran, p.rack.Called()
	if last := lastOf(ran, 5); !slices.Equal(last, []string{"flash", "harden", "install agent", "register", "user's"}) {
		return fmt.Errorf("the machine is deployed, and ran %q", last)
	}
	// It may have been released since.
	if system := p.rack.Server("n1").Look().System; system != nil && string(system.UserData) != "#cloud-config\npackages: [chrony]\n" {
		return fmt.Errorf("the machine is deployed, and cloud-init got %q", system.UserData)
	}
	if !slices.Contains(called, "PUT /plan") || !slices.Contains(called, "PUT /dns") {
		return fmt.Errorf("the machine is deployed, and called %q", called)
	}
	return onceEach(ran)
}

// releaseWithSteps has the steps of a release done before the power is cut, and those of a
// clean after the erase.
func releaseWithSteps(e *core.Engine, p *pool) error {
	if err := e.Release(p.t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
		return err
	}
	ran, called := p.rack.Server("n1").Look().Ran, p.rack.Called()
	if last := lastOf(ran, 1); !slices.Equal(last, []string{"burn in"}) || !slices.Contains(called, "PUT /free") {
		return fmt.Errorf("the node is clean, and ran %q, and called %q", last, called)
	}
	return onceEach(ran)
}

// A machine that was made before a step was declared has not got it, and is found where the
// step is for its server; once it is deployed again it has.
func TestMachinesWithoutAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		p.profile(script("old", "true"))
		e, _ := p.engine()
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatal(err)
		}
		p.profile(script("old", "true"), script("new", "true"))
		if _, err := e.Create(t.Context(), order("a-2", "web-2"), nil); err != nil {
			t.Fatal(err)
		}
		var only *core.StepServers
		without := func(step string) (names []string) {
			t.Helper()
			all, err := e.Machines(t.Context(), core.AllocationFilter{})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range core.Without(all, p.nodes(), core.Step{Name: step, Only: only}) {
				names = append(names, m.Name)
			}
			return names
		}
		only = &core.StepServers{Manufacturer: "Nobody's"}
		if since := without("new"); len(since) > 0 {
			t.Errorf("a step for servers of another maker lacks %q", since)
		}
		only = &core.StepServers{Manufacturer: "Example"}
		if old, since := without("old"), without("new"); len(old) > 0 || !slices.Equal(since, []string{"web-1"}) {
			t.Errorf("without the old step are %q, without the new one %q", old, since)
		}
		again, err := p.machine("a-1").Again("")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Deploy(t.Context(), again, nil); err != nil {
			t.Fatal(err)
		}
		if since := without("new"); len(since) > 0 {
			t.Errorf("without the new step are still %q", since)
		}
		if err := e.Release(t.Context(), "a-2", core.ReleaseOptions{}, nil); err != nil {
			t.Fatal(err)
		}
		if gone := without("none"); !slices.Equal(gone, []string{"web-1"}) {
			t.Errorf("those that are deployed are told as %q", gone)
		}
	})
}
