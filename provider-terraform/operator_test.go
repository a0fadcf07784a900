//go:build linux

package main_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/metalpool/metalpool/core"
)

// block writes a resource's block.
func block(address string, lines ...string) string {
	kind, name, _ := strings.Cut(address, ".")
	return fmt.Sprintf("resource %q %q {\n  %s\n}\n", kind, name, strings.Join(lines, "\n  "))
}

// does is a plan that does one thing to one resource.
func does(address string, action plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, action)}}
}

// has checks attributes of one resource that are texts.
func has(address string, attributes map[string]string) []statecheck.StateCheck {
	var checks []statecheck.StateCheck
	for name, value := range attributes {
		checks = append(checks, statecheck.ExpectKnownValue(address, tfjsonpath.New(name), text(value)))
	}
	return checks
}

// fails is a step whose apply says so.
func fails(config, pattern string) resource.TestStep {
	return resource.TestStep{Config: config, ExpectError: regexp.MustCompile(`(?s)` + strings.ReplaceAll(pattern, " ", `\s+`))}
}

// importsWhole imports what is there: with nothing lost, and nothing to do after it.
func importsWhole(address, name string, unknown ...string) []resource.TestStep {
	return []resource.TestStep{
		{ResourceName: address, ImportState: true, ImportStateId: name, ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "name", ImportStateVerifyIgnore: unknown},
		{
			ResourceName: address, ImportState: true, ImportStateKind: resource.ImportBlockWithID, ImportStateId: name,
			ImportPlanChecks: resource.ImportPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
	}
}

const ci = "metalpool_pool.ci"

func TestPools(t *testing.T) {
	t.Parallel()
	r := bareRig(t, 0)
	e := r.engine(t)
	strict := block(ci, `name = "ci"`, `erase_minimum = "purge"`, `quota = 2`, `phase_timeouts = { check_in = "40m", erase = "48h" }`)
	steps := []resource.TestStep{
		{
			Config: block(ci, `name = "ci"`), ConfigPlanChecks: does(ci, plancheck.ResourceActionCreate),
			ConfigStateChecks: has(ci, map[string]string{"name": "ci", "erase_minimum": "clear", "management_key": "deploy"}),
		},
		{
			Config: strict, ConfigPlanChecks: does(ci, plancheck.ResourceActionUpdate),
			ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectKnownValue(ci, tfjsonpath.New("phase_timeouts"), knownvalue.ObjectPartial(map[string]knownvalue.Check{"check_in": text("40m"), "ssh": knownvalue.Null()}))},
		},
	}
	steps = append(steps, importsWhole(ci, "ci")...)
	steps = append(steps,
		resource.TestStep{Config: strings.Replace(strict, "40m", "2400s", 1), ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}},
		// What others changed is changed back; what they removed is made anew.
		resource.TestStep{
			PreConfig: func() {
				if err := e.SetPool(t.Context(), core.Pool{Name: "ci", Quota: 9}); err != nil {
					t.Error(err)
				}
			},
			Config: strict, ConfigPlanChecks: does(ci, plancheck.ResourceActionUpdate), ConfigStateChecks: has(ci, map[string]string{"erase_minimum": "purge"}),
		},
		resource.TestStep{
			PreConfig: func() {
				if err := e.RemovePool(t.Context(), "ci"); err != nil {
					t.Error(err)
				}
			},
			Config: strict, ConfigPlanChecks: does(ci, plancheck.ResourceActionCreate),
		},
		refused(block(ci, `name = "ci"`, `phase_timeouts = { kexec = "1h" }`), `kexec timeout of 1h0m0s is not within that of ssh`),
		refused(block(ci, `name = "not a name"`), `cannot name a pool`),
		refused(block(ci, `name = "ci"`, `phase_timeouts = { ssh = "long" }`), `30m`),
		fails(block(ci, `name = "ci"`, `default_image = "nosuch"`), `Find image nosuch: not found.*default_image.*catalogue is empty`),
		// One that others made is not taken over, unless it is the same.
		resource.TestStep{
			PreConfig: func() {
				for _, name := range []string{"web", "same"} {
					if err := e.SetPool(t.Context(), core.Pool{Name: name, Quota: 3}); err != nil {
						t.Error(err)
					}
				}
			},
			Config: strict + block("metalpool_pool.same", `name = "same"`, `quota = 3`) + block("metalpool_pool.default", `name = "default"`),
		},
		fails(strict+block("metalpool_pool.web", `name = "web"`), `Add pool web: exists.*another policy.*terraform import ADDRESS web`),
	)
	r.unit(t, steps...)
	if _, err := e.Pool(t.Context(), "ci"); !core.Is(err, core.NotFound) {
		t.Errorf("after destroy: %v", err)
	}
}
