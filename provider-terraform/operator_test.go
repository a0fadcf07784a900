//go:build linux

package main_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
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
	e := r.Engine(t)
	strict := block(ci, `name = "ci"`, `erase_minimum = "purge"`, `quota = 2`, `steps_at_once = 4`, `phase_timeouts = { check_in = "40m", erase = "48h" }`)
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
				if err := e.SetPool(t.Context(), core.Pool{Name: "ci", Quota: 9, DeclaredBy: core.DeclaredInTerraform}); err != nil {
					t.Error(err)
				}
			},
			Config: strict, ConfigPlanChecks: does(ci, plancheck.ResourceActionUpdate), ConfigStateChecks: has(ci, map[string]string{"erase_minimum": "purge"}),
		},
		resource.TestStep{
			PreConfig: func() {
				if err := e.RemovePool(t.Context(), "ci", core.DeclaredInTerraform, false); err != nil {
					t.Error(err)
				}
			},
			Config: strict, ConfigPlanChecks: does(ci, plancheck.ResourceActionCreate),
		},
		refused(block(ci, `name = "ci"`, `phase_timeouts = { kexec = "1h" }`), `kexec timeout of 1h is not within that of ssh`),
		refused(block(ci, `name = "not a name"`), `cannot name a pool`),
		refused(block(ci, `name = "ci"`, `phase_timeouts = { ssh = "long" }`), `30m`),
		fails(block(ci, `name = "ci"`, `default_image = "nosuch"`), `Could not find image nosuch.*default_image.*catalogue is empty`),
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
		fails(strict+block("metalpool_pool.web", `name = "web"`), `Could not add pool web: there is one already.*another policy.*terraform import ADDRESS web`),
	)
	r.unit(t, steps...)
	if _, err := e.Pool(t.Context(), "ci"); !core.Is(err, core.NotFound) {
		t.Errorf("after destroy: %v", err)
	}
}

// TestProfilesOfAPool has Terraform choose what is done to a pool's servers among what a
// file declares, and users see what they may name.
func TestProfilesOfAPool(t *testing.T) {
	t.Parallel()
	r := bareRig(t, 0)
	e := r.Engine(t)
	r.declare(t, core.Declaration{Profiles: []core.Profile{{Name: "base"}, {Name: "bare"}, {Name: "gpu"}}})
	pool := func(lines ...string) string { return block(ci, append([]string{`name = "ci"`}, lines...)...) }
	of := func(profile string, others ...string) func(*terraform.State) error {
		return func(*terraform.State) error {
			p, err := e.Pool(t.Context(), "ci")
			if err != nil || p.Profile != profile || !slices.Equal(p.Profiles, others) {
				return fmt.Errorf("the pool has %q and %v: %w", p.Profile, p.Profiles, err)
			}
			return nil
		}
	}
	const listed = "data \"metalpool_pools\" \"all\" {\n  depends_on = [metalpool_pool.ci]\n}\n"
	steps := []resource.TestStep{
		fails(pool(`profile = "bsae"`), `Could not set pool ci.*profile = "bsae".*no profile "bsae".*did you mean base\?\n`),
		fails(pool(`profiles = ["gpus"]`), `Could not set pool ci.*no profile "gpus".*did you mean gpu\?\n`),
		{Config: pool(`profile = "base"`, `profiles = ["gpu", "bare"]`), Check: of("base", "bare", "gpu")},
	}
	steps = append(steps, importsWhole(ci, "ci")...)
	steps = append(steps,
		// In whatever order, and by whomever they were put there.
		resource.TestStep{
			PreConfig: func() {
				if err := e.SetPool(t.Context(), core.Pool{Name: "ci", Profile: "gpu", Profiles: []string{"gpu", "bare"}, DeclaredBy: core.DeclaredInTerraform}); err != nil {
					t.Error(err)
				}
			},
			Config: pool(`profile = "base"`, `profiles = ["gpu", "bare"]`), ConfigPlanChecks: does(ci, plancheck.ResourceActionUpdate), Check: of("base", "gpu", "bare"),
		},
		resource.TestStep{
			Config: pool(`profile = "base"`, `profiles = ["gpu"]`) + listed, Check: of("base", "gpu"),
			ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectKnownValue("data.metalpool_pools.all", tfjsonpath.New("pools").AtSliceIndex(1), knownvalue.ObjectPartial(map[string]knownvalue.Check{"name": text("ci"), "profile": text("base"), "profiles": knownvalue.SetExact([]knownvalue.Check{text("gpu")})}))},
		},
		resource.TestStep{Config: pool(`profiles = []`), Check: of("")},
		resource.TestStep{Config: pool(), Check: of("")},
	)
	r.unit(t, steps...)
}

const debian = "metalpool_image.debian"

func TestImages(t *testing.T) {
	t.Parallel()
	r := bareRig(t, 0)
	e := r.Engine(t)
	lab, copied := fmt.Sprintf("source = %q", r.image("lab")), fmt.Sprintf("source = %q", r.image("lab-2"))
	content, err := os.ReadFile(r.image("lab"))
	if err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(content))
	same := fmt.Sprintf("sha256 = %q", digest)
	image := func(lines ...string) string { return block(debian, append([]string{`name = "debian"`}, lines...)...) }
	steps := []resource.TestStep{
		{
			Config: image(lab, `user = "root"`), ConfigPlanChecks: does(debian, plancheck.ResourceActionCreate),
			ConfigStateChecks: has(debian, map[string]string{"sha256": digest, "format": "raw", "arch": "amd64", "boot": "kexec"}),
		},
		{
			Config: image(lab, `user = "debian"`, `boot = "reboot"`), ConfigPlanChecks: does(debian, plancheck.ResourceActionUpdate),
			ConfigStateChecks: has(debian, map[string]string{"sha256": digest, "user": "debian", "boot": "reboot"}),
		},
	}
	steps = append(steps, importsWhole(debian, "debian")...)
	steps = append(steps,
		// The same file, named in another way, is no change.
		resource.TestStep{
			Config:           image(strings.Replace(lab, "/lab", "/./lab", 1), `user = "debian"`, `boot = "reboot"`, `arch = "x86_64"`),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
		resource.TestStep{
			Config: image(copied, `user = "debian"`), PlanOnly: true, ExpectNonEmptyPlan: true,
			ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPreRefresh: []plancheck.PlanCheck{plancheck.ExpectResourceAction(debian, plancheck.ResourceActionDestroyBeforeCreate)}},
		},
		resource.TestStep{
			Config: image(copied, same, `user = "debian"`), ConfigPlanChecks: does(debian, plancheck.ResourceActionUpdate),
			Check: func(*terraform.State) error {
				if i, err := e.Image(t.Context(), "debian"); err != nil || i.Source != r.image("lab-2") {
					return fmt.Errorf("%+v, %w", i, err)
				}
				return nil
			},
		},
		// What may be a secret stays out of the state.
		resource.TestStep{
			Config: image(fmt.Sprintf("source_wo = %q", r.image("lab")), `source_wo_version = 1`, same, `user = "debian"`), ConfigPlanChecks: does(debian, plancheck.ResourceActionUpdate),
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownValue(debian, tfjsonpath.New("source"), knownvalue.Null()),
				statecheck.ExpectKnownValue(debian, tfjsonpath.New("source_wo"), knownvalue.Null()),
			},
			Check: func(*terraform.State) error {
				if i, err := e.Image(t.Context(), "debian"); err != nil || i.Source != r.image("lab") {
					return fmt.Errorf("%+v, %w", i, err)
				}
				return nil
			},
		},
		resource.TestStep{
			PreConfig: func() {
				if err := e.RemoveImage(t.Context(), "debian", core.DeclaredInTerraform, false); err != nil {
					t.Error(err)
				}
			},
			Config: image(lab, same, `user = "debian"`) + block(ci, `name = "ci"`, `default_image = metalpool_image.debian.name`), ConfigPlanChecks: does(debian, plancheck.ResourceActionCreate),
		},
		fails(block(ci, `name = "ci"`, `default_image = "debian"`), `Could not remove image debian: it is in use.*default of pool "ci".*What to do`),
		refused(image(`source = "https://ann:secret@images.example/debian.raw"`, `user = "debian"`), `would be stored and shown.*fetch the file yourself`),
		refused(image(lab, `source_wo = "x"`, same, `user = "debian"`), `source.*source_wo`),
		refused(image(`source_wo = "x"`, `user = "debian"`), `sha256`),
		resource.TestStep{
			PreConfig: func() {
				for name, user := range map[string]string{"other": "ann", "twin": "debian"} {
					if _, err := e.AddImage(t.Context(), core.Image{Name: name, Source: r.image("lab"), Arch: "amd64", User: user}, nil); err != nil {
						t.Error(err)
					}
				}
			},
			Config: image(lab, same, `user = "debian"`) + block("metalpool_image.twin", `name = "twin"`, lab, `user = "debian"`),
		},
		fails(image(lab, same, `user = "debian"`)+block("metalpool_image.other", `name = "other"`, lab, `user = "debian"`), `Could not add image other: there is one already.*another user.*terraform import ADDRESS other`),
		fails(image(lab, same, `user = "debian"`)+block("metalpool_image.none", `name = "none"`, lab, fmt.Sprintf("sha256 = %q", strings.Repeat("0", 64)), `user = "debian"`), `Could not examine image none.*source.*its SHA-256 is `+digest),
	)
	r.unit(t, steps...)
	if _, err := e.Image(t.Context(), "debian"); !core.Is(err, core.NotFound) {
		t.Errorf("after destroy: %v", err)
	}
}
