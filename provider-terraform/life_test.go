//go:build linux

package main_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/internal/needs"
)

// TestLife goes through the real terraform and the real provider once: a machine is
// taken, logged into in the ways that Terraform's users do, and given back.
func TestLife(t *testing.T) {
	t.Parallel()
	client := needs.Program(t, "ssh", "openssh-client")
	r := newRig(t, 2)
	private, public := newKey(t)
	w := r.newWork(t, `
resource "metalpool_machine" "web" {
  name     = "web-1"
  ssh_keys = ["`+public+`"]
  labels   = { tier = "web" }
  requirements {
    cpus   = 2
    memory = "1GiB"
    disk {
      size = "1GB"
    }
    label {
      key    = "rack"
      op     = "exists"
    }
    place {
      mode  = "spread"
      label = "rack"
    }
  }
  timeouts {
    create = "30m"
  }
  wait_clean = true

  connection {
    host        = self.address
    port        = self.ssh_port
    user        = self.ssh_user
    host_key    = self.ssh_host_key
    timeout     = "20s"
    private_key = file("id")
  }
  provisioner "remote-exec" {
    inline     = ["true"]
    on_failure = continue # the lab's OS has no scp, by which scripts are sent
  }
}
output "known_hosts" { value = metalpool_machine.web.ssh_known_hosts }
`)
	if err := os.WriteFile(filepath.Join(w.dir, "id"), private, 0o600); err != nil {
		t.Fatal(err)
	}
	out := w.apply(t)
	m, there := r.machine(t, "web-1")
	if !there || m.State != "Deployed" || m.Labels["tier"] != "web" {
		t.Fatalf("%+v\n%s", m, out)
	}
	if !strings.Contains(out, "Checking Host Key: true") || !strings.Contains(out, "(remote-exec): Connected!") {
		t.Errorf("no connection with the host key in\n%s", out)
	}
	hosts := filepath.Join(w.dir, "known_hosts")
	if err := os.WriteFile(hosts, []byte(w.run(t, "output", "-raw", "known_hosts")), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), client, "-F", "none", "-i", filepath.Join(w.dir, "id"), "-p", strconv.Itoa(m.Access.SSHPort),
		"-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "UserKnownHostsFile="+hosts, m.Access.SSHUser+"@"+m.Access.Address, "hostname").CombinedOutput()
	if err != nil || !strings.Contains(string(said), "web-1") {
		t.Errorf("ssh: %v: %s", err, said)
	}
	if out := w.run(t, "plan", "-no-color"); !strings.Contains(out, "No changes") {
		t.Errorf("the plan after the apply:\n%s", out)
	}
	w.destroy(t)
	n, err := r.Engine(t).Node(t.Context(), m.Node)
	if err != nil || n.State != "Available" || n.Erases != 2 {
		t.Errorf("destroy with wait_clean leaves %s %s, erased %d times: %v", n.ID, n.State, n.Erases, err)
	}
	r.givenBack(t)
}

// newKey makes a key pair.
func newKey(t *testing.T) (private []byte, public string) {
	t.Helper()
	half, whole, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(whole, "")
	if err != nil {
		t.Fatal(err)
	}
	authorized, err := ssh.NewPublicKey(half)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(authorized)))
}
