//go:build linux

package main_test

import (
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/metalpool/metalpool/core"
)

// TestFunctions has the real terraform call each function.
func TestFunctions(t *testing.T) {
	t.Parallel()
	realTerraform(t)
	value := func(name string, v knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownOutputValue(name, v)
	}
	list := func(texts ...string) knownvalue.Check {
		var all []knownvalue.Check
		for _, s := range texts {
			all = append(all, text(s))
		}
		return knownvalue.ListExact(all)
	}
	condition := func(key, op string, values knownvalue.Check) knownvalue.Check {
		return knownvalue.ObjectExact(map[string]knownvalue.Check{"key": text(key), "op": text(op), "values": values})
	}
	run := func(steps ...resource.TestStep) {
		resource.UnitTest(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess(), Steps: steps,
			TerraformVersionChecks: []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_8_0)},
		})
	}
	run(resource.TestStep{
		Config: `
output "size"  { value = provider::metalpool::parse_size("1.5 GiB") }
output "none"  { value = provider::metalpool::parse_constraints("") }
output "some"  { value = provider::metalpool::parse_constraints("rack=r1,gpu exists,zone in (a,b)") }
output "print" { value = provider::metalpool::ssh_fingerprint("` + key + `\n") }
output "empty" { value = provider::metalpool::merge_cloud_init("", "") }
output "merged" {
  value = provider::metalpool::merge_cloud_init(
    "#cloud-config\npackages: [git]\napt: {proxy: a, preserve: yes}\nfirst: 0644\n",
    "",
    "#cloud-config\npackages:\n- curl\napt: {proxy: b}\nsecond: on\n",
  )
}
`,
		ConfigStateChecks: []statecheck.StateCheck{
			value("size", knownvalue.Int64Exact(3<<29)),
			value("none", knownvalue.ListExact([]knownvalue.Check{})),
			value("some", knownvalue.ListExact([]knownvalue.Check{
				condition("rack", "=", list("r1")), condition("gpu", "exists", knownvalue.Null()), condition("zone", "in", list("a", "b")),
			})),
			value("print", text("SHA256:9xQscJYEZ+gZx/XJBMijqlFoWWZI8GGncheULOBPtps")),
			value("empty", text("")),
			// What cloud-init reads as YAML 1.1 is as it was written.
			value("merged", text("#cloud-config\npackages: [git, curl]\napt: {proxy: b, preserve: yes}\nfirst: 0644\nsecond: on\n")),
		},
	})
	for call, says := range map[string]string{
		`parse_size("64")`:                                                          `"64" is not a size.*64GiB`,
		`parse_constraints("=r1")`:                                                  `write it like this: rack=r1`,
		`ssh_fingerprint("pssst")`:                                                  `not one public key`,
		`merge_cloud_init("#!/bin/sh\necho")`:                                       `config 1: its first line is not #cloud-config`,
		`merge_cloud_init("#cloud-config\n[a]")`:                                    `no map of cloud-init's modules`,
		`merge_cloud_init("#cloud-config\na: [")`:                                   `config 1: below the first line`,
		`merge_cloud_init("#cloud-config\na: &x 1\nb: *x")`:                         `line 2: anchors and aliases`,
		`merge_cloud_init("#cloud-config\na: {b: 1}", "#cloud-config\na: {b: []}")`: `config 2: a.b is of another kind`,
	} {
		run(refused("output \"o\" { value = provider::metalpool::"+call+" }", says))
	}
}

// TestConstraintsInRequirements has the text of a command line choose a server.
func TestConstraintsInRequirements(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	second := r.Lab.Nodes()[1].ID()
	try := func(where string) string {
		return machineBlock("web-1", "requirements {\n dynamic \"label\" {\n for_each = provider::metalpool::parse_constraints(\""+where+"\")\n content {\n key = label.value.key\n op = label.value.op\n values = label.value.values\n }\n }\n }")
	}
	yes := "yes"
	if _, err := r.Engine(t).SetNode(t.Context(), second, core.NodeChange{Labels: map[string]*string{"chosen": &yes}}); err != nil {
		t.Fatal(err)
	}
	r.unit(t,
		resource.TestStep{
			Config:            try("chosen exists,chosen in (yes,no)"),
			ConfigStateChecks: []statecheck.StateCheck{is("node", text(string(second)))},
		},
	)
	r.unit(t, resource.TestStep{Config: try("chosen=no"), ExpectError: regexp.MustCompile(`no server fits now`)})
	r.givenBack(t)
}
