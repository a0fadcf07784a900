//go:build linux

package main_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
	"github.com/metalpool/metalpool/lab/labtest"
)

const n1 = "metalpool_node.n1"

// node is a node's block, as it is in the lab; lines come in addition.
func nodeBlock(address string, n rackfile.Node, lines ...string) string {
	return block(address, append([]string{
		fmt.Sprintf("name = %q", n.ID), fmt.Sprintf("bmc_url = %q", n.BMC.URL), fmt.Sprintf("bmc_user = %q", n.BMC.User), fmt.Sprintf("bmc_password_wo = %q", n.BMC.Password),
		fmt.Sprintf("address = %q", n.Address), fmt.Sprintf("ssh_port = %d", n.SSHPort), fmt.Sprintf("docker_port = %d", n.DockerPort),
	}, lines...)...)
}

// TestNodes enrolls, changes and retires a server; others do the same beside.
func TestNodes(t *testing.T) {
	t.Parallel()
	r := bareRig(t, 1)
	e := r.Engine(t)
	there := r.Lab.Rack().Nodes[0]
	node := func(lines ...string) string { return nodeBlock(n1, there, lines...) }
	look := func(check func(n core.Node) bool) resource.TestCheckFunc {
		return func(*terraform.State) error {
			n, err := e.Node(t.Context(), there.ID)
			if err == nil && !check(n) {
				err = fmt.Errorf("the pool has %+v", n)
			}
			return err
		}
	}
	var sealed core.Sealed
	labels := `labels = { rack = "r1" }`
	inRack := node(labels, `bmc_password_wo_version = 2`, `boot = "reboot"`, `network = { ports = ["02:00:00:00:00:01"], address = "2001:DB8::7/64", dns = ["2001:db8::1"] }`)
	used := node(`erase = true`, `wait_clean = true`)
	steps := []resource.TestStep{
		{
			Config: node(), ConfigPlanChecks: does(n1, plancheck.ResourceActionCreate),
			ConfigStateChecks: append(has(n1, map[string]string{"id": string(there.ID), "pool": "default", "state": "Quarantined", "arch": "amd64"}),
				statecheck.ExpectSensitiveValue(n1, tfjsonpath.New("bmc_password_wo"))),
			Check: look(func(n core.Node) bool { sealed = n.Spec.BMC.Secret; return n.Erases == 0 }),
		},
		{Config: node(), ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}},
		{
			Config: inRack, ConfigPlanChecks: does(n1, plancheck.ResourceActionUpdate),
			Check: look(func(n core.Node) bool {
				return n.Spec.Labels["rack"] == "r1" && n.Spec.Boot == core.Reboot && n.Spec.Network.Address.String() == "2001:db8::7/64" && !bytes.Equal(n.Spec.BMC.Secret, sealed)
			}),
		},
	}
	steps = append(steps, importsWhole(n1, string(there.ID), "bmc_password_wo_version", "network")[0])
	steps = append(steps,
		// What others changed is changed back, and what they retired is enrolled anew.
		resource.TestStep{
			PreConfig: func() {
				rack := "r9"
				if _, err := e.SetNode(t.Context(), there.ID, core.NodeChange{Labels: map[string]*string{"rack": &rack}, By: core.DeclaredInTerraform}); err != nil {
					t.Error(err)
				}
			},
			Config: inRack, ConfigPlanChecks: does(n1, plancheck.ResourceActionUpdate), Check: look(func(n core.Node) bool { return n.Spec.Labels["rack"] == "r1" }),
		},
		resource.TestStep{
			PreConfig: func() {
				if err := e.Retire(t.Context(), there.ID, "a test"); err != nil {
					t.Error(err)
				}
			},
			Config: node(), ConfigPlanChecks: does(n1, plancheck.ResourceActionCreate), Check: look(func(n core.Node) bool { return n.State == core.Quarantined && n.Spec.Network == nil }),
		},
		resource.TestStep{
			Config: used, ConfigPlanChecks: does(n1, plancheck.ResourceActionUpdate),
			ConfigStateChecks: has(n1, map[string]string{"state": "Available"}), Check: look(func(n core.Node) bool { return n.Erases == 1 }),
		},
	)
	steps = append(steps, importsWhole(n1, string(there.ID), "wait_clean")[0])
	steps = append(steps,
		fails(node(`erase = true`, `pool = "nosuch"`), `Could not find pool nosuch.*pool`),
		refused(node(`erase = true`, `bmc_insecure = true`, `bmc_ca = "x"`), `bmc_ca`),
		refused(block(n1, `bmc_url = "https://root:calvin@10.0.0.7"`, `bmc_password_wo = "x"`), `not the address of a BMC alone.*bmc_password_wo`),
		refused(node(`network = { ports = ["02:00:00:00:00:01"], address = "10.0.0.7" }`), `10.0.0.7/24`),
		resource.TestStep{
			Config: node(`erase = true`, `bmc_insecure = true`), ConfigPlanChecks: does(n1, plancheck.ResourceActionUpdate),
			Check: look(func(n core.Node) bool { return n.Spec.BMC.TLS == core.TLSCheck{Insecure: true} }),
		},
		refused(used, `Nothing says how to check the certificate.*bmc_fingerprint`),
		// Who has a machine on it keeps it.
		resource.TestStep{
			PreConfig: func() {
				ctx, cancel := context.WithTimeout(t.Context(), labtest.Patience)
				defer cancel()
				if _, err := e.Allocate(ctx, core.Order{ID: "dm-1", Owner: "ann", Name: "db-1"}, nil); err != nil {
					t.Error(err)
				}
				if err := e.SetPool(ctx, core.Pool{Name: "other"}); err != nil {
					t.Error(err)
				}
			},
			Config: node(`erase = true`, `bmc_insecure = true`), ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
		fails(node(`erase = true`, `bmc_insecure = true`, `pool = "other"`), `Could not move to pool other: it is in use.*is Allocated for dm-1.*release the machine first`),
		resource.TestStep{Config: node(`erase = true`, `bmc_insecure = true`), Destroy: true, ExpectError: fails("", `Could not retire: it is in use.*is Allocated for dm-1.*metalpool machine release dm-1`).ExpectError},
		resource.TestStep{
			PreConfig: func() {
				if err := e.Release(t.Context(), "dm-1", core.ReleaseOptions{}, nil); err != nil {
					t.Error(err)
				}
			},
			Config: node(`erase = true`, `bmc_insecure = true`), Destroy: true,
		},
		// One that others enrolled is not taken over, unless it is as declared.
		resource.TestStep{
			PreConfig: func() {
				in := there.Enrollment()
				in.Labels, in.Pool = nil, core.DefaultPool
				if _, err := e.Enroll(t.Context(), in, nil); err != nil {
					t.Error(err)
				}
			},
			Config: node(labels), ExpectError: fails("", `Could not enroll: there is one already.*terraform import ADDRESS `+string(there.ID)).ExpectError,
		},
		// What is then said to be erased, is.
		resource.TestStep{
			Config: used, ConfigPlanChecks: does(n1, plancheck.ResourceActionCreate),
			ConfigStateChecks: has(n1, map[string]string{"state": "Available"}), Check: look(func(n core.Node) bool { return n.Erases == 1 }),
		},
	)
	r.unit(t, steps...)
	if _, err := e.Node(t.Context(), there.ID); !core.Is(err, core.NotFound) {
		t.Errorf("after destroy: %v", err)
	}
}

// TestRackFromNothing makes a whole pool, and a machine in it, in one apply of the example
// for operators; nothing that is written on the way has a password of a BMC.
func TestRackFromNothing(t *testing.T) {
	t.Parallel()
	r := bareRig(t, 1)
	there := r.Lab.Rack().Nodes[0]
	w := r.example(t, "rack")
	log := filepath.Join(w.dir, "trace.log")
	image := func(name string) string {
		return fmt.Sprintf("TF_VAR_image={ name = %q, source = %q, user = \"debian\" }", name, r.image("lab"))
	}
	w.settings = append(w.settings, "TF_LOG=trace", "TF_LOG_PATH="+log, fmt.Sprintf("TF_VAR_bmc_passwords={ %s = %q }", there.ID, there.BMC.Password),
		fmt.Sprintf("TF_VAR_servers={ %s = { bmc = %q, bmc_user = %q, address = %q, ssh_port = %d, docker_port = %d } }", there.ID, there.BMC.URL, there.BMC.User, there.Address, there.SSHPort, there.DockerPort),
		image("debian-1"))
	w.apply(t)
	if m, _ := r.machine(t, "web-1"); m.State != core.Deployed || m.Node != there.ID || m.Image != "debian-1" || m.Pool != "web" {
		t.Errorf("it makes %+v", m)
	}
	if out := w.run(t, "plan", "-no-color"); !strings.Contains(out, "No changes") {
		t.Errorf("the plan after the apply:\n%s", out)
	}
	// Another image takes its place in the pool, and the machine keeps what it has.
	w.settings = append(w.settings, image("debian-2"))
	says(t, w.apply(t), "1 added, 1 changed, 1 destroyed")
	if p, err := r.Engine(t).Pool(t.Context(), "web"); err != nil || p.DefaultImage != "debian-2" {
		t.Errorf("the pool is %+v: %v", p, err)
	}
	if m := r.named(t, "web-1"); m.State != core.Deployed || m.Image != "debian-1" {
		t.Errorf("the machine is %+v", m)
	}
	w.destroy(t)
	if nodes, err := r.Engine(t).Nodes(t.Context(), core.NodeFilter{}); err != nil || len(nodes) > 0 {
		t.Errorf("after destroy: %+v, %v", nodes, err)
	}
	for _, name := range []string{"terraform.tfstate", "terraform.tfstate.backup", "trace.log"} {
		content, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains([]string{"terraform.tfstate"}, name) && !bytes.Contains(content, []byte(there.BMC.URL)) {
			t.Errorf("%s was not there to be looked at", name)
		}
		if bytes.Contains(content, []byte(there.BMC.Password)) {
			t.Errorf("%s has the BMC's password", name)
		}
	}
}
