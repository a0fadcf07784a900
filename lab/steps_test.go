package lab_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
	"github.com/metalpool/metalpool/core/steps"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab"
)

// Every example of docs/steps.md is applied, and a machine deployed with it.
func TestStepsOfTheDocumentation(t *testing.T) {
	t.Setenv("CMDB_TOKEN", "t0k3n")
	needs.Program(t, "ansible-playbook", "ansible-core")
	text, err := os.ReadFile("../docs/steps.md")
	try(t, err)
	examples := strings.Split(string(text), "```yaml\n")[1:]
	if len(examples) < 3 {
		t.Fatalf("%d examples", len(examples))
	}
	l := up(t, lab.Config{Nodes: 1})
	p := newPool(t, l)
	key := newKey(t)
	// What is on the machine once a step that writes it is done; NODE is its node.
	left := map[string]string{
		"/etc/agent.conf":    "server = monitoring.example\nnode = NODE\npool = default\n",
		"/etc/baseline":      "",
		"/etc/playbook.conf": "node = NODE, rack = r1\n",
		"/etc/site.conf":     "node = NODE\ntoken = t0k3n\n",
	}
	for i, example := range examples {
		example, _, _ = strings.Cut(example, "```")
		rack, err := rackfile.Read("steps.md", strings.NewReader(example))
		try(t, err)
		_, err = p.Apply(t.Context(), rack.Declaration, core.ApplyOptions{})
		try(t, err)
		m, err := p.Create(t.Context(), order(fmt.Sprintf("m-%d", i), key), nil)
		if err != nil {
			t.Fatalf("example %d: %v", i+1, err)
		}
		for file, want := range left {
			if !strings.Contains(example, file) {
				continue
			}
			out, err := onMachine(t.Context(), m, key, "sudo cat "+file)
			try(t, err)
			if want = strings.ReplaceAll(want, "NODE", string(m.Node)); out != want {
				t.Errorf("the machine has %q in %s, and not %q", out, file, want)
			}
		}
		events, err := p.Events(t.Context(), core.EventFilter{Allocation: m.ID})
		try(t, err)
		for _, ev := range events {
			if strings.Contains(ev.Message, "t0k3n") {
				t.Errorf("%s tells the secret: %s", ev.Step, ev.Message)
			}
		}
		try(t, p.Release(t.Context(), m.ID, core.ReleaseOptions{WaitClean: true}, nil))
	}
}

// cutOff is a runner of scripts whose first run ends in the middle of the script, as cut
// has it: it calls the rest of the run, and ends it. The runs after it let the script go on.
type cutOff struct {
	t    *testing.T
	cut  func(stop func())
	runs int
}

func (c *cutOff) Run(ctx context.Context, r core.StepRun) error {
	// The way in is found before the script begins: a run is for one goroutine at a time.
	login, err := r.LogIn(c.t.Context())
	if err != nil {
		return err
	}
	defer func() { _ = login.Close() }()
	onMachine := func(command string) {
		if _, err := login.Run(c.t.Context(), core.Script{Text: command, Limit: core.Span(time.Minute)}, io.Discard); err != nil {
			c.t.Errorf("%s: %v", command, err)
		}
	}
	c.runs++
	if c.runs > 1 {
		onMachine("touch /tmp/go")
		return steps.Script{}.Run(ctx, r)
	}
	within, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- steps.Script{}.Run(within, r) }()
	onMachine("until test -e /tmp/begun; do sleep 0.02; done")
	c.cut(stop)
	err = <-ended
	if err == nil {
		c.t.Error("the script ended while it was to be in its middle")
	}
	if ctx.Err() != nil {
		return err
	}
	return &core.Error{Op: "run script", Kind: core.Transient, Err: err}
}

// Neither a connection that breaks in the middle of a script nor the end of its worker
// changes what becomes of the deploy.
func TestScriptThatOutlivesItsWorker(t *testing.T) {
	for name, again := range map[string]bool{"its connection breaks": false, "its worker stops": true} {
		t.Run(name, func(t *testing.T) {
			l := up(t, lab.Config{Nodes: 1})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			runner := &cutOff{t: t, cut: func(stop func()) { stop() }}
			if again {
				runner.cut = func(func()) { cancel() }
			}
			p := newPoolWith(t, l, map[core.StepKind]core.StepRunner{core.KindScript: runner})
			script := core.Step{Name: "s", Script: &core.ScriptStep{Run: "echo x >> /root/ran; echo before; touch /tmp/begun; until test -e /tmp/go; do sleep 0.02; done; echo after"}}
			_, err := p.Apply(t.Context(), core.Declaration{
				By: core.DeclaredIn("test"), Steps: []core.Step{script}, Profiles: []core.Profile{{Name: "base", Steps: []string{"s"}}}, Pools: []core.PoolDeclaration{{Name: core.DefaultPool, Profile: new("base")}},
			}, core.ApplyOptions{})
			try(t, err)
			key := newKey(t)
			m, err := p.Create(ctx, order("m-1", key), nil)
			if again {
				if err == nil {
					t.Fatal("it was stopped, and the machine is there")
				}
				m, err = p.Create(t.Context(), order("m-1", key), nil)
			}
			try(t, err)
			if ran, err := onMachine(t.Context(), m, key, "sudo cat /root/ran"); err != nil || ran != "x\n" {
				t.Errorf("it ran %q, %v", ran, err)
			}
			said := ""
			events, err := p.Events(t.Context(), core.EventFilter{Allocation: m.ID})
			try(t, err)
			for _, ev := range events {
				if ev.Type == core.StepOutput {
					said += ev.Message
				}
			}
			if said != "before\nafter\n" {
				t.Errorf("it said %q", said)
			}
		})
	}
}

// A script in the ramdisk of a simulated server has files in memory, a shell of its own,
// and the power of that server alone.
func TestScriptsInASimulatedRamdisk(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	try(t, os.WriteFile(secret, []byte("of the host"), 0o666))
	t.Setenv("OF_THE_HOST", "x")
	l := up(t, lab.Config{Nodes: 1})
	p := newPool(t, l)
	apply := func(all ...core.Step) {
		t.Helper()
		base := core.Profile{Name: "base"}
		for _, s := range all {
			base.Steps = append(base.Steps, s.Name)
		}
		_, err := p.Apply(t.Context(), core.Declaration{By: core.DeclaredIn("test"), Steps: all, Profiles: []core.Profile{base}, Pools: []core.PoolDeclaration{{Name: core.DefaultPool, Profile: new("base")}}}, core.ApplyOptions{})
		try(t, err)
	}
	step := func(name string, phase core.StepPhase, text string) core.Step {
		return core.Step{Name: name, Phase: phase, Script: &core.ScriptStep{Run: text, Files: map[string]string{"a": "file of it\n"}}}
	}
	looks := step("looks", core.PhasePrepare, "cat a; hostname; echo \"$METALPOOL_MACHINE-$OF_THE_HOST-\"; cat "+secret+"; echo x > "+secret+"; echo kept > /run/kept")
	apply(looks, step("again", core.PhasePrepare, "cat /run/kept"), step("after", core.PhaseCleaned, "echo clean; false"))
	key := newKey(t)
	m, err := p.Create(t.Context(), order("m-1", key), nil)
	try(t, err)
	said := func() (all []string) {
		events, err := p.Events(t.Context(), core.EventFilter{Node: m.Node})
		try(t, err)
		for _, ev := range events {
			if ev.Type == core.StepOutput {
				all = append(all, ev.Step+": "+ev.Message)
			}
		}
		return all
	}
	if got := said(); len(got) != 2 || !strings.HasPrefix(got[0], "step looks: file of it\n"+string(m.Node)+"\nm-1--\ncat: ") || got[1] != "step again: kept\n" {
		t.Errorf("it said %q", got)
	}
	if text, err := os.ReadFile(secret); err != nil || string(text) != "of the host" {
		t.Errorf("the host's file is now %q, %v", text, err)
	}
	try(t, p.Release(t.Context(), m.ID, core.ReleaseOptions{WaitClean: true}, nil))
	n, err := p.Node(t.Context(), m.Node)
	if err != nil || n.State != core.Quarantined || !strings.Contains(n.Reason, `it ended with status 1; its output ends: "clean"`) {
		t.Errorf("%v: it is %s: %s", err, n.State, n.Reason)
	}

	// One that restarts its server is not run twice.
	apply(step("restarts", core.PhasePrepare, "echo bye; reboot; sleep 600"))
	_, err = p.Repair(t.Context(), m.Node, "")
	try(t, err)
	_, err = p.AwaitRest(t.Context(), m.Node, nil)
	try(t, err)
	_, err = p.Create(t.Context(), order("m-2", key), nil)
	if err == nil || !strings.Contains(err.Error(), "(node "+string(m.Node)+"): step restarts: failed: the ramdisk that it ran in is gone") {
		t.Errorf("it says %v", err)
	}
}
