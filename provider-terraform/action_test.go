//go:build linux

package main_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/metalpool/metalpool/core"
)

// TestActions does to a machine of terraform's what its actions do, and looks what
// terraform makes of it. Terraform can call them itself since 1.14.
func TestActions(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	w := r.newWork(t, machineBlock("web-1", `user_data = "#cloud-config\n"`))
	w.apply(t)
	made := r.named(t, "web-1")
	e, s := r.Engine(t), r.speak(t)
	does := func(m core.Machine, kind string, set map[string]any, tells string) {
		t.Helper()
		set["machine_id"] = string(m.ID)
		fine(t, nil, s.plan(t, kind, set))
		told, diags := s.invoke(t, kind, set)
		fine(t, nil, diags)
		if tells != "" && !slices.ContainsFunc(told, func(line string) bool { return strings.Contains(line, tells) }) {
			t.Errorf("%s %v told %q", kind, set, told)
		}
	}
	for _, c := range []struct {
		verb string
		want core.PowerState
	}{{"off", core.PowerOff}, {"on", core.PowerOn}, {"shutdown", core.PowerOff}, {"restart", core.PowerOn}} {
		does(made, "metalpool_power", map[string]any{"power": c.verb}, "power: "+c.verb)
		if is, err := e.Power(t.Context(), made.ID); err != nil || is != c.want {
			t.Errorf("after %s the power is %s: %v", c.verb, is, err)
		}
	}

	apart := r.newWork(t, allocationBlock("db-1")+deploymentBlock())
	apart.apply(t)
	does(r.named(t, "db-1"), "metalpool_redeploy", map[string]any{}, "ssh")
	apart.unchanged(t)
	apart.destroy(t)

	before := made
	for range 2 { // each is a deploy of its own
		does(made, "metalpool_redeploy", map[string]any{"user_data": "#cloud-config\n"}, string(made.Node)+": ")
		after := r.named(t, "web-1")
		if after.ID != made.ID || after.Node != made.Node || after.Image != made.Image || after.State != core.Deployed || slices.Equal(after.Access.HostKeys, before.Access.HostKeys) {
			t.Errorf("the redeploy made\n%+v of\n%+v", after, before)
		}
		before = after
	}
	w.unchanged(t)

	set := map[string]any{"deletion_protection": false, "wait_clean": true}
	does(made, "metalpool_release", set, "erase")
	does(made, "metalpool_release", set, "") // as where the first was cut off
	if out := w.run(t, "plan", "-no-color"); !strings.Contains(out, "has ended") || !strings.Contains(out, "1 to add") {
		t.Errorf("the plan after the release:\n%s", out)
	}
	r.givenBack(t)
}

// unchanged checks that there is nothing to apply.
func (w *work) unchanged(t *testing.T) {
	t.Helper()
	if out := w.run(t, "plan", "-no-color"); !strings.Contains(out, "No changes") {
		t.Errorf("the plan:\n%s", out)
	}
}

// failedAction has a redeploy fail that no resource asked for.
func failedAction(t *testing.T, w *work, name string, node core.NodeID) {
	w.apply(t)
	before, _ := w.r.machine(t, name)
	w.r.wear(t, node)
	_, diags := w.r.speak(t).invoke(t, "metalpool_redeploy", map[string]any{"machine_id": string(before.ID)})
	against(t, "the redeploy", diags, []string{"medium error", "Node: " + string(node), "Phase: ", "the next apply of its resource deploys it again"})
	w.r.mend(t, node)
	w.mended(t, name, before)
}

// TestActionsRefuse asks for what must not be done: in the plan where that is known
// already, and when invoked.
func TestActionsRefuse(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.manage(t, core.ManageNever)
	e := r.Engine(t)
	for _, o := range []core.Order{{ID: "mine", Owner: owner, Name: "web-1"}, {ID: "anns", Owner: "ann", Name: "web-1"}} {
		o.Keys = []string{key}
		if _, err := e.Create(t.Context(), o, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Allocate(t.Context(), core.Order{ID: "taken", Owner: owner, Name: "db-1"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.Release(t.Context(), "given-up", core.ReleaseOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	s := r.speak(t)
	power := func(id string) map[string]any { return map[string]any{"machine_id": id, "power": "off"} }
	release := func(id string, protected any) map[string]any {
		return map[string]any{"machine_id": id, "deletion_protection": protected}
	}
	for _, c := range []struct {
		name, kind string
		set        map[string]any
		planned    bool // refused in the plan
		says       []string
	}{
		{"power of another's", "metalpool_power", power("anns"), true, []string{"the machine of ann", `say owner = "ann"`}},
		{"redeploy of another's", "metalpool_redeploy", map[string]any{"machine_id": "anns"}, true, []string{"the machine of ann"}},
		{"release of another's", "metalpool_release", release("anns", false), true, []string{"the machine of ann"}},
		{"power of nobody's", "metalpool_power", power("nobody"), true, []string{"No allocation has this ID"}},
		{"power of what has no OS", "metalpool_power", power("taken"), false, []string{"The machine is Allocated", "once it is Deployed"}},
		{"redeploy of what has no OS", "metalpool_redeploy", map[string]any{"machine_id": "taken"}, false, []string{"nothing was deployed", "metalpool_deployment"}},
		{"redeploy that nobody can wait for", "metalpool_redeploy", map[string]any{"machine_id": "mine", "wait_for": "cloud_init"}, false, []string{"management key"}},
		{"power of what was given up", "metalpool_power", power("given-up"), true, []string{"was given up"}},
		{"release of what is protected", "metalpool_release", release("mine", true), true, []string{"is protected", "set deletion_protection = false"}},
		{"no verb", "metalpool_power", map[string]any{"machine_id": "mine", "power": "cycle"}, true, []string{`"restart"`}},
	} {
		diags := s.plan(t, c.kind, c.set)
		if refused := len(diags) > 0; refused != c.planned {
			t.Errorf("%s: the plan refuses it: %v", c.name, refused)
		}
		if c.name != "no verb" { // terraform invokes nothing that is not valid
			_, diags = s.invoke(t, c.kind, c.set)
		}
		against(t, c.name, diags, c.says)
	}
	for _, m := range []core.AllocationID{"mine", "anns"} {
		there, err := e.Machine(t.Context(), m)
		if power, powerErr := e.Power(t.Context(), m); err != nil || powerErr != nil || there.State != core.Deployed || power != core.PowerOn {
			t.Errorf("%s is %s, its power %s: %v, %v", m, there.State, power, err, powerErr)
		}
	}
	fine(t, nil, s.plan(t, "metalpool_release", release("mine", unknown)))
	fine(t, nil, s.plan(t, "metalpool_power", map[string]any{"machine_id": unknown, "power": "on"}))
	set := power("anns")
	set["owner"] = "ann" // who says so means it
	fine(t, nil, s.plan(t, "metalpool_power", set))
}

// against checks that there is one error, and what it says.
func against(t *testing.T, name string, diags []*tfprotov6.Diagnostic, texts []string) {
	t.Helper()
	if len(diags) != 1 || diags[0].Severity != tfprotov6.DiagnosticSeverityError {
		t.Errorf("%s: there are %d diagnostics: %v", name, len(diags), diags)
		return
	}
	if at := diags[0].Attribute; at != nil && len(at.Steps()) == 0 || strings.Contains(diags[0].Detail, string(core.Internal)) {
		t.Errorf("%s: at %v: %s", name, at, diags[0].Detail)
	}
	for _, text := range texts {
		if !strings.Contains(diags[0].Detail, text) {
			t.Errorf("%s does not say %q: %s: %s", name, text, diags[0].Summary, diags[0].Detail)
		}
	}
}
