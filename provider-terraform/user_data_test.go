//go:build linux

package main_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
)

// TestUserData has user data in the forms in which people write it: it reaches the machine,
// the state has it to the letter, and the next plan is empty.
func TestUserData(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	private, public := newKey(t)
	config := func(word string) string {
		return "#cloud-config\nwrite_files:\n  - path: /etc/told\n    content: " + word + "\n"
	}
	told := func(word string) resource.TestCheckFunc {
		return func(*terraform.State) error {
			if got := r.onMachine(t, private, "sudo cat /etc/told"); strings.TrimSpace(got) != word {
				return fmt.Errorf("the machine was told %q, and not %q", got, word)
			}
			return nil
		}
	}
	var steps []resource.TestStep
	for i, form := range []struct{ name, written, stored, word string }{
		{"a text", fmt.Sprintf("user_data = %q", config("one")), config("one"), "one"},
		{"no newline at its end", fmt.Sprintf("user_data = %q", strings.TrimSpace(config("two"))), strings.TrimSpace(config("two")), "two"},
		{"lines of another system", fmt.Sprintf("user_data = %q", strings.ReplaceAll(config("three"), "\n", "\r\n")), strings.ReplaceAll(config("three"), "\n", "\r\n"), "three"},
		{"a heredoc", "user_data = <<-EOT\n    " + strings.ReplaceAll(strings.TrimSpace(config("four")), "\n", "\n    ") + "\n  EOT", config("four"), "four"},
		{"what a function makes", "user_data = provider::metalpool::merge_cloud_init(" + fmt.Sprintf("%q, %q", config("five"), "#cloud-config\nssh_pwauth: false\n") + ")", "", "five"},
	} {
		same := resource.TestStep{
			Config:           keyBlock(public, form.written, `allow_redeploy = ["user_data"]`),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		}
		made := same
		made.ConfigPlanChecks = expect(plancheck.ResourceActionUpdate)
		if i == 0 {
			made.ConfigPlanChecks = expect(plancheck.ResourceActionCreate)
		}
		made.Check = told(form.word)
		if form.stored != "" {
			made.ConfigStateChecks = []statecheck.StateCheck{is("user_data", text(form.stored))}
		}
		steps = append(steps, made, same)
	}
	steps = append(steps, resource.TestStep{
		Config:            keyBlock(public, fmt.Sprintf("user_data_wo = %q", config("six")), `user_data_wo_version = 1`, `allow_redeploy = ["user_data", "user_data_wo_version"]`),
		ConfigPlanChecks:  expect(plancheck.ResourceActionUpdate),
		ConfigStateChecks: []statecheck.StateCheck{is("user_data", knownvalue.Null()), is("user_data_wo", knownvalue.Null())},
		Check:             told("six"),
	})
	r.unit(t, steps...)
	r.givenBack(t)
}

// onMachine runs a command on a machine, whose host key is the pool's.
func (r *rig) onMachine(t *testing.T, private []byte, command string) string {
	t.Helper()
	client, err := dial(r.named(t, "web-1").Access, private)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err := session.CombinedOutput(command)
	if err != nil {
		t.Errorf("%s: %v: %s", command, err, out)
	}
	return string(out)
}

// dial logs in, and trusts the host key of the pool alone.
func dial(to core.Access, private []byte) (*ssh.Client, error) {
	who, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return nil, err
	}
	trusted, _, _, _, err := ssh.ParseAuthorizedKey([]byte(to.HostKeys[0]))
	if err != nil {
		return nil, err
	}
	return ssh.Dial("tcp", fmt.Sprintf("%s:%d", to.Address, to.SSHPort), &ssh.ClientConfig{
		User: to.SSHUser, Auth: []ssh.AuthMethod{ssh.PublicKeys(who)},
		HostKeyCallback: ssh.FixedHostKey(trusted), HostKeyAlgorithms: []string{trusted.Type()},
	})
}
