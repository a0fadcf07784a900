package steps_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/steps"
)

// What a step needs of the host that does it is known before.
func TestWhatAHostLacks(t *testing.T) {
	without, with := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(with, "ansible-playbook"), []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil { //nolint:gosec // it is looked for
		t.Fatal(err)
	}
	playbook := filepath.Join(t.TempDir(), "site.yml")
	if err := os.WriteFile(playbook, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dns := core.Step{Name: "dns", Plugin: &core.PluginStep{Name: "is-met"}}
	play := func(path string) core.Step {
		return core.Step{Name: "site", Ansible: &core.AnsibleStep{Path: path}}
	}
	for name, tt := range map[string]struct {
		runner core.HostChecker
		step   core.Step
		path   string
		at     []string
		says   []string // none: it lacks nothing
	}{
		"a plugin":             {runner: steps.Plugin{Folders: []string{install(t, "is-met")}}, step: dns},
		"no plugin":            {runner: steps.Plugin{Folders: []string{"/nowhere", without}}, step: dns, at: []string{"plugin", "name"}, says: []string{"no metalpool-step-is-met in /nowhere, " + without, "METALPOOL_PLUGINS"}},
		"Ansible":              {runner: steps.Ansible{}, step: play(playbook), path: with},
		"Ansible and its text": {runner: steps.Ansible{}, step: core.Step{Name: "site", Ansible: &core.AnsibleStep{Playbook: "[]"}}, path: with},
		"no Ansible":           {runner: steps.Ansible{}, step: play(playbook), path: without, at: []string{"ansible"}, says: []string{"no ansible-playbook on its PATH, which is " + without, "apt-get install ansible-core"}},
		"no playbook":          {runner: steps.Ansible{}, step: play("/nowhere/site.yml"), path: with, at: []string{"ansible", "path"}, says: []string{"/nowhere/site.yml: no such file", "put the playbook there"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			at, missing := tt.runner.CheckHost(tt.step)
			if (missing == nil) != (tt.says == nil) || missing != nil && !slices.Equal(at, tt.at) {
				t.Fatalf("%v: %v", at, missing)
			}
			for _, text := range tt.says {
				if !strings.Contains(missing.Error(), text) {
					t.Errorf("%q does not say %q", missing, text)
				}
			}
		})
	}
}
