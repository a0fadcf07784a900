package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// program is what does a plugin's steps: as their plugins are called.
type program struct {
	tries map[string]int
}

func (p program) Run(ctx context.Context, r core.StepRun) error {
	p.tries[r.Step.Name]++
	if r.Step.Plugin.Name == "hangs" {
		<-ctx.Done()
		return ctx.Err()
	}
	if r.Begun { // nobody died
		return core.ErrUnknownOutcome
	}
	if kind := core.Kind(r.Step.Plugin.Name); kind != "good" {
		return &core.Error{Op: "run", Kind: kind, Err: errors.New("it failed"), Hint: "ask somebody"}
	}
	return nil
}

func (program) CheckStep(_ context.Context, s core.Step) error {
	if s.Plugin.Config["zone"] == nil {
		return &core.Error{Op: "ask", Kind: core.Invalid, Err: errors.New("zone is missing"), Hint: "say which zone"}
	}
	return nil
}

func pluginStep(name, plugin string) core.Step {
	return core.Step{Name: name, Retries: 2, Plugin: &core.PluginStep{Name: plugin, Config: core.FreeForm{"zone": "example"}}}
}

// engineWith has steps of three kinds be done by a runner of the test's own.
func (p *pool) engineWith(runner core.StepRunner) *core.Engine {
	e, _ := p.engineAndHostWith(runner)
	return e
}

func (p *pool) engineAndHostWith(runner core.StepRunner) (*core.Engine, *enginetest.Host) {
	host := p.rack.Host()
	return core.New(core.Config{
		Store: host.Store(p.store), Sealer: cloak{}, Deployer: host, Timing: timing, Backends: map[string]core.Connector{"redfish": host},
		Steps: map[core.StepKind]core.StepRunner{core.KindPlugin: runner, core.KindHTTP: runner, core.KindScript: runner},
	}), host
}

// What would fail again is not tried again.
func TestTriesOfAStep(t *testing.T) {
	for plugin, want := range map[string]int{"good": 1, "backend": 3, "transient": 3, "invalid": 1} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, 1)
			p.profile(pluginStep("dns", plugin))
			runner := program{tries: map[string]int{}}
			_, err := p.engineWith(runner).Create(t.Context(), order("a-1", "web-1"), nil)
			if runner.tries["dns"] != want || (err == nil) != (plugin == "good") {
				t.Errorf("%s: %d tries, %v", plugin, runner.tries["dns"], err)
			}
			if plugin == "invalid" && !strings.Contains(fmt.Sprint(err), "it failed; ask somebody") {
				t.Errorf("%s: %v", plugin, err)
			}
		})
	}
}

// Who does a step may find fault with it when it is declared; then nothing is.
func TestDeclaredStepsAreChecked(t *testing.T) {
	p := bareRack(t, 1)
	e := p.engineWith(program{})
	bad := pluginStep("bad", "good")
	bad.Plugin.Config = nil
	_, err := e.Apply(t.Context(), core.Declaration{By: core.DeclaredIn("test"), Steps: []core.Step{pluginStep("dns", "good"), bad}}, core.ApplyOptions{})
	if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "declare step bad") || !strings.Contains(err.Error(), "plugin: zone is missing; say which zone") {
		t.Errorf("got %v", err)
	}
	if all, err := e.Steps(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("there are %v, %v", all, err)
	}
}

// A config stays as it was written, to the last digit.
func TestConfigsAreKept(t *testing.T) {
	const text = `{"id":9007199254740993,"servers":[{"name":"{{.Node.ID}}.example"},"{{.Pool}}",1.50,null,true]}`
	var f core.FreeForm
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	if kept, err := json.Marshal(f); err != nil || string(kept) != text {
		t.Errorf("%s, %v", kept, err)
	}
	filled, err := f.Expand(core.StepRun{Facts: core.Facts{Pool: "default", Node: core.NodeFacts{ID: "n1"}}})
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := json.Marshal(filled); err != nil || string(kept) != `{"id":9007199254740993,"servers":[{"name":"n1.example"},"default",1.50,null,true]}` {
		t.Errorf("%s, %v", kept, err)
	}
	if again, err := json.Marshal(f); err != nil || string(again) != text {
		t.Errorf("it was changed: %s, %v", again, err)
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		config core.FreeForm
		says   string
	}{
		"a template that is none": {core.FreeForm{"servers": []any{"a", map[string]any{"name": "{{.Node.Serail}}"}}}, "config.servers[1].name: the template cannot be filled in"},
		"a secret":                {core.FreeForm{"token": `{{secret "TOKEN"}}`}, "secrets are handed on by themselves"},
		"a key that is no text":   {core.FreeForm{"ports": map[any]any{22: "ssh"}}, "a key that is no text"},
		"too much":                {core.FreeForm{"zone": strings.Repeat("x", 300<<10)}, "the most is 256 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			s := core.Step{Name: "dns", Plugin: &core.PluginStep{Name: "dns", Config: tt.config}}
			if err := s.Validate(); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, name := range []string{"", "../dns", "a b", "-x"} {
		if err := (core.Step{Name: "dns", Plugin: &core.PluginStep{Name: name}}).Validate(); err == nil || !strings.Contains(err.Error(), "cannot name a plugin") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What a step finds or runs on a server's host nobody declares from elsewhere.
func TestStepsThatAServerTakesFromItsOwnHost(t *testing.T) {
	secret := pluginStep("dns", "dns")
	secret.Secrets = map[string]core.Reference{"TOKEN": "env:TOKEN"}
	for want, s := range map[string]core.Step{
		"":                              pluginStep("dns", "dns"),
		"it has secrets, which are":     secret,
		"it says what is run on the se": {Name: "site", Ansible: &core.AnsibleStep{Path: "/etc/site.yml"}},
	} {
		if why := s.FromOurHost(); !strings.HasPrefix(why, want) || (why == "") != (want == "") {
			t.Errorf("%s: %q; want %q", s.Name, why, want)
		}
	}
}

func TestPlaybooksThatAreRefused(t *testing.T) {
	for says, s := range map[string]core.AnsibleStep{
		"say either playbook":                       {},
		"say either playbook, which":                {Playbook: "- hosts: all", Path: "/etc/site.yml"},
		"does not begin with /":                     {Path: "site.yml"},
		`as: "nobody" is nobody`:                    {Path: "/etc/site.yml", As: "nobody"},
		`"ansible_host" cannot name`:                {Path: "/etc/site.yml", Vars: core.FreeForm{"ansible_host": "elsewhere"}},
		`"metalpool" cannot name`:                   {Path: "/etc/site.yml", Vars: core.FreeForm{"metalpool": "x"}},
		"TOKEN is among the secrets":                {Path: "/etc/site.yml", Vars: core.FreeForm{"TOKEN": "x"}},
		"vars.rack: the template cannot":            {Path: "/etc/site.yml", Vars: core.FreeForm{"rack": "{{.Rack}}"}},
		"the most is 256 KiB (262144); name a file": {Playbook: strings.Repeat("x", 300<<10)},
	} {
		step := core.Step{Name: "site", Secrets: map[string]core.Reference{"TOKEN": "env:TOKEN"}, Ansible: &s}
		if err := step.Validate(); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %s", err, says)
		}
	}
}
