//go:build linux

package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/labtest"
)

const (
	server = "metalpool_allocation.web"
	system = "metalpool_deployment.web"
)

func allocationBlock(name string, lines ...string) string {
	return fmt.Sprintf("resource \"metalpool_allocation\" \"web\" {\n  name = %q\n  %s\n}\n", name, strings.Join(lines, "\n  "))
}

func deploymentBlock(lines ...string) string {
	return fmt.Sprintf("resource \"metalpool_deployment\" \"web\" {\n  allocation_id = metalpool_allocation.web.id\n  ssh_keys      = [%q]\n  %s\n}\n", key, strings.Join(lines, "\n  "))
}

// planned is what a plan does to both.
func planned(ofServer, ofSystem plancheck.ResourceActionType) []plancheck.PlanCheck {
	return []plancheck.PlanCheck{plancheck.ExpectResourceAction(server, ofServer), plancheck.ExpectResourceAction(system, ofSystem)}
}

// TestApart holds what the plan says of an allocation and its deployment against what
// happens to the server.
func TestApart(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	id, node := statecheck.CompareValue(compare.ValuesSame()), statecheck.CompareValue(compare.ValuesSame())
	anew, kept, managed := statecheck.CompareValue(compare.ValuesDiffer()), statecheck.CompareValue(compare.ValuesSame()), statecheck.CompareValue(compare.ValuesSame())
	_, otherKey := newKey(t)
	keys, of := tfjsonpath.New("ssh_host_keys"), func(name string) tfjsonpath.Path { return tfjsonpath.New(name) }
	same := func(more ...statecheck.StateCheck) []statecheck.StateCheck {
		return append([]statecheck.StateCheck{id.AddStateValue(server, of("id")), node.AddStateValue(server, of("node"))}, more...)
	}
	what := func(name, value string) statecheck.StateCheck {
		return statecheck.ExpectKnownValue(system, of(name), text(value))
	}
	front, lab2 := allocationBlock("front-1", `labels = { tier = "web" }`), deploymentBlock(`image = "lab-2"`, `hostname = "db-1"`)
	r.unit(t,
		resource.TestStep{
			Config:           allocationBlock("web-1") + deploymentBlock(),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: planned(plancheck.ResourceActionCreate, plancheck.ResourceActionCreate)},
			ConfigStateChecks: same(
				what("state", "Deployed"), what("power_state", "on"), what("image", "lab"), what("hostname", "web-1"), what("ssh_user", "debian"),
				statecheck.CompareValuePairs(server, of("node"), system, of("node"), compare.ValuesSame()),
				statecheck.ExpectKnownValue(server, of("labels"), knownvalue.Null()), kept.AddStateValue(system, keys),
			),
		},
		resource.TestStep{
			Config:           front + deploymentBlock(),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: planned(plancheck.ResourceActionUpdate, plancheck.ResourceActionNoop)},
			ConfigStateChecks: same(what("hostname", "web-1"), kept.AddStateValue(system, keys), anew.AddStateValue(system, keys),
				statecheck.ExpectKnownValue(server, of("labels"), knownvalue.MapExact(map[string]knownvalue.Check{"tier": text("web")}))),
		},
		resource.TestStep{
			Config:            front + lab2,
			ConfigPlanChecks:  resource.ConfigPlanChecks{PreApply: append(planned(plancheck.ResourceActionNoop, plancheck.ResourceActionUpdate), plancheck.ExpectUnknownValue(system, keys))},
			ConfigStateChecks: same(what("image", "lab-2"), what("hostname", "db-1"), anew.AddStateValue(system, keys)),
		},
		resource.TestStep{ResourceName: server, ImportState: true, ImportStateVerify: true},
		resource.TestStep{ResourceName: system, ImportState: true, ImportStateVerify: true, ImportStateId: owner + "/front-1"},
		resource.TestStep{
			ResourceName: server, ImportState: true, ImportStateKind: resource.ImportBlockWithID, ImportStateId: owner + "/front-1",
			ImportPlanChecks: resource.ImportPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
		resource.TestStep{
			ResourceName: system, ImportState: true, ImportStateKind: resource.ImportBlockWithID, ImportStateId: owner + "/front-1",
			ImportPlanChecks: resource.ImportPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
		// What the server does not have takes another one, and what is deployed goes with it.
		resource.TestStep{
			Config:   allocationBlock("front-1", "requirements {\n memory = \"900GiB\"\n }") + lab2,
			PlanOnly: true, ExpectNonEmptyPlan: true,
			ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPreRefresh: planned(plancheck.ResourceActionDestroyBeforeCreate, plancheck.ResourceActionDestroyBeforeCreate)},
		},
		refused(front+deploymentBlock(`image = "nosuch"`), `Could not find image nosuch.*there are: lab, lab-2`),
		refused(allocationBlock("front-1", `labels = { "metalpool/deployment" = "x" }`)+lab2, `is metalpool_deployment's`),
		refused(allocationBlock("front-1", `deploy_within = "soon"`)+lab2, `30m`),
		// Without its deployment the server is off, and still the allocation's.
		resource.TestStep{
			Config:           front,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: planned(plancheck.ResourceActionNoop, plancheck.ResourceActionDestroy)},
			ConfigStateChecks: same(
				statecheck.ExpectKnownValue(server, of("labels"), knownvalue.MapExact(map[string]knownvalue.Check{"tier": text("web")}))),
			Check: func(*terraform.State) error { return r.power(t, "front-1", core.PowerOff) },
		},
		// The same order again is another deployment, with the pool's defaults.
		resource.TestStep{
			PreConfig:         func() { r.manage(t, core.ManageAlways) },
			Config:            front + deploymentBlock(),
			ConfigPlanChecks:  resource.ConfigPlanChecks{PreApply: planned(plancheck.ResourceActionNoop, plancheck.ResourceActionCreate)},
			ConfigStateChecks: same(what("image", "lab"), what("hostname", "front-1"), what("power_state", "on"), anew.AddStateValue(system, keys), managed.AddStateValue(system, keys)),
		},
		resource.TestStep{
			Config:            front + strings.Replace(deploymentBlock(), key, otherKey, 1),
			ConfigPlanChecks:  resource.ConfigPlanChecks{PreApply: planned(plancheck.ResourceActionNoop, plancheck.ResourceActionUpdate)},
			ConfigStateChecks: same(managed.AddStateValue(system, keys), statecheck.ExpectKnownValue(system, of("ssh_keys"), knownvalue.ListExact([]knownvalue.Check{text(otherKey)}))),
			Check:             func(*terraform.State) error { return r.keyOf(t, "front-1", otherKey) },
		},
		resource.TestStep{
			Config: front + deploymentBlock(), Taint: []string{system},
			ConfigPlanChecks:  resource.ConfigPlanChecks{PreApply: planned(plancheck.ResourceActionNoop, plancheck.ResourceActionDestroyBeforeCreate)},
			ConfigStateChecks: same(what("state", "Deployed"), anew.AddStateValue(system, keys)),
		},
	)
	r.givenBack(t)
}

// power looks whether a machine's power is as wanted.
func (r *rig) power(t *testing.T, name string, wanted core.PowerState) error {
	m, there := r.machine(t, name)
	if !there {
		return fmt.Errorf("there is no machine %s", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), labtest.Patience)
	defer cancel()
	is, err := r.Engine(t).Power(ctx, m.ID)
	if err == nil && is != wanted {
		err = fmt.Errorf("the power of %s is %s", name, is)
	}
	return err
}

// keyOf checks who may log in, as the pool has it.
func (r *rig) keyOf(t *testing.T, name, wanted string) error {
	if m, _ := r.machine(t, name); !slices.Equal(m.Keys, []string{wanted}) {
		return fmt.Errorf("%s lets in %q", name, m.Keys)
	}
	return nil
}

// TestApartFaults ends the deploys of allocations in ways that happen: the allocation
// never suffers.
func TestApartFaults(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		run  func(t *testing.T, w *work, name string, node core.NodeID)
	}{
		{"interrupted deploy is gone on with", interruptedDeploy},
		{"killed deploy is adopted", killedDeploy},
		{"failed deploy taints the deployment alone", failedDeployment},
		{"interrupted deploy is destroyed", interruptedAndDestroyed},
		{"allocation that has expired is taken anew", expiredAllocation},
		{"what others deployed is left alone", othersDeployment},
		{"two deployments on one allocation", twoDeployments},
	}
	r := newRig(t, len(cases))
	var all sync.WaitGroup // most of the time is waiting, so that all go at once
	for i, c := range cases {
		all.Go(func() {
			t.Run(c.name, func(t *testing.T) {
				node, name := r.Lab.Nodes()[i].ID(), "web-"+strconv.Itoa(i)
				w := r.newWork(t, apart(name, node))
				c.run(t, w, name, node)
				w.destroy(t)
				if m, there := r.machine(t, name); there {
					t.Errorf("after destroy there is %+v", m)
				}
			})
		})
	}
	all.Wait()
	r.givenBack(t)
}

// apart is a server of its own and what is deployed on it.
func apart(name string, node core.NodeID, lines ...string) string {
	return allocationBlock(name, fmt.Sprintf("node = %q", node)) + deploymentBlock(lines...)
}

// whole checks that the next apply has brought the same allocation to Deployed.
func (w *work) whole(t *testing.T, name string, before core.Machine) core.Machine {
	t.Helper()
	out := w.apply(t)
	after, _ := w.r.machine(t, name)
	if after.State != core.Deployed || after.ID != before.ID || after.Node != before.Node {
		t.Errorf("it was %+v and is %+v\n%s", before, after, out)
	}
	for _, kind := range []string{"metalpool_allocation", "metalpool_deployment"} {
		if status, attributes := w.savedAs(t, kind); status != "" || attributes["node"] != string(after.Node) {
			t.Errorf("the state has %s %q %v", kind, status, attributes)
		}
	}
	if out := w.run(t, "plan", "-no-color"); !strings.Contains(out, "No changes") {
		t.Errorf("the plan after it:\n%s", out)
	}
	return after
}

func interruptedDeploy(t *testing.T, w *work, name string, _ core.NodeID) {
	cmd, out, before := w.begin(t, name)
	kill(t, -cmd.Process.Pid, syscall.SIGINT)
	if err := cmd.Wait(); err == nil {
		t.Errorf("an interrupted apply succeeds\n%s", out)
	}
	if status, attributes := w.savedAs(t, "metalpool_deployment"); status != "" || attributes["allocation_id"] != string(before.ID) {
		t.Errorf("the state has %q %v\n%s", status, attributes, out)
	}
	says(t, w.run(t, "plan", "-no-color"), "0 to add, 1 to change, 0 to destroy", "goes on with its deploy")
	w.whole(t, name, before)
}

func interruptedAndDestroyed(t *testing.T, w *work, name string, _ core.NodeID) {
	cmd, out, _ := w.begin(t, name)
	kill(t, -cmd.Process.Pid, syscall.SIGINT)
	if err := cmd.Wait(); err == nil {
		t.Errorf("an interrupted apply succeeds\n%s", out)
	}
}

func killedDeploy(t *testing.T, w *work, name string, _ core.NodeID) {
	cmd, _, before := w.begin(t, name)
	kill(t, -cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
	w.r.lapse(t, before.Node)
	w.whole(t, name, before)
}

func failedDeployment(t *testing.T, w *work, name string, node core.NodeID) {
	w.r.wear(t, node)
	says(t, w.refuse(t), "Node: "+string(node), "Phase: write", "medium error")
	before, _ := w.r.machine(t, name)
	if status, _ := w.savedAs(t, "metalpool_deployment"); status != "tainted" || before.State != core.Failed {
		t.Errorf("the deployment is %q, and the pool has %+v", status, before)
	}
	if status, attributes := w.savedAs(t, "metalpool_allocation"); status != "" || attributes["id"] != string(before.ID) {
		t.Errorf("the allocation is %q %v", status, attributes)
	}
	w.r.mend(t, node)
	says(t, w.run(t, "plan", "-no-color"), "1 to add, 0 to change, 1 to destroy")
	w.whole(t, name, before)
}

func expiredAllocation(t *testing.T, w *work, name string, node core.NodeID) {
	w.write(t, allocationBlock(name, fmt.Sprintf("node = %q", node), `deploy_within = "1ms"`))
	w.apply(t)
	before, _ := w.r.machine(t, name)
	if _, err := w.r.Engine(t).Reconcile(t.Context(), core.ReconcileOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	w.write(t, apart(name, node))
	says(t, w.run(t, "plan", "-no-color"), "Allocation "+name+" has ended", "not deployed by", "2 to add")
	w.apply(t)
	if after, _ := w.r.machine(t, name); after.State != core.Deployed || after.ID == before.ID {
		t.Errorf("it was %+v and is %+v", before, after)
	}
}

// twoDeployments of one configuration: one is made, and nothing is written over it.
func twoDeployments(t *testing.T, w *work, name string, node core.NodeID) {
	second := strings.Replace(deploymentBlock(`hostname = "other"`), `"web"`, `"second"`, 1)
	w.write(t, apart(name, node, fmt.Sprintf("hostname = %q", name))+second)
	says(t, w.refuse(t), "Could not create deployment "+name+": there is one already")
	m, _ := w.r.machine(t, name)
	if _, saved := w.savedAs(t, "metalpool_deployment"); m.State != core.Deployed || saved["hostname"] != m.Hostname {
		t.Errorf("the pool has %+v, and the state %v", m, saved)
	}
}

func othersDeployment(t *testing.T, w *work, name string, node core.NodeID) {
	ctx, cancel := context.WithTimeout(t.Context(), labtest.Patience)
	defer cancel()
	e := w.r.Engine(t)
	made, err := e.Create(ctx, core.Order{ID: "dm-" + core.AllocationID(name), Owner: owner, Name: name, Keys: []string{key}, Request: core.Request{Node: node}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.run(t, "import", server, string(made.ID))
	says(t, w.refuse(t), "Could not deploy "+name+": there is one already", "would write over what is there", "terraform import ADDRESS "+string(made.ID))
	w.run(t, "import", system, owner+"/"+name)
	if after := w.whole(t, name, made); after.Access.HostKeys[0] != made.Access.HostKeys[0] {
		t.Error("it was deployed anew")
	}
	// Without a state it is still known as Terraform's, and not deployed over.
	w.write(t, apart(name, node, `hostname = "other"`))
	w.apply(t)
	if err := os.Remove(filepath.Join(w.dir, "terraform.tfstate")); err != nil {
		t.Fatal(err)
	}
	w.run(t, "import", server, string(made.ID))
	says(t, w.refuse(t), "would write over what is there")
	w.run(t, "import", system, string(made.ID))
}
