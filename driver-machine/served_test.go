//go:build linux

package main_test

import (
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/labtest"
)

// TestServerEndsInTheMiddle ends the server while docker-machine waits for it, and
// starts it again: docker-machine's own command goes on, and nothing is lost.
func TestServerEndsInTheMiddle(t *testing.T) {
	t.Parallel()
	r := newRig(t, t.TempDir(), 2)
	s := r.Serve(t, &metalpool)
	r.Environment = append(r.Environment, s.Settings()...)

	for _, c := range []struct {
		name, machine string
		phase         func(*testing.T, *rig) func(core.Machine) bool
		end           func(testing.TB)
	}{
		{"drained while the ramdisk boots", "web-1", deploying, s.Drain},
		{"killed before the image is written", "web-2", met("boot ramdisk"), s.Kill},
	} {
		out := interrupted(t, r, s, c.end, c.phase, c.machine, "create", "-d", "metalpool", c.machine)
		m, err := r.Engine(t).MachineNamed(t.Context(), labtest.Owner, c.machine)
		if err != nil || m.State != core.Deployed || len(m.Moves) > 0 {
			t.Errorf("%s: %+v, %v\n%s", c.name, m, err, out)
		}
		if !strings.Contains(out, "waiting for "+s.URL) {
			t.Errorf("%s: docker-machine was not told of it:\n%s", c.name, out)
		}
		if said := r.Run(t, "ssh", c.machine, "hostname"); strings.TrimSpace(said) != c.machine {
			t.Errorf("%s: the machine says %q", c.name, said)
		}
	}
	r.Run(t, "rm", "-y", "web-1")
	r.Run(t, "rm", "-y", "web-2")
	r.Settle(t)
	found, err := r.Engine(t).Verify(t.Context())
	if err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	for _, n := range r.Lab.Nodes() {
		n, err := r.Engine(t).Node(t.Context(), n.ID())
		if err != nil || n.State != core.Available || n.Erases != 2 {
			t.Errorf("%s is %s, erased %d times, %v", n.ID, n.State, n.Erases, err)
		}
	}
}

// interrupted runs docker-machine, ends the server once the machine has come to a phase,
// starts it again, and returns what docker-machine has said.
func interrupted(t *testing.T, r *rig, s *labtest.Server, end func(testing.TB), phase func(*testing.T, *rig) func(core.Machine) bool, machine string, args ...string) string {
	t.Helper()
	cmd := r.Command(t, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err := r.reach(t, machine, phase(t, r))
	end(t)
	s.Restart(t)
	if waited := cmd.Wait(); err != nil || waited != nil {
		t.Fatalf("docker-machine %v: %v, %v\n%s", args, err, waited, out.String())
	}
	return out.String()
}
