//go:build linux

package main_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/metalpool/metalpool/core"
)

// TestOneBMC has several providers work on one server at once: one deploys it anew, others
// turn its power, and all look at it. Each is done, or told who is at work; the deploy is
// not disturbed.
func TestOneBMC(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	w := r.newWork(t, machineBlock("web-1"))
	w.apply(t)
	made := r.named(t, "web-1")
	var (
		all    sync.WaitGroup
		deploy []*tfprotov6.Diagnostic
		power  [4][]*tfprotov6.Diagnostic
		plans  [2]string
	)
	id := map[string]any{"machine_id": string(made.ID)}
	s := r.speak(t)
	all.Go(func() { _, deploy = s.invoke(t, "metalpool_redeploy", id) })
	for i := range power {
		s := r.speak(t)
		all.Go(func() {
			_, power[i] = s.invoke(t, "metalpool_power", map[string]any{"machine_id": string(made.ID), "power": "restart"})
		})
	}
	for i := range plans {
		all.Go(func() {
			out, err := w.command(t, "plan", "-lock=false", "-no-color").CombinedOutput()
			if plans[i] = string(out); err != nil {
				t.Errorf("a plan beside it: %v\n%s", err, out)
			}
		})
	}
	all.Wait()
	fine(t, nil, deploy)
	for _, diags := range power {
		for _, d := range diags {
			if !strings.Contains(d.Detail, "What to do:") || !strings.Contains(d.Summary, "it is in use") && !strings.Contains(d.Detail, string(core.Deploying)) {
				t.Errorf("power: %s: %s", d.Summary, d.Detail)
			}
		}
	}
	after := r.named(t, "web-1")
	if after.State != core.Deployed || after.Node != made.Node || slices.Equal(after.Access.HostKeys, made.Access.HostKeys) {
		t.Errorf("it was\n%+v and is\n%+v", made, after)
	}
	w.unchanged(t)
	w.destroy(t)
	r.givenBack(t)
}
