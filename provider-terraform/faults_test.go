//go:build linux

package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/labtest"
)

// TestFaults ends applies in ways that happen, and looks what becomes of the servers:
// none may be lost, and none that is good may be given up.
func TestFaults(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		run  func(t *testing.T, w *work, name string, node core.NodeID)
	}{
		{"interrupted apply is gone on with", interruptedApply},
		{"killed provider is adopted", killedProvider},
		{"killed apply is adopted", killedApply},
		{"lost state is told how to import", lostState},
		{"failed deploy is replaced", failedDeploy},
		{"failed redeploy is finished", failedRedeploy},
		{"failed redeploy by an action is finished", failedAction},
		{"another pool is no proof of a loss", anotherPool},
		{"no server leaves nothing behind", noServer},
	}
	r := newRig(t, len(cases))
	var all sync.WaitGroup // most of the time is waiting, so that all go at once
	for i, c := range cases {
		all.Go(func() {
			t.Run(c.name, func(t *testing.T) {
				node, name := r.Lab.Nodes()[i].ID(), "web-"+strconv.Itoa(i)
				w := r.newWork(t, machineBlock(name, fmt.Sprintf("node = %q", node)))
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

// begin starts an apply and waits until the ramdisk of the server has called.
func (w *work) begin(t *testing.T, name string) (*exec.Cmd, *bytes.Buffer, core.Machine) {
	t.Helper()
	cmd := w.command(t, "apply", "-auto-approve", "-no-color")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = labtest.Patience // workers hold the pipe for a while
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e := w.r.Engine(t)
	m := w.r.reach(t, name, func(m core.Machine) bool {
		events, err := e.Events(t.Context(), core.EventFilter{Allocation: m.ID})
		if err != nil {
			t.Error(err)
			return true
		}
		for _, event := range events {
			if event.Type == core.StepMet && event.Step == "boot ramdisk" {
				return true
			}
		}
		return false
	})
	return cmd, &out, m
}

// saved is the machine in the state file, with its status.
func (w *work) saved(t *testing.T) (status string, attributes map[string]any) {
	t.Helper()
	return w.savedAs(t, "metalpool_machine")
}

// savedAs is the one resource of a type in the state file, with its status.
func (w *work) savedAs(t *testing.T, kind string) (status string, attributes map[string]any) {
	t.Helper()
	var state struct {
		Resources []struct {
			Type      string
			Instances []struct {
				Status     string
				Attributes map[string]any
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, r := range state.Resources {
		if r.Type == kind && len(r.Instances) > 0 {
			return r.Instances[0].Status, r.Instances[0].Attributes
		}
	}
	return "", nil
}

// refuse runs an apply that must fail, and returns what it says.
func (w *work) refuse(t *testing.T) string {
	t.Helper()
	out, err := w.command(t, "apply", "-auto-approve", "-no-color").CombinedOutput()
	if err == nil {
		t.Errorf("the apply was to fail\n%s", out)
	}
	return string(out)
}

// says checks what terraform printed, however it broke the lines.
func says(t *testing.T, out string, words ...string) {
	t.Helper()
	out = strings.Join(strings.Fields(out), " ")
	for _, word := range words {
		if !strings.Contains(out, word) {
			t.Errorf("it does not say %q:\n%s", word, out)
		}
	}
}

// mended checks that the next apply has brought the same allocation to its end.
func (w *work) mended(t *testing.T, name string, before core.Machine) {
	t.Helper()
	w.apply(t)
	after, _ := w.r.machine(t, name)
	if after.State != core.Deployed || after.ID != before.ID || after.Node != before.Node {
		t.Errorf("it was %+v and is %+v", before, after)
	}
	if status, attributes := w.saved(t); status != "" || attributes["id"] != string(after.ID) || attributes["state"] != "Deployed" {
		t.Errorf("the state has %q %v", status, attributes)
	}
	if out := w.run(t, "plan", "-no-color"); !strings.Contains(out, "No changes") {
		t.Errorf("the plan after it:\n%s", out)
	}
}

func interruptedApply(t *testing.T, w *work, name string, _ core.NodeID) {
	cmd, out, before := w.begin(t, name)
	kill(t, -cmd.Process.Pid, syscall.SIGINT) // as Ctrl-C does
	if err := cmd.Wait(); err == nil {
		t.Errorf("an interrupted apply succeeds\n%s", out)
	}
	if status, attributes := w.saved(t); status != "" || attributes["id"] != string(before.ID) {
		t.Errorf("the state has %q %v\n%s", status, attributes, out)
	}
	says(t, out.String(), "Machine "+name+" is not ready")
	says(t, w.run(t, "plan", "-no-color"), "will be updated in-place", "goes on with its deploy")
	w.mended(t, name, before)
}

func killedProvider(t *testing.T, w *work, name string, _ core.NodeID) {
	cmd, out, before := w.begin(t, name)
	killed := 0
	for _, pid := range children(t, cmd.Process.Pid) {
		kill(t, pid, syscall.SIGKILL)
		killed++
	}
	if err := cmd.Wait(); err == nil || killed == 0 {
		t.Errorf("%d providers were killed: %v\n%s", killed, err, out)
	}
	if _, attributes := w.saved(t); attributes != nil {
		t.Errorf("a provider that was killed has left %v", attributes)
	}
	w.r.lapse(t, before.Node)
	w.mended(t, name, before)
}

func killedApply(t *testing.T, w *work, name string, _ core.NodeID) {
	cmd, _, before := w.begin(t, name)
	kill(t, -cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
	w.r.lapse(t, before.Node)
	w.mended(t, name, before)
}

func lostState(t *testing.T, w *work, name string, node core.NodeID) {
	w.write(t, machineBlock(name, fmt.Sprintf("node = %q", node), `user_data = "#!/bin/sh\n"`))
	w.apply(t)
	before, _ := w.r.machine(t, name)
	if err := os.Remove(filepath.Join(w.dir, "terraform.tfstate")); err != nil {
		t.Fatal(err)
	}
	says(t, w.refuse(t), "there is one already", string(before.ID), "metalpool machine release "+string(before.ID), "terraform import")
	w.run(t, "import", web, string(before.ID))
	// What nobody but the configuration knows is taken as given, and deploys nothing.
	says(t, w.run(t, "plan", "-no-color"), "will be updated in-place", "Machine "+name+" was imported")
	w.mended(t, name, before)
	if after, _ := w.r.machine(t, name); after.Access.HostKeys[0] != before.Access.HostKeys[0] {
		t.Error("it was deployed anew")
	}
}

func failedDeploy(t *testing.T, w *work, name string, node core.NodeID) {
	w.r.wear(t, node)
	says(t, w.refuse(t), "Node: "+string(node), "Phase: write", "medium error", "What to do:", "terraform untaint")
	before, _ := w.r.machine(t, name)
	if status, attributes := w.saved(t); status != "tainted" || attributes["id"] != string(before.ID) || before.State != core.Failed {
		t.Errorf("the state has %q %v, and the pool %+v", status, attributes, before)
	}
	w.r.mend(t, node)
	w.r.Settle(t)
	w.apply(t)
	if after, _ := w.r.machine(t, name); after.State != core.Deployed || after.ID == before.ID {
		t.Errorf("it was %+v and is %+v", before, after)
	}
}

func failedRedeploy(t *testing.T, w *work, name string, node core.NodeID) {
	w.apply(t)
	before, _ := w.r.machine(t, name)
	w.r.wear(t, node)
	config := machineBlock(name, fmt.Sprintf("node = %q", node), `image = "lab-2"`, `allow_redeploy = ["image"]`)
	w.write(t, machineBlock(name, fmt.Sprintf("node = %q", node), `image = "lab-2"`, `allow_redeploy = ["image"]`, `deletion_protection = true`))
	says(t, w.refuse(t), "is deployed anew", "Node: "+string(node), "medium error", "the next apply tries again")
	if status, attributes := w.saved(t); status != "" || attributes["state"] != "Failed" {
		t.Errorf("the state has %q %v", status, attributes)
	}
	out, err := w.command(t, "destroy", "-auto-approve", "-no-color").CombinedOutput()
	if err == nil {
		t.Error("its protection did not outlast its system")
	}
	says(t, string(out), "is protected")
	w.r.mend(t, node)
	w.write(t, config)
	w.mended(t, name, before)
}

func anotherPool(t *testing.T, w *work, name string, _ core.NodeID) {
	w.apply(t)
	other := newRig(t, 1)
	settings := w.settings
	w.settings = append(w.settings[:len(w.settings):len(w.settings)], "METALPOOL_URL="+other.URL)
	says(t, w.refuse(t), "This pool has never had", "terraform state rm")
	out, err := w.command(t, "destroy", "-auto-approve", "-no-color", "-refresh=false").CombinedOutput()
	if err == nil {
		t.Error("the other pool has taken it for given back")
	}
	says(t, string(out), "This pool has never had")
	w.settings = settings
	if _, there := w.r.machine(t, name); !there {
		t.Error("the machine is gone")
	}
}

func noServer(t *testing.T, w *work, name string, node core.NodeID) {
	e := w.r.Engine(t)
	if _, err := e.Pause(t.Context(), node, "a test"); err != nil {
		t.Fatal(err)
	}
	says(t, w.refuse(t), "As things are now, the apply would fail", "Could not acquire "+name+": no server fits now", "What to do:")
	if _, attributes := w.saved(t); attributes != nil {
		t.Errorf("the state has %v", attributes)
	}
	if _, err := e.Resume(t.Context(), node, ""); err != nil {
		t.Fatal(err)
	}
}

func kill(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Error(err)
	}
}

func children(t *testing.T, pid int) []int {
	t.Helper()
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	var found []int
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, child)
		}
	}
	return found
}

// lapse ends the lease of a worker that was killed, as a minute would.
func (r *rig) lapse(t *testing.T, node core.NodeID) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), r.URL, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	err = store.Update(t.Context(), func(tx core.Tx) error {
		l, err := tx.Lease(node)
		if err != nil {
			return err
		}
		before := l.Generation
		l.Holder, l.Generation = "", before+1
		return tx.SwapLease(l, before)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wear makes every write to a server's disks fail, until mend.
func (r *rig) wear(t *testing.T, node core.NodeID) {
	t.Helper()
	n, err := r.Lab.Node(node)
	if err == nil {
		err = n.AddFault(lab.NewFault{Machine: &lab.Fault{Kind: lab.WriteError, Count: lab.Forever}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) mend(t *testing.T, node core.NodeID) {
	t.Helper()
	n, err := r.Lab.Node(node)
	if err != nil {
		t.Fatal(err)
	}
	n.ClearFaults()
}
