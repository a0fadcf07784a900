package core_test

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
	"github.com/metalpool/metalpool/core/placetest"
	"github.com/metalpool/metalpool/core/plugin"
	"github.com/metalpool/metalpool/core/steps"
)

// The crash sweep of steps that programs do on the engine's own host. The programs are
// real, and what they do is counted where they do it. Unlike a script on a machine, a
// program leaves nothing behind that tells how it has ended.

// noted is the config of the plugins here: the file that each run adds its ID to.
type noted struct {
	File string `json:"file"`
}

// actAsPlugin is what this program does under the name of a plugin.
func actAsPlugin(name string) {
	step := plugin.Step[noted]{Run: func(_ context.Context, t plugin.Try[noted]) error {
		f, err := os.OpenFile(t.Config.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = fmt.Fprintln(f, t.ID)
		return err
	}}
	if name == "looks" {
		step.Check = func(_ context.Context, t plugin.Try[noted]) (bool, error) {
			_, err := os.Stat(t.Config.File)
			return err == nil, nil
		}
	}
	plugin.Serve(step)
}

// playbookStandIn is an ansible-playbook that takes no time: it notes, beside the playbook,
// that it was played. The real one cannot run in a bubble.
const playbookStandIn = "#!/bin/sh\necho played >> played\n"

// programs are where plugins and the stand-in are.
func programs(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	self, err := os.ReadFile("/proc/self/exe")
	for name, text := range map[string][]byte{"metalpool-step-notes": self, "metalpool-step-looks": self, "ansible-playbook": []byte(playbookStandIn)} {
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), text, 0o700) //nolint:gosec // it is run
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	return folder
}

// programSteps are steps of the kinds that run programs on the engine's host, whose
// effects are in a folder: of a deploy, for each kind one that is not to be done twice, one
// that may be, and a plugin that can tell; and those of its machine's end.
func programSteps(folder string) (ofDeploy, ofEnd []core.Step) {
	notes := func(name, plugin string) core.Step {
		return core.Step{Name: name, Plugin: &core.PluginStep{Name: plugin, Config: core.FreeForm{"file": filepath.Join(folder, name)}}}
	}
	plays := func(name string) core.Step {
		return core.Step{Name: name, Ansible: &core.AnsibleStep{Path: filepath.Join(folder, name+".d", "site.yml")}}
	}
	twice := func(s core.Step) core.Step { s.Repeatable = true; return s }
	at := func(phase core.StepPhase, s core.Step) core.Step { s.Phase = phase; return s }
	return []core.Step{
			at(core.PhasePrepare, notes("early", "notes")), notes("once", "notes"), notes("looks", "looks"), twice(notes("twice", "notes")), plays("play"), twice(plays("replay")),
		}, []core.Step{
			at(core.PhaseRelease, notes("leave", "notes")), at(core.PhaseRelease, plays("bye")), at(core.PhaseCleaned, notes("swept", "notes")), at(core.PhaseCleaned, notes("seen", "looks")),
		}
}

// done is how often a step had its effect.
func done(t *testing.T, folder, step string) (times int) {
	t.Helper()
	for _, name := range []string{step, filepath.Join(step+".d", "played")} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		times += strings.Count(string(text), "\n")
	}
	return times
}

// outside runs programs outside of the bubble that a story is in: they go by the clock of
// everybody, and their certificates, too. No time passes in the bubble meanwhile.
type outside struct {
	runs core.StepRunner
	via  chan *ferry
	key  []byte // for playbooks, which cannot read those of enginetest
}

// ferry has its channels from outside: of those a bubble does not say that it idles.
type ferry struct {
	runs  chan func() error
	ended chan error
}

// ferries are there until the test ends, for so many runs at a time.
func ferries(t *testing.T, count int) chan *ferry {
	t.Helper()
	all := make(chan *ferry, count)
	for range count {
		f := &ferry{runs: make(chan func() error), ended: make(chan error)}
		t.Cleanup(func() { close(f.runs) })
		go func() {
			for run := range f.runs {
				f.ended <- run()
			}
		}()
		all <- f
	}
	return all
}

func (o outside) Run(ctx context.Context, r core.StepRun) error {
	if r.Step.Ansible != nil {
		at, _, err := r.WayIn(ctx)
		if err != nil {
			return err
		}
		r.WayIn = func(context.Context) (core.Access, []byte, error) { return at, o.key, nil }
	}
	f := <-o.via
	defer func() { o.via <- f }()
	f.runs <- func() error { return o.runs.Run(context.Background(), r) }
	return <-f.ended
}

func newRealKey(t *testing.T) []byte {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

// programStories are what is the same for all stories of one sweep.
type programStories struct {
	end   bool // they are of a machine's end, not of its deploy
	begin preset
	runs  map[core.StepKind]core.StepRunner
}

// programStory is one story: an engine freezes, and another one goes on.
type programStory struct {
	*programStories
	at   int
	when enginetest.When
	thaw time.Duration // 0: when the other is through
}

func TestCrashSweepPrograms(t *testing.T) {
	runs := map[core.StepKind]core.StepRunner{}
	via, key := ferries(t, 2), newRealKey(t)
	for kind, runner := range map[core.StepKind]core.StepRunner{core.KindPlugin: steps.Plugin{Folders: []string{programs(t)}}, core.KindAnsible: steps.Ansible{}} {
		runs[kind] = outside{runner, via, key}
	}
	placetest.Each(t, func(t *testing.T, at placetest.Place) {
		begin := makePreset(t, at, 1, func(p *pool) { p.manage(core.ManageAlways) })
		for name, end := range map[string]bool{"create": false, "rm": true} {
			t.Run(name, func(t *testing.T) { programStories{end: end, begin: begin, runs: runs}.sweep(t, programStride(at)) })
		}
	})
}

// sweep freezes in calls that are so far apart.
func (s programStories) sweep(t *testing.T, stride int) {
	var calls []string
	synctest.Test(t, func(t *testing.T) { calls = programStory{programStories: &s}.run(t) })
	// From where the first of them is begun to where the last one is met.
	first, last := slices.Index(calls, "program"), len(calls)
	for last > 0 && calls[last-1] != "program" {
		last--
	}
	if first < 4 || last <= first {
		t.Fatalf("no programs among %q", calls)
	}
	for n, turn := first-3, 0; n <= last+2; n, turn = n+stride, turn+1 {
		thaw := []time.Duration{0, 65 * time.Second}[turn%2]
		for _, when := range []enginetest.When{enginetest.Before, enginetest.After} {
			t.Run(fmt.Sprintf("%d %s %s", n, calls[n-1], when), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					programStory{programStories: &s, at: n, when: when, thaw: thaw}.run(t)
				})
			})
		}
	}
}

// programStride is how far the calls are apart that are frozen in.
func programStride(at placetest.Place) int {
	if os.Getenv(sweepAll) != "" {
		return 1
	}
	if _, files := at.(placetest.Files); files && !raceDetector {
		return 5
	}
	return 17
}

// run returns the calls of the engine that freezes, or that does not.
func (s programStory) run(t *testing.T) (calls []string) {
	p := s.begin.pool(t)
	p.programs = s.runs
	folder := t.TempDir()
	for _, name := range []string{"play.d", "replay.d", "bye.d"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ofDeploy, ofEnd := programSteps(folder)
	p.profile(slices.Concat(ofDeploy, ofEnd)...)
	act, all, says := func(e *core.Engine) error {
		_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		return err
	}, ofDeploy, p.saysOfDeploy
	if s.end {
		p.create()
		act, all, says = func(e *core.Engine) error {
			return e.Release(t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil)
		}, ofEnd, p.saysOfEnd
	}
	victim, host := p.engine()
	if s.at > 0 {
		host.Freeze(s.at, s.when)
	}
	type outcome struct{ err error }
	ended := make(chan outcome, 1)
	go func() { ended <- outcome{act(victim)} }()
	var err error
	unknown := ""
	select {
	case is := <-ended:
		err = is.err
	case <-host.Frozen():
		synctest.Wait()
		unknown = p.inTheMiddle(all)
		thawed := make(chan struct{})
		wake := func() { host.Thaw(); close(thawed) }
		if s.thaw > 0 {
			time.AfterFunc(s.thaw, wake)
		}
		other, _ := p.engine()
		err = act(other)
		if s.thaw == 0 {
			wake()
		}
		<-thawed
		<-ended // whatever has become of it: the other has gone on
	}
	if told := says(err); unknown == "" && told != "" || unknown != "" && (!strings.Contains(told, "step "+unknown) || !strings.Contains(told, "nobody knows how it ended")) {
		t.Errorf("nobody knows of step %q, and it says %q", unknown, told)
	}
	for _, step := range all {
		times := done(t, folder, step.Name)
		if times > 1 && !step.Repeatable || times == 0 && unknown == "" {
			t.Errorf("%s was done %d times", step.Name, times)
		}
	}
	p.sound()
	if !s.end {
		p.give("a-1")
	}
	if unknown == "swept" {
		p.wantStates("n1 Quarantined")
	} else {
		p.wantStates("n1 Available")
	}
	return host.Calls()
}

// saysOfDeploy is what a deploy says that failed.
func (p *pool) saysOfDeploy(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// saysOfEnd is what is said of a machine's end: it is given up in any case, and a clean
// whose steps fail keeps its node.
func (p *pool) saysOfEnd(error) string {
	return strings.Join(append(p.told("a-1", core.StepWarned), p.node("n1").Reason), "")
}

// inTheMiddle is the step of which nobody will know how it ended if the engine is gone now.
func (p *pool) inTheMiddle(all []core.Step) (name string) {
	p.t.Helper()
	p.update(func(tx core.Tx) error {
		n, err := tx.Node("n1")
		if err != nil {
			return err
		}
		a, err := tx.Attempt(n.Attempt)
		for _, s := range all {
			_, met := a.Met["step "+s.Name]
			if tells := s.Repeatable || s.Plugin != nil && s.Plugin.Name == "looks"; a.Tries[s.Name] > 0 && !met && !tells {
				name = s.Name
			}
		}
		return err
	})
	return name
}
