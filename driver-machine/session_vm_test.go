//go:build linux && vm

package main_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab"
)

// TestVMSession is what a user of docker-machine does, on a virtual machine: firmware,
// ramdisk, disk, Debian and Docker Engine are real. So is what the operator has added.
func TestVMSession(t *testing.T) {
	needs.QEMU(t)
	docker, image := needs.Docker(t), needs.DebianDocker(t)
	t.Setenv("METALPOOL_RAMDISK", needs.Ramdisk(t))
	// Without KVM a first boot takes minutes.
	r := startRig(t, t.TempDir(), lab.Config{Nodes: 1, VM: &lab.VM{}}, image, 20*time.Minute)
	node := r.Lab.Nodes()[0]
	t.Cleanup(func() {
		if t.Failed() {
			recent, _, stop := node.Console()
			stop()
			t.Logf("its console ends:\n%s", recent[max(0, len(recent)-6000):])
		}
	})
	r.declareSteps(t, stepsOfSession)
	mark := newMark()
	if onDisks(t, node, mark) {
		t.Fatal("the disks are marked before anybody had them")
	}

	r.Run(t, "create", "-d", "metalpool", "web-1")
	want := "cloud-init\nscript on " + string(node.ID()) + "\nansible of web-1 on Debian\n"
	if out := r.Run(t, "ssh", "web-1", "cat /etc/told"); out != want {
		t.Errorf("steps have left %q on the machine, and not %q", out, want)
	}
	engine := r.dockerEnv(t, "web-1")
	version := engine(t, docker, nil, "info", "--format", "{{.ServerVersion}} {{.OperatingSystem}}")
	if !strings.Contains(version, "Debian GNU/Linux 12") {
		t.Errorf("docker info tells of %q", version)
	}
	// docker-machine itself is one static program, enough for a root file system.
	engine(t, docker, archive(t, r.Program, "docker-machine"), "import", "-", "hello")
	if out := engine(t, docker, nil, "run", "--rm", "hello", "/docker-machine", "--version"); !strings.Contains(out, "0.16.2") {
		t.Errorf("the container said %q", out)
	}
	r.Run(t, "ssh", "web-1", "echo "+mark+" | sudo tee /var/lib/mark >/dev/null && sudo sync")
	if !onDisks(t, node, mark) {
		t.Fatal("what the owner wrote is on no disk, so its end would prove nothing")
	}

	r.Run(t, "stop", "web-1")
	r.Run(t, "start", "web-1")
	if out := engine(t, docker, nil, "images", "--format", "{{.Repository}}"); !strings.Contains(out, "hello") {
		t.Errorf("after a stop and a start there are the images %q", out)
	}

	r.Run(t, "rm", "-y", "web-1")
	r.Settle(t)
	n, err := r.Engine(t).Node(t.Context(), node.ID())
	if err != nil {
		t.Fatal(err)
	}
	if n.State != core.Available || n.Erases != 2 {
		t.Errorf("%s is %s (%s) and was erased %d times", n.ID, n.State, n.Reason, n.Erases)
	}
	if onDisks(t, node, mark) {
		t.Error("what the owner wrote is still on a disk")
	}
	said := r.said(t, node.ID())
	if look := said["look"]; !strings.HasPrefix(look, string(node.ID())+" web-1 of default 0 /tmp/") || !strings.HasSuffix(look, "\ncache = on\nBusyBox\n") {
		t.Errorf("in the ramdisk it said %q", look)
	}
	if left := said["sign-off"]; left != want+"node = "+string(node.ID())+"\n" {
		t.Errorf("before the release it said %q", left)
	}
	if disks := strings.Fields(strings.ReplaceAll(said["burn-in"], "disk: ", "")); len(disks) != len(node.Disks()) || slices.ContainsFunc(disks, func(left string) bool { return left != "0" }) {
		t.Errorf("after the clean it said %q of %d disks", said["burn-in"], len(node.Disks()))
	}
}

func newMark() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return "mark-" + hex.EncodeToString(b)
}

// onDisks looks from outside the machine.
func onDisks(t *testing.T, n *lab.Node, mark string) bool {
	t.Helper()
	for _, d := range n.Disks() {
		found, err := contains(d.Path, mark)
		if err != nil {
			t.Fatal(err)
		}
		if found {
			return true
		}
	}
	return false
}

func contains(path, mark string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	block := make([]byte, 4<<20)
	for kept := 0; ; {
		n, err := io.ReadFull(f, block[kept:])
		if bytes.Contains(block[:kept+n], []byte(mark)) {
			return true, nil
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		kept = copy(block, block[kept+n-len(mark):kept+n]) // it may lie across
	}
}

// archive is a tar of one file.
func archive(t *testing.T, path, name string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "tar", "-c", "--transform", "s,.*,"+name+",", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// dockerEnv is `eval $(docker-machine env NAME)`; it runs docker with that.
func (r *rig) dockerEnv(t *testing.T, name string) func(t *testing.T, docker string, stdin []byte, args ...string) string {
	t.Helper()
	out, err := r.Command(t, "env", "--shell", "bash", name).Output()
	if err != nil {
		t.Fatalf("docker-machine env: %v\n%s", err, out)
	}
	return func(t *testing.T, docker string, stdin []byte, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", append([]string{"-c", string(out) + "\nexec \"$@\"", "bash", docker}, args...)...)
		cmd.Env = append(os.Environ(), r.Environment...)
		cmd.Stdin = bytes.NewReader(stdin)
		said, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("docker %v: %v\n%s", args, err, said)
		}
		return string(said)
	}
}
