//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/metalpool/metalpool/core"
)

const web = "metalpool_machine.web"

// machine writes a machine's block; lines come in addition to name and keys.
func machineBlock(name string, lines ...string) string {
	return fmt.Sprintf("resource \"metalpool_machine\" \"web\" {\n  name     = %q\n  ssh_keys = [%q]\n  %s\n}\n", name, key, strings.Join(lines, "\n  "))
}

// expect is a plan that does one thing to the machine.
func expect(action plancheck.ResourceActionType, more ...plancheck.PlanCheck) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: append([]plancheck.PlanCheck{plancheck.ExpectResourceAction(web, action)}, more...)}
}

// onlyPlanned is the same for a plan that is not applied.
func onlyPlanned(action plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PostApplyPreRefresh: []plancheck.PlanCheck{plancheck.ExpectResourceAction(web, action)}}
}

// unit runs steps with a provider in this process. What they import by an ID is imported
// by its identity, too, where terraform can do that.
func (r *rig) unit(t *testing.T, steps ...resource.TestStep) {
	t.Helper()
	realTerraform(t)
	var all []resource.TestStep
	for _, s := range steps {
		if s.Config != "" {
			s.Config = r.block() + s.Config
		}
		all = append(all, s)
		if s.ImportStateKind == resource.ImportBlockWithID && knowsIdentities(t) {
			s.ImportStateKind, s.ImportStateId = resource.ImportBlockWithResourceIdentity, ""
			all = append(all, s)
		}
	}
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: inProcess(), Steps: all})
}

// is checks an attribute of the machine in the state.
func is(name string, value knownvalue.Check) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(web, tfjsonpath.New(name), value)
}

func text(s string) knownvalue.Check { return knownvalue.StringExact(s) }

// TestPlan holds what the plan says against what happens to the server.
func TestPlan(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	same := func(name string) *statecheckSame {
		return &statecheckSame{name, statecheck.CompareValue(compare.ValuesSame())}
	}
	id, node := same("id"), same("node")
	keys := statecheck.CompareValue(compare.ValuesSame())
	redeployed := statecheck.CompareValue(compare.ValuesDiffer())
	hostKeys := tfjsonpath.New("ssh_host_keys")
	needsMemory := func(memory string) string { return "requirements {\n memory = \"" + memory + "\"\n }" }
	r.unit(t,
		resource.TestStep{
			Config:           machineBlock("web-1", needsMemory("1GiB")),
			ConfigPlanChecks: expect(plancheck.ResourceActionCreate, plancheck.ExpectUnknownValue(web, tfjsonpath.New("address")), plancheck.ExpectKnownValue(web, tfjsonpath.New("hostname"), text("web-1"))),
			ConfigStateChecks: []statecheck.StateCheck{
				id.check(), node.check(), keys.AddStateValue(web, hostKeys),
				is("state", text("Deployed")), is("power_state", text("on")), is("image", text("lab")), is("hostname", text("web-1")),
				is("ssh_user", text("debian")), is("arch", text("amd64")), is("owner", text(owner)), is("pool", text("default")),
				is("user_data", knownvalue.Null()), is("ssh_known_hosts", knownvalue.StringRegexp(regexp.MustCompile(`^\S+ ssh-ed25519 \S+\n\S+ ecdsa-sha2-nistp256 \S+\n$`))),
			},
		},
		// The name and the notes are the pool's alone, and so are needs that the server
		// satisfies. The same size, written otherwise, is nothing at all.
		resource.TestStep{
			Config:           machineBlock("web-1", needsMemory("1024 MiB")),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
		resource.TestStep{
			Config:           machineBlock("front-1", needsMemory("2GiB"), `labels = { tier = "web", team = "shop" }`),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate, plancheck.ExpectKnownValue(web, tfjsonpath.New("state"), text("Deployed"))),
			ConfigStateChecks: []statecheck.StateCheck{
				id.check(), node.check(), keys.AddStateValue(web, hostKeys), redeployed.AddStateValue(web, hostKeys),
				is("hostname", text("web-1")), is("name", text("front-1")),
			},
		},
		resource.TestStep{ResourceName: web, ImportState: true, ImportStateVerify: true},
		resource.TestStep{
			ResourceName: web, ImportState: true, ImportStateKind: resource.ImportBlockWithID, ImportStateId: owner + "/front-1",
			ImportPlanChecks: resource.ImportPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
		// What the server does not have takes another one.
		resource.TestStep{
			Config: machineBlock("front-1", needsMemory("900GiB")), PlanOnly: true, ExpectNonEmptyPlan: true,
			ConfigPlanChecks: onlyPlanned(plancheck.ResourceActionDestroyBeforeCreate),
		},
		resource.TestStep{
			Config: machineBlock("front-1", `image = "lab-2"`), PlanOnly: true, ExpectNonEmptyPlan: true,
			ConfigPlanChecks: onlyPlanned(plancheck.ResourceActionDestroyBeforeCreate),
		},
		resource.TestStep{
			Config:      machineBlock("front-1", `image = "nosuch"`, `allow_redeploy = ["image"]`),
			ExpectError: regexp.MustCompile(`(?s)Could not find image nosuch.*there are:\s+lab,\s+lab-2`),
		},
		resource.TestStep{
			PreConfig: func() {
				arm := core.Image{Name: "arm", Source: r.image("lab"), Arch: "arm64", User: "debian"}
				if _, err := r.Engine(t).AddImage(t.Context(), arm, nil); err != nil {
					t.Fatal(err)
				}
			},
			Config:      machineBlock("front-1", `image = "arm"`, `allow_redeploy = ["image"]`),
			ExpectError: regexp.MustCompile(`(?s)Could not deploy image arm.*for arm64, and the node has\s+amd64.*use an image for amd64`),
		},
		// Where it is allowed, the same server is deployed anew.
		resource.TestStep{
			Config:           machineBlock("front-1", `image = "lab-2"`, `allow_redeploy = ["image"]`, `deletion_protection = true`),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate, plancheck.ExpectUnknownValue(web, hostKeys)),
			ConfigStateChecks: []statecheck.StateCheck{
				id.check(), node.check(), redeployed.AddStateValue(web, hostKeys), is("image", text("lab-2")), is("labels", knownvalue.Null()),
			},
		},
		resource.TestStep{
			Config:      machineBlock("front-1", `image = "lab"`, `deletion_protection = true`),
			ExpectError: regexp.MustCompile(`Machine front-1 is protected`),
		},
		resource.TestStep{
			Config:      "# no machine any more\n",
			ExpectError: regexp.MustCompile(`Machine front-1 is protected`),
		},
		resource.TestStep{
			Config:            machineBlock("front-1", `image = "lab-2"`, `power_state = "off"`),
			ConfigPlanChecks:  expect(plancheck.ResourceActionUpdate),
			ConfigStateChecks: []statecheck.StateCheck{id.check(), node.check(), is("power_state", text("off"))},
		},
		// Powered on by somebody: the plan says so, and the apply turns it off.
		resource.TestStep{
			PreConfig: func() {
				m, _ := r.machine(t, "front-1")
				if err := errors.Join(r.Engine(t).SetPower(t.Context(), m.ID, core.TurnOn), core.AwaitSSH(t.Context(), m.Access)); err != nil {
					t.Error(err)
				}
			},
			Config:            machineBlock("front-1", `image = "lab-2"`, `power_state = "off"`),
			ConfigPlanChecks:  expect(plancheck.ResourceActionUpdate),
			ConfigStateChecks: []statecheck.StateCheck{id.check(), is("power_state", text("off"))},
		},
		// Released by somebody: the plan takes a server anew.
		resource.TestStep{
			PreConfig: func() {
				m, _ := r.machine(t, "front-1")
				if err := r.Engine(t).Release(t.Context(), m.ID, core.ReleaseOptions{Reason: "by the operator"}, nil); err != nil {
					t.Error(err)
				}
			},
			Config:           machineBlock("front-1"),
			ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
		},
	)
	r.givenBack(t)
}

// statecheckSame is one attribute that stays the same.
type statecheckSame struct {
	name string
	to   statecheckComparer
}

type statecheckComparer interface {
	AddStateValue(resource string, at tfjsonpath.Path) statecheck.StateCheck
}

func (s *statecheckSame) check() statecheck.StateCheck {
	return s.to.AddStateValue(web, tfjsonpath.New(s.name))
}

// refused is a plan that says why there is none.
func refused(config, says string) resource.TestStep {
	return resource.TestStep{Config: config, PlanOnly: true, ExpectError: regexp.MustCompile("(?si)" + strings.ReplaceAll(says, " ", `\s+`))}
}

// TestRefusals are told by the plan, before anything is taken.
func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.unit(t,
		refused(machineBlock("web-1", `image = "nosuch"`), `Could not find image nosuch.*there are: lab, lab-2.*`),
		refused(machineBlock("web-1", `pool = "nosuch"`), `Could not find pool nosuch.*no such pool`),
		refused(machineBlock("no spaces"), `not a machine name.*use letters, digits and dashes`),
		refused(machineBlock("web-1", `hostname = "web_1!"`), `web_1!`),
		refused(machineBlock("web-1", `node = "nosuch"`), `node = "nosuch".*no such node`),
		refused(machineBlock("web-1", "requirements {\n memory = \"64\"\n }"), `"64" is not a size.*64GiB`),
		refused(machineBlock("web-1", "requirements {\n nic {\n speed = \"fast\"\n }\n }"), `25G`),
		refused(machineBlock("web-1", `wait = "soon"`), `30m`),
		refused(machineBlock("web-1", `arch = "vax"`), `amd64`),
		refused(machineBlock("web-1", `user_data = "#!/bin/sh"`, `user_data_wo = "#!/bin/sh"`, `user_data_wo_version = 1`), `cannot be specified when`),
		refused(machineBlock("web-1", `allow_redeploy = ["name"]`), `value must be one of`),
		refused("data \"metalpool_machine\" \"m\" {\n name = \"nobody\"\n }", `has no machine of this name`),
	)
}

// TestProviderRefusals are what a provider's block is told.
func TestProviderRefusals(t *testing.T) {
	realTerraform(t)
	t.Setenv("METALPOOL_URL", filepath.Join(t.TempDir(), "nosuch.db"))
	t.Setenv("METALPOOL_OWNER", "")
	for block, says := range map[string]string{
		`provider "metalpool" {}`:              `owner = "team-a/prod"`,
		`provider "metalpool" { owner = "a" }`: `Open pool.*enroll a node to make the pool`,
		"provider \"metalpool\" {\n owner = \"a\"\n url = \"https://a:s3cret@b/\"\n }": `is not the address of a metalpool serve.*METALPOOL_TOKEN`,
	} {
		resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: inProcess(), Steps: []resource.TestStep{refused(block+"\ndata \"metalpool_pools\" \"p\" {}", says)}})
	}
}

// TestData reads what a pool has.
func TestData(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	output := func(name string, value knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownOutputValue(name, value)
	}
	first := string(r.Lab.Nodes()[0].ID())
	r.unit(t, resource.TestStep{
		Config: machineBlock("web-1", `node = "`+first+`"`) + `
data "metalpool_nodes" "free" {
  states     = ["Available"]
  depends_on = [metalpool_machine.web]
}
data "metalpool_machine" "m" {
  name       = "web-1"
  depends_on = [metalpool_machine.web]
}
data "metalpool_pools" "all" {}
data "metalpool_images" "all" {}
data "metalpool_match" "big" {
  depends_on = [metalpool_machine.web]
  requirements {
    memory = "900GiB"
  }
}
data "metalpool_match" "any" {
  depends_on = [metalpool_machine.web]
}
output "free"   { value = data.metalpool_nodes.free.nodes[*].id }
output "same"   { value = data.metalpool_machine.m.id == metalpool_machine.web.id && data.metalpool_machine.m.address == metalpool_machine.web.address }
output "pools"  { value = data.metalpool_pools.all.pools[*].default_image }
output "images" { value = data.metalpool_images.all.images[*].name }
output "big"    { value = data.metalpool_match.big.fits }
output "why"    { value = data.metalpool_match.big.candidates[0].why }
output "any"    { value = data.metalpool_match.any.fits }
`,
		ConfigStateChecks: []statecheck.StateCheck{
			output("free", knownvalue.ListExact([]knownvalue.Check{text(string(r.Lab.Nodes()[1].ID()))})),
			output("same", knownvalue.Bool(true)),
			output("pools", knownvalue.ListExact([]knownvalue.Check{text("lab")})),
			output("images", knownvalue.ListExact([]knownvalue.Check{text("lab"), text("lab-2")})),
			output("big", knownvalue.ListExact([]knownvalue.Check{})),
			output("why", knownvalue.StringRegexp(regexp.MustCompile("of the 900 GiB memory asked for"))),
			output("any", knownvalue.ListExact([]knownvalue.Check{text(string(r.Lab.Nodes()[1].ID()))})),
		},
	}, refused("data \"metalpool_nodes\" \"none\" {\n  pool = \"gpu\"\n}\n", `Could not find pool gpu.*there are: default`))
}
