//go:build linux

package main_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
)

// manage sets whether the pool can log in to what is deployed from now on.
func (r *rig) manage(t testing.TB, policy core.ManagementPolicy) {
	t.Helper()
	if err := r.Engine(t).SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "lab", ManagementKey: policy}); err != nil {
		t.Fatal(err)
	}
}

// letsIn tries to log in, and trusts the host keys of the pool alone.
func letsIn(t testing.TB, m core.Machine, private []byte) bool {
	t.Helper()
	who, err := ssh.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	trusted, _, _, _, err := ssh.ParseAuthorizedKey([]byte(m.Access.HostKeys[0]))
	if err != nil {
		t.Fatal(err)
	}
	client, err := ssh.Dial("tcp", fmt.Sprintf("%s:%d", m.Access.Address, m.Access.SSHPort), &ssh.ClientConfig{
		User: m.Access.SSHUser, Auth: []ssh.AuthMethod{ssh.PublicKeys(who)},
		HostKeyCallback: ssh.FixedHostKey(trusted), HostKeyAlgorithms: []string{trusted.Type()},
	})
	if err != nil {
		return false
	}
	return client.Close() == nil
}

// keyBlock is a machine with somebody's key.
func keyBlock(key string, lines ...string) string {
	return regexp.MustCompile(`(?m)ssh_keys = .*$`).ReplaceAllLiteralString(machineBlock("web-1", lines...), fmt.Sprintf("ssh_keys = [%q]", key))
}

// TestKeysInPlace changes who may log in without a deploy, where there is a way in.
func TestKeysInPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	ann, annKey := newKey(t)
	bob, bobKey := newKey(t)
	annKey += "\n" // as file() reads it
	same := statecheck.CompareValue(compare.ValuesSame())
	hostKeys := tfjsonpath.New("ssh_host_keys")
	who := func(in, out []byte) func() {
		return func() {
			m, _ := r.machine(t, "web-1")
			if !letsIn(t, m, in) || letsIn(t, m, out) {
				t.Errorf("the machine lets in what it was last told: %v; what it was told before: %v", letsIn(t, m, in), letsIn(t, m, out))
			}
		}
	}
	r.unit(t,
		resource.TestStep{
			Config:            keyBlock(annKey, `wait_for = "cloud_init"`),
			ConfigStateChecks: []statecheck.StateCheck{is("managed", knownvalue.Bool(false)), is("wait_for", text("cloud_init"))},
		},
		resource.TestStep{
			PreConfig: func() { who(ann, bob)(); r.manage(t, core.ManageAlways) },
			Config:    keyBlock(bobKey), PlanOnly: true, ExpectNonEmptyPlan: true,
			ConfigPlanChecks: onlyPlanned(plancheck.ResourceActionDestroyBeforeCreate),
		},
		// The pool keeps a key from the next deploy on.
		resource.TestStep{
			Config:            keyBlock(annKey, `hostname = "front"`, `allow_redeploy = ["hostname"]`),
			ConfigPlanChecks:  expect(plancheck.ResourceActionUpdate, plancheck.ExpectUnknownValue(web, tfjsonpath.New("managed"))),
			ConfigStateChecks: []statecheck.StateCheck{is("managed", knownvalue.Bool(true)), same.AddStateValue(web, hostKeys)},
		},
		resource.TestStep{
			Config:           keyBlock(strings.TrimSpace(annKey), `hostname = "front"`, `allow_redeploy = ["hostname"]`),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
		resource.TestStep{
			PreConfig:         who(ann, bob),
			Config:            keyBlock(bobKey),
			ConfigPlanChecks:  expect(plancheck.ResourceActionUpdate),
			ConfigStateChecks: []statecheck.StateCheck{same.AddStateValue(web, hostKeys)},
		},
		resource.TestStep{
			PreConfig:         who(bob, ann),
			Config:            keyBlock(bobKey, `power_state = "off"`),
			ConfigStateChecks: []statecheck.StateCheck{is("power_state", text("off"))},
		},
		refused(keyBlock(annKey, `power_state = "off"`), `Machine web-1 is off.*power_state = "on"`),
		resource.TestStep{
			Config:            keyBlock(annKey, `power_state = "on"`),
			ConfigPlanChecks:  expect(plancheck.ResourceActionUpdate),
			ConfigStateChecks: []statecheck.StateCheck{same.AddStateValue(web, hostKeys), is("power_state", text("on"))},
		},
		resource.TestStep{
			PreConfig:       who(ann, bob),
			ResourceName:    web,
			ImportState:     true,
			ImportStateKind: resource.ImportBlockWithID,
			ImportPlanChecks: resource.ImportPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectEmptyPlan(),
			}},
		},
		// A pool that never logs in cannot see what cloud-init does: the plan says so.
		resource.TestStep{
			PreConfig: func() { r.manage(t, core.ManageNever) },
			Config:    keyBlock(annKey, `wait_for = "cloud_init"`), PlanOnly: true,
			ExpectError: regexp.MustCompile(`(?s)with metalpool_machine.web.*wait_for.*wait\s+for\s+ssh`),
		},
		refused(keyBlock(annKey, `wait_for = "cloud_init"`, `hostname = "other"`, `allow_redeploy = ["hostname"]`), `keeps no management key`),
	)
	r.unit(t,
		refused(machineBlock("web-2", `wait_for = "cloud_init"`), `keeps no management key`),
		refused(machineBlock("web-2", `wait_for = "boot"`), `value must be one of`),
	)
	r.givenBack(t)
}

// TestPowerIsOnlyTold changes a machine that somebody has turned off since the last look.
func TestPowerIsOnlyTold(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	w := r.newWork(t, machineBlock("web-1"))
	w.apply(t)
	m := r.named(t, "web-1")
	if err := r.Engine(t).SetPower(t.Context(), m.ID, core.TurnOff); err != nil {
		t.Fatal(err)
	}
	w.write(t, machineBlock("web-1", `labels = { tier = "web" }`))
	w.run(t, "apply", "-auto-approve", "-refresh=false", "-no-color")
	if is, err := r.Engine(t).Power(t.Context(), m.ID); err != nil || is != core.PowerOff {
		t.Errorf("its power is %s: %v", is, err)
	}
	w.unchanged(t)
	w.destroy(t)
}

// TestStartedIsEnough deploys what never shows its key over SSH, as an image without SSH
// does, and turns its power.
func TestStartedIsEnough(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	for _, n := range r.Lab.Nodes() {
		if err := n.AddFault(lab.NewFault{Machine: &lab.Fault{Kind: lab.HostKey, Count: lab.Forever}}); err != nil {
			t.Fatal(err)
		}
	}
	r.unit(t,
		resource.TestStep{
			Config:            machineBlock("web-1", `wait_for = "deployed"`),
			ConfigStateChecks: []statecheck.StateCheck{is("state", text("Deployed")), is("power_state", text("on"))},
		},
		resource.TestStep{
			Config:            machineBlock("web-1", `wait_for = "deployed"`, `power_state = "off"`),
			ConfigStateChecks: []statecheck.StateCheck{is("power_state", text("off"))},
		},
		resource.TestStep{
			Config:            machineBlock("web-1", `wait_for = "deployed"`, `power_state = "on"`),
			ConfigStateChecks: []statecheck.StateCheck{is("power_state", text("on"))},
		},
	)
	r.givenBack(t)
}
