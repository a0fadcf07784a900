package lab_test

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
)

// The management key over a real SSH: used and forgotten by a deploy, or kept to
// change who may log in.
func TestManagementKey(t *testing.T) {
	l := up(t, lab.Config{Nodes: 1})
	p := newPool(t, l)
	mine, other := newKey(t), newKey(t)
	const listKeys = "cat .ssh/authorized_keys; stat -c %a .ssh/authorized_keys"
	keysOf := func(m core.Machine, key ssh.Signer) string {
		t.Helper()
		out, err := onMachine(t.Context(), m, key, listKeys)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return out
	}

	o := order("passing", mine)
	o.WaitFor, o.UserData = core.UntilCloudInit, []byte("#cloud-config\nwrite_files:\n- {path: /opt/done, content: yes}\n")
	m, err := p.Create(t.Context(), o, nil)
	try(t, err)
	if keys := keysOf(m, mine); strings.Contains(keys, "metalpool-management") || !strings.HasSuffix(keys, "600\n") || strings.Count(keys, "ssh-ed25519") != 1 {
		t.Errorf("authorized_keys after a deploy: %s", keys)
	}
	try(t, p.Release(t.Context(), o.ID, core.ReleaseOptions{WaitClean: true}, nil))

	try(t, p.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "demo", ManagementKey: core.ManageAlways}))
	m, err = p.Create(t.Context(), order("staying", mine), nil)
	try(t, err)
	if keys := keysOf(m, mine); strings.Count(keys, "metalpool-management-staying") != 1 {
		t.Errorf("authorized_keys of a managed machine: %s", keys)
	}
	bad := core.MachineChange{Keys: []string{"ssh-ed25519 nonsense"}}
	if _, err := p.Change(t.Context(), m.ID, bad); !core.Is(err, core.Invalid) {
		t.Errorf("a key that is none: %v", err)
	}
	_, err = p.Change(t.Context(), m.ID, core.MachineChange{Keys: []string{string(ssh.MarshalAuthorizedKey(other.PublicKey()))}})
	try(t, err)
	if keys := keysOf(m, other); strings.Count(keys, "ssh-ed25519") != 2 || !strings.HasSuffix(keys, "600\n") {
		t.Errorf("authorized_keys after a change: %s", keys)
	}
	if _, err := onMachine(t.Context(), m, mine, "true"); err == nil {
		t.Error("the old key still logs in")
	}
}
