//go:build linux

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/metalpool/metalpool/core"
)

// site is what an operator adds to every machine.
func (r *rig) site(t testing.TB) {
	t.Helper()
	r.declare(t, core.Declaration{
		Steps:    []core.Step{{Name: "site", CloudInit: &core.CloudInitStep{Config: "write_files: [{path: /etc/operators, content: \"the operator's\\n\"}]\n"}}},
		Profiles: []core.Profile{{Name: "base", Steps: []string{"site"}}},
		Pools:    []core.PoolDeclaration{{Name: core.DefaultPool, Profile: new("base")}},
	})
}

// TestPostDeploy has the operator's fragment, the user's data and the user's script on one
// machine, and the script in no state.
func TestPostDeploy(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.site(t)
	private, public := newKey(t)
	left := func(want string) resource.TestCheckFunc {
		return func(*terraform.State) error {
			if got := r.onMachine(t, private, "cat /etc/script"); strings.TrimSpace(got) != want {
				return fmt.Errorf("the script has left %q, and not %q", got, want)
			}
			return nil
		}
	}
	with := func(version int, script string, lines ...string) string {
		return keyBlock(public, append(lines, fmt.Sprintf("post_deploy = %q", script), fmt.Sprintf("post_deploy_version = %d", version),
			`allow_redeploy = ["user_data", "post_deploy_version"]`)...)
	}
	const (
		users  = `user_data = "#cloud-config\nwrite_files: [{path: /etc/users, content: \"the user's\\n\"}]\n"`
		script = "#!/bin/sh\nsecret=hunter2\necho $(cat /etc/operators) $(cat /etc/users) > /etc/script\n"
	)
	r.unit(t,
		resource.TestStep{Config: keyBlock(public, `post_deploy = "x"`), ExpectError: regexp.MustCompile(`post_deploy_version`)},
		resource.TestStep{
			Config:      with(1, script, `user_data = "#cloud-config\nwrite_files: [{path: /etc/operators, content: other}]\n"`),
			ExpectError: regexp.MustCompile(`(?is)step site and the\s+user\s+data\s+disagree\s+on\s+write_files\s+/etc/operators`),
		},
		resource.TestStep{
			Config: with(1, script, users), ConfigPlanChecks: expect(plancheck.ResourceActionCreate), Check: left("the operator's the user's"),
			ConfigStateChecks: []statecheck.StateCheck{is("post_deploy", knownvalue.Null()), is("post_deploy_version", knownvalue.Int64Exact(1))},
		},
		resource.TestStep{
			Config:           with(1, "not looked at", users),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
		resource.TestStep{Config: with(2, "exit 4", users), ExpectError: regexp.MustCompile(`(?is)the\s+user's\s+own\s+script:\s+it\s+ended\s+with\s+status\s+4`)},
		resource.TestStep{Config: with(3, "echo third > /etc/script", users), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: left("third")},
	)
	r.givenBack(t)
}

// TestPostDeployIsNoSecretOfTerraforms runs the real programs: nothing of the script is in
// any file that terraform leaves.
func TestPostDeployIsNoSecretOfTerraforms(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	_, public := newKey(t)
	w := r.newWork(t, keyBlock(public, `post_deploy = file("setup.sh")`, "post_deploy_version = 1"))
	if err := os.WriteFile(filepath.Join(w.dir, "setup.sh"), []byte("#!/bin/sh\n: hunter2\necho done\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := w.apply(t)
	if !strings.Contains(out, "post_deploy") || strings.Contains(out, "hunter2") {
		t.Errorf("it says\n%s", out)
	}
	state, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
	if err != nil || strings.Contains(string(state), "hunter2") {
		t.Errorf("%v; the state is\n%s", err, state)
	}
	w.destroy(t)
	r.givenBack(t)
}
