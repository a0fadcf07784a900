//go:build linux

package main_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
)

// declare has the rig's pool as a file of an operator's says.
func (r *rig) declare(t testing.TB, d core.Declaration) {
	t.Helper()
	d.By = core.DeclaredIn("test.yaml")
	if _, err := r.Engine(t).Apply(t.Context(), d, core.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
}

// choice has the pool offer profiles, the first as its own: each leaves its name on the
// machine.
func (r *rig) choice(t testing.TB, names ...string) {
	t.Helper()
	pool := core.PoolDeclaration{Name: core.DefaultPool, Profile: &names[0], Profiles: names[1:]}
	d := core.Declaration{Pools: []core.PoolDeclaration{pool}}
	for _, name := range names {
		d.Steps = append(d.Steps, core.Step{Name: name, Script: &core.ScriptStep{Run: "echo " + name + " > /etc/profile-of-the-site"}})
		d.Profiles = append(d.Profiles, core.Profile{Name: name, Steps: []string{name}})
	}
	r.declare(t, d)
}

// TestProfile has a machine's profile named, changed, left out and imported.
func TestProfile(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	private, public := newKey(t)
	r.choice(t, "plain", "gpu")
	runs := func(profile string) resource.TestCheckFunc {
		return func(*terraform.State) error {
			if got := strings.TrimSpace(r.onMachine(t, private, "cat /etc/profile-of-the-site")); got != profile {
				return fmt.Errorf("the machine has profile %q, and not %q", got, profile)
			}
			return nil
		}
	}
	with := func(profile string, lines ...string) string {
		if profile != "" {
			lines = append(lines, fmt.Sprintf("profile = %q", profile))
		}
		return keyBlock(public, lines...)
	}
	const listed = `allow_redeploy = ["profile"]`
	steps := []resource.TestStep{
		{Config: with("gpus"), ExpectError: regexp.MustCompile(`(?s)Could not choose profile gpus web-1.*does not offer it.*there are:\s+plain, gpu`)},
		{Config: with("gpu"), ConfigPlanChecks: expect(plancheck.ResourceActionCreate), Check: runs("gpu"), ConfigStateChecks: []statecheck.StateCheck{is("profile", text("gpu"))}},
	}
	steps = append(steps, importsWhole(web, "web-1")...)
	steps = append(steps,
		resource.TestStep{Config: with("", listed), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: runs("plain"), ConfigStateChecks: []statecheck.StateCheck{is("profile", knownvalue.Null())}},
		resource.TestStep{Config: with("gpu"), ConfigPlanChecks: expect(plancheck.ResourceActionDestroyBeforeCreate), Check: runs("gpu")},
		resource.TestStep{
			PreConfig:        func() { r.choice(t, "plain") },
			Config:           with("gpu"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}, Check: runs("gpu"),
		},
		resource.TestStep{Config: with("gpu", `hostname = "other"`, `allow_redeploy = ["hostname", "profile"]`), ExpectError: regexp.MustCompile(`(?s)does not offer it.*there are:\s+plain`)},
		resource.TestStep{Config: with("plain", `hostname = "other"`, `allow_redeploy = ["hostname", "profile"]`), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: runs("plain")},
	)
	r.unit(t, steps...)
	r.givenBack(t)
}

// TestRackOfTheExample has what examples/rack.yaml declares be on a machine whose
// configuration knows nothing of it.
func TestRackOfTheExample(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	private, public := newKey(t)
	f, err := os.Open("../examples/rack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rack, err := rackfile.Read(f.Name(), f)
	if err != nil {
		t.Fatal(err)
	}
	r.declare(t, rack.Declaration)
	asDeclared := func(*terraform.State) error {
		if got := r.onMachine(t, private, "cat /etc/monitoring/agent.conf"); !strings.HasPrefix(got, "server = monitoring.example:9100") {
			return fmt.Errorf("the agent has %q", got)
		}
		n := r.Lab.Nodes()[0]
		drift, err := r.Engine(t).Drift(t.Context(), n.ID())
		if err != nil || drift.Profile != "base" || len(drift.Differs)+len(drift.Unknown) > 0 || len(n.BMC().State().Setup.BIOS) == 0 {
			return fmt.Errorf("the server is set to %v: %+v, %w", n.BMC().State().Setup.BIOS, drift, err)
		}
		return nil
	}
	r.unit(t, resource.TestStep{Config: keyBlock(public), Check: asDeclared})
	r.givenBack(t)
}

// TestWithdrawnProfile has machines that failed be destroyed by a configuration which still
// names the profile that the pool has withdrawn since.
func TestWithdrawnProfile(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	node := r.Lab.Nodes()[0].ID()
	r.choice(t, "plain", "gpu")
	w := r.newWork(t, machineBlock("web-1", `profile = "gpu"`))
	withdrawn := func(status string) {
		t.Helper()
		says(t, w.refuse(t), "medium error")
		if got, _ := w.saved(t); got != status {
			t.Errorf("the state has %q, and not %q", got, status)
		}
		r.choice(t, "plain")
		says(t, w.run(t, "plan", "-no-color"), "Warning: Could not choose profile gpu web-1", "The apply would be refused")
		r.mend(t, node) // before it is cleaned
		w.destroy(t)
		if m, there := r.machine(t, "web-1"); there {
			t.Errorf("after destroy there is %+v", m)
		}
		r.Settle(t)
		r.choice(t, "plain", "gpu")
	}
	r.wear(t, node)
	withdrawn("tainted")

	w.apply(t)
	w.write(t, machineBlock("web-1", `profile = "gpu"`, `hostname = "other"`, `allow_redeploy = ["hostname"]`))
	r.wear(t, node)
	withdrawn("")
	r.givenBack(t)
}
