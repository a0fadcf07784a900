//go:build linux

package main_test

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// TestDeploymentsRace has configurations of their own put a deployment on one allocation:
// one of them has it, and nothing is written over it.
func TestDeploymentsRace(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	for _, c := range []struct {
		name string
		race func(t *testing.T, name string, first, second *work) (refused string)
	}{
		{"at once", atOnce},
		{"after the other was killed", afterTheOther},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			name := "web-" + strings.ReplaceAll(c.name, " ", "-")
			server := r.newWork(t, allocationBlock(name))
			server.apply(t)
			taken := r.named(t, name)
			on := func(hostname string) *work {
				return r.newWork(t, strings.Replace(deploymentBlock(fmt.Sprintf("hostname = %q", hostname)), "metalpool_allocation.web.id", fmt.Sprintf("%q", taken.ID), 1))
			}
			first, second := on("first"), on("second")
			says(t, c.race(t, name, first, second), "Could not deploy "+name+": there is one already", "terraform import ADDRESS "+string(taken.ID))
			there := r.named(t, name)
			has, hasNot := first, second
			if there.Hostname == "second" {
				has, hasNot = second, first
			}
			if there.State != core.Deployed {
				t.Errorf("it is %+v", there)
			}
			has.unchanged(t)
			if status, saved := hasNot.savedAs(t, "metalpool_deployment"); saved != nil {
				t.Errorf("who was refused has %s %v", status, saved)
			}
			says(t, hasNot.refuse(t), "It is Deployed already", "would write over what is there")
			if again := r.named(t, name); again.Access.HostKeys[0] != there.Access.HostKeys[0] {
				t.Error("it was deployed anew")
			}
			// Whoever has it gives the place free.
			has.destroy(t)
			hasNot.apply(t)
			hasNot.unchanged(t)
			hasNot.destroy(t)
			server.destroy(t)
		})
	}
}

func atOnce(t *testing.T, _ string, first, second *work) string {
	var (
		both   sync.WaitGroup
		said   [2]string
		failed [2]bool
	)
	for i, w := range []*work{first, second} {
		both.Go(func() {
			out, err := w.command(t, "apply", "-auto-approve", "-no-color").CombinedOutput()
			said[i], failed[i] = string(out), err != nil
		})
	}
	both.Wait()
	if failed[0] == failed[1] {
		t.Errorf("failed: %v\n%s\n%s", failed, said[0], said[1])
	}
	if failed[0] {
		return said[0]
	}
	return said[1]
}

func afterTheOther(t *testing.T, name string, first, second *work) string {
	cmd, out, before := first.begin(t, name)
	kill(t, -cmd.Process.Pid, syscall.SIGKILL) // now it may be at work still, for all that others know
	_ = cmd.Wait()
	refused := second.refuse(t)
	says(t, refused, "Another metalpool_deployment, which asks for something else, has begun", string(before.Node)+" is Deploying")
	// Who asks for something else by now has to say that it is theirs.
	first.r.lapse(t, before.Node)
	config := string(first.read(t, "main.tf"))
	first.write(t, strings.Replace(strings.TrimPrefix(config, sources), `"first"`, `"changed"`, 1))
	says(t, first.refuse(t), "which asks for something else, has begun")
	first.run(t, "import", system, string(before.ID))
	first.apply(t)
	if after := first.r.named(t, name); after.Hostname != "changed" || after.State != core.Deployed {
		t.Errorf("the killed apply has become %+v\n%s", after, out)
	}
	return refused
}
