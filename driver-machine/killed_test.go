//go:build linux

package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/labtest"
)

// TestKilledCreate ends a create in each phase, in each way, and then does one of
// the things that people do. No server may be lost by it.
func TestKilledCreate(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		phase func(*testing.T, *rig) func(core.Machine) bool
		kill  func(*testing.T, *exec.Cmd)
		after func(*testing.T, *rig, string)
	}{
		{"all/before the ramdisk/rm", deploying, killAll, remove},
		{"all/before the image/rm", met("boot ramdisk"), killAll, remove},
		{"all/before the boot/rm", met("write seed"), killAll, remove},
		{"all/before ssh/rm", met("eject media"), killAll, remove},
		{"docker-machine/before the image/rm", met("boot ramdisk"), killCLI, remove},
		{"plugin/before the image/rm", met("boot ramdisk"), killPlugin, remove},
		{"Ctrl-C/before the ramdisk/nothing", deploying, interrupt, givenBack},
		{"Ctrl-C/before the boot/nothing", met("write seed"), interrupt, givenBack},
		{"kill of docker-machine and plugin/before the image/nothing", met("boot ramdisk"), terminate, givenBack},
	}
	r := newRig(t, t.TempDir(), len(cases))
	var all sync.WaitGroup // most of the time is waiting, so that all go at once
	for i, c := range cases {
		all.Go(func() {
			t.Run(c.name, func(t *testing.T) {
				node, name := r.Lab.Nodes()[i].ID(), "web-"+strconv.Itoa(i)
				cmd := r.Command(t, "create", "-d", "metalpool", "--metalpool-node", string(node), name)
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				var out strings.Builder
				cmd.Stdout, cmd.Stderr = &out, &out
				cmd.WaitDelay = labtest.Patience // plugins hold the pipe for a while
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				err := r.reach(t, name, c.phase(t, r))
				c.kill(t, cmd)
				if waited := cmd.Wait(); err != nil || waited == nil {
					t.Fatalf("create was to be ended in its middle: %v, %v\n%s", err, waited, out.String())
				}
				c.after(t, r, name)
				r.Settle(t)
				n, err := r.Engine(t).Node(t.Context(), node)
				if err != nil {
					t.Fatal(err)
				}
				if n.State != core.Available || n.Erases != 2 {
					t.Errorf("%s is %s (%s) and was erased %d times\n%s", node, n.State, n.Reason, n.Erases, out.String())
				}
				if m, err := r.Engine(t).MachineNamed(t.Context(), "e2e", name); !core.Is(err, core.NotFound) {
					t.Errorf("the pool still has %+v, %v", m, err)
				}
			})
		})
	}
	all.Wait()
}

func deploying(*testing.T, *rig) func(core.Machine) bool {
	return func(m core.Machine) bool { return m.State == core.Deploying }
}

// met is true once a step of the deploy is recorded as done.
func met(step string) func(*testing.T, *rig) func(core.Machine) bool {
	return func(t *testing.T, r *rig) func(core.Machine) bool {
		e := r.Engine(t)
		return func(m core.Machine) bool {
			events, err := e.Events(context.Background(), core.EventFilter{Allocation: m.ID})
			if err != nil {
				t.Error(err)
				return true
			}
			for _, event := range events {
				if event.Type == core.StepMet && event.Step == step {
					return true
				}
			}
			return false
		}
	}
}

func killAll(t *testing.T, cmd *exec.Cmd)   { signal(t, -cmd.Process.Pid, syscall.SIGKILL) }
func interrupt(t *testing.T, cmd *exec.Cmd) { signal(t, -cmd.Process.Pid, syscall.SIGINT) }
func terminate(t *testing.T, cmd *exec.Cmd) { signal(t, -cmd.Process.Pid, syscall.SIGTERM) }
func killCLI(t *testing.T, cmd *exec.Cmd)   { signal(t, cmd.Process.Pid, syscall.SIGKILL) }
func killPlugin(t *testing.T, cmd *exec.Cmd) {
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/task/*/children")
	killed := 0
	for _, list := range lists {
		for _, field := range strings.Fields(text(t, list)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			signal(t, pid, syscall.SIGKILL)
			killed++
		}
	}
	if killed == 0 {
		t.Error("docker-machine has no plugin")
	}
}

func signal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Error(err)
	}
}

func remove(t *testing.T, r *rig, name string) { r.Run(t, "rm", "-y", name) }

// givenBack waits until the driver, by itself, has released what it took.
func givenBack(t *testing.T, r *rig, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), labtest.Patience)
	defer cancel()
	for {
		_, err := r.Engine(t).MachineNamed(ctx, "e2e", name)
		if core.Is(err, core.NotFound) {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("it was not given back: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	remove(t, r, name)
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
