package lab_test

import (
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
)

// Whatever a script does, on the machine or in its ramdisk: it costs its own time and its
// own deploy, and the node is there for the next one.
func TestScriptsThatMisbehave(t *testing.T) {
	const (
		// 100 MiB: a file that comes with it, 800 times.
		floods = "i=0; while [ $i -lt 800 ]; do cat block; i=$((i + 1)); done; echo last"
		begun  = "echo x >> /root/ran; "
	)
	block := map[string]string{"block": strings.Repeat("0123456789abcde\n", 8<<10)}
	for name, tt := range map[string]struct {
		phase   core.StepPhase
		script  core.ScriptStep
		timeout time.Duration
		says    string // the error; "": it is Deployed
		said    string // the end of its output
	}{
		"exits 1":             {core.PhaseDeployed, core.ScriptStep{Run: "echo why; exit 1"}, 0, `it ended with status 1; its output ends: "why"`, "why\n"},
		"exits 1 early":       {core.PhasePrepare, core.ScriptStep{Run: "echo why; exit 1"}, 0, `it ended with status 1; its output ends: "why"`, "why\n"},
		"hangs":               {core.PhaseDeployed, core.ScriptStep{Run: "echo begins; sleep 600"}, time.Second, "it was ended after 1s", "begins\n"},
		"hangs early":         {core.PhasePrepare, core.ScriptStep{Run: "echo begins; sleep 600"}, time.Second, "it was ended after 1s", "begins\n"},
		"floods":              {core.PhaseDeployed, core.ScriptStep{Run: floods, Files: block}, 0, "", "e\nlast\n"},
		"floods early":        {core.PhasePrepare, core.ScriptStep{Run: floods, Files: block}, 0, "", "e\nlast\n"},
		"floods by lines":     {core.PhaseDeployed, core.ScriptStep{Run: "i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done; echo last"}, 0, "", "line 29999\nlast\n"},
		"restarts":            {core.PhaseDeployed, core.ScriptStep{Run: begun + "reboot; sleep 600"}, 0, "the machine has been restarted since: it was begun, and nobody knows how it ended", ""},
		"restarts, and tells": {core.PhaseDeployed, core.ScriptStep{Check: "test -e /root/ran", Run: begun + "reboot; sleep 600"}, 0, "", ""},
		"is off the network":  {core.PhaseDeployed, core.ScriptStep{Run: "ip link set eth0 down; sleep 600"}, 5 * time.Second, "the machine was out of reach until its time was over", ""},
		"sets its network up": {core.PhaseDeployed, core.ScriptStep{Run: "ip link set eth0 down; sleep 0.1; ip link set eth0 up; echo is up"}, 0, "", "is up\n"},
		"turns itself off":    {core.PhaseDeployed, core.ScriptStep{Run: begun + "poweroff; sleep 600"}, 5 * time.Second, "the machine was out of reach until its time was over", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := up(t, lab.Config{Nodes: 1})
			p := newPool(t, l)
			step := core.Step{Name: "s", Phase: tt.phase, Timeout: core.Span(tt.timeout), Retries: 1, Script: &tt.script}
			_, err := p.Apply(t.Context(), core.Declaration{
				By: core.DeclaredIn("test"), Steps: []core.Step{step}, Profiles: []core.Profile{{Name: "base", Steps: []string{"s"}}}, Pools: []core.PoolDeclaration{{Name: core.DefaultPool, Profile: new("base")}},
			}, core.ApplyOptions{})
			try(t, err)
			key := newKey(t)
			m, err := p.Create(t.Context(), order("m-1", key), nil)
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("it says %v", err)
			}
			if err == nil && strings.HasPrefix(tt.script.Run, begun) {
				if ran, err := onMachine(t.Context(), m, key, "sudo cat /root/ran"); err != nil || ran != "x\n" {
					t.Errorf("it ran %q, %v", ran, err)
				}
			}
			events, err := p.Events(t.Context(), core.EventFilter{Allocation: "m-1"})
			try(t, err)
			for _, ev := range events {
				if ev.Type == core.StepOutput && (len(ev.Message) > 40<<10 || !strings.HasSuffix(ev.Message, tt.said)) {
					t.Errorf("of what it said %d bytes are kept, with the end %q", len(ev.Message), ev.Message[max(0, len(ev.Message)-80):])
				}
			}
			if t.Failed() {
				for _, ev := range events {
					t.Log(ev.Type, ev.Step, ev.Message)
				}
			}
			// The next one finds the node as any.
			_, err = p.Apply(t.Context(), core.Declaration{By: core.DeclaredIn("test"), Pools: []core.PoolDeclaration{{Name: core.DefaultPool, Profile: new("")}}}, core.ApplyOptions{})
			try(t, err, p.Release(t.Context(), "m-1", core.ReleaseOptions{WaitClean: true}, nil))
			if _, err := p.Create(t.Context(), order("m-2", key), nil); err != nil {
				t.Errorf("the next machine: %v", err)
			}
		})
	}
}
