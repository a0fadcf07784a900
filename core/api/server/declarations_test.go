package server_test

import (
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// The audit log says which file was applied, and what is in it.
func TestWhoAppliesWhatIsInTheAuditLog(t *testing.T) {
	r := newRig(t, 0)
	s := r.serve("")
	c := s.client(r.operator())
	base := "base"
	d := core.Declaration{
		By:       core.DeclaredIn("rack.yaml"),
		Steps:    []core.Step{{Name: "agent", Script: &core.ScriptStep{Run: "true"}}, {Name: "disks", Script: &core.ScriptStep{Run: "true"}}},
		Profiles: []core.Profile{{Name: "base", Steps: []string{"agent", "disks"}}},
		Pools:    []core.PoolDeclaration{{Name: core.DefaultPool, Profile: &base}},
	}
	for _, o := range []core.ApplyOptions{{DryRun: true}, {}} {
		if _, err := c.Apply(t.Context(), d, o); err != nil {
			t.Fatal(err)
		}
	}
	log := told(t, c)
	const what = "steps agent, disks; profiles base; pools default"
	for _, want := range []string{"|apply|file:rack.yaml (dry run): " + what + "|", "|apply|file:rack.yaml: " + what + "|"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
}
