package core

import (
	"strings"
	"testing"
)

// What of the server's host who has some pools only may have done on their machines.
func TestWhoMayGiveAPoolAProfile(t *testing.T) {
	limited, all := Token{Name: "ci-ops", Pools: []string{"ci"}}, Token{Name: "ops"}
	secret := map[string]Reference{"TOKEN": "env:TOKEN"}
	script := Step{Name: "agent", Script: &ScriptStep{Run: "true"}}
	told := func(s Step) Step { s.Secrets = secret; return s }
	for what, tt := range map[string]struct {
		token Token
		there Pool
		step  Step
		says  string // "" is allowed
	}{
		"a script":                     {token: limited, step: script},
		"settings":                     {token: limited, step: Step{Name: "sb", SecureBoot: &SecureBootStep{}}},
		"a fragment":                   {token: limited, step: Step{Name: "site", CloudInit: &CloudInitStep{}}},
		"a script with a secret":       {token: limited, step: told(script), says: "of step agent of this profile it has secrets"},
		"a fragment with a secret":     {token: limited, step: told(Step{Name: "site", CloudInit: &CloudInitStep{}}), says: "it has secrets"},
		"a plugin":                     {token: limited, step: Step{Name: "dns", Plugin: &PluginStep{Name: "dns"}}, says: "it runs a program on the server's host"},
		"a playbook":                   {token: limited, step: Step{Name: "site", Ansible: &AnsibleStep{Path: "/p.yml"}}, says: "it says what is run on the server's host"},
		"a request":                    {token: limited, step: Step{Name: "cmdb", HTTP: &HTTPStep{}}, says: "it makes requests from the server's host"},
		"the pool's own":               {token: limited, there: Pool{Profile: "base"}, step: told(script)},
		"one that the pool allows":     {token: limited, there: Pool{Profiles: []string{"bare", "base"}}, step: told(script)},
		"one that the pool has beside": {token: limited, there: Pool{Profile: "bare"}, step: told(script), says: "it has secrets"},
		"by who is for all pools":      {token: all, step: told(script)},
		"by nobody's token":            {step: told(script)},
	} {
		t.Run(what, func(t *testing.T) {
			tt.there.Name = "ci"
			err := tt.token.mayGive(tt.there, "base", []Step{{Name: "first", Script: &ScriptStep{Run: "true"}}, tt.step})
			switch {
			case tt.says == "" && err != nil:
				t.Error(err)
			case tt.says != "" && (!Is(err, Denied) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "an operator of all pools")):
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}

func TestWhichStepsAreDeclaredFromElsewhere(t *testing.T) {
	script := Step{Name: "agent", Script: &ScriptStep{Run: "true"}}
	secret := script
	secret.Secrets = map[string]Reference{"TOKEN": "env:TOKEN"}
	other := secret
	other.Script = &ScriptStep{Run: "echo $TOKEN"}
	theirs := secret
	theirs.DeclaredBy = "file:rack.yaml"
	for what, tt := range map[string]struct {
		said, there Step
		found       bool
		denied      bool
	}{
		"one without secrets":     {said: script},
		"a new one with a secret": {said: secret, denied: true},
		"the same as is there":    {said: secret, there: theirs, found: true},
		"another script":          {said: other, there: secret, found: true, denied: true},
		"a secret for a script":   {said: secret, there: script, found: true, denied: true},
		"no secret any more":      {said: script, there: secret, found: true},
	} {
		if err := mayDeclareStep(tt.said, tt.there, tt.found); Is(err, Denied) != tt.denied || !tt.denied && err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
