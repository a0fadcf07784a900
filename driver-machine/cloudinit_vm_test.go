//go:build linux && vm

package main_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab"
)

// usersMessage is user data of two parts, as cloud-init's own tool writes it: the user's
// commands and a script.
const usersMessage = `Content-Type: multipart/mixed; boundary="===2205=="
MIME-Version: 1.0

--===2205==
Content-Type: text/cloud-config; charset="us-ascii"
MIME-Version: 1.0

#cloud-config
runcmd:
- echo user >> /root/told
write_files:
- path: /root/users
  content: theirs

--===2205==
Content-Type: text/x-shellscript; charset="us-ascii"
MIME-Version: 1.0

#!/bin/sh
echo script >> /root/told

--===2205==--
`

// TestVMCloudInit has a real cloud-init join what an operator adds with user data that has
// parts itself, and a script of the user's come after both.
func TestVMCloudInit(t *testing.T) {
	needs.QEMU(t)
	image := needs.DebianDocker(t)
	t.Setenv("METALPOOL_RAMDISK", needs.Ramdisk(t))
	r := startRig(t, t.TempDir(), lab.Config{Nodes: 1, VM: &lab.VM{}}, image, 20*time.Minute)
	node := r.Lab.Nodes()[0]
	t.Cleanup(func() {
		if t.Failed() {
			recent, _, stop := node.Console()
			stop()
			t.Logf("its console ends:\n%s", recent[max(0, len(recent)-6000):])
		}
	})
	profile := "site"
	_, err := r.Engine(t).Apply(t.Context(), core.Declaration{
		By: core.DeclaredIn("site.yaml"),
		Steps: []core.Step{
			{Name: "first", CloudInit: &core.CloudInitStep{Config: "runcmd:\n- echo {{.Node.ID}} >> /root/told\nwrite_files:\n- path: /root/site\n  content: öurs\n"}},
			{Name: "second", After: []string{"first"}, CloudInit: &core.CloudInitStep{Config: "runcmd:\n- echo second >> /root/told\n"}},
		},
		Profiles: []core.Profile{{Name: profile, Steps: []string{"second", "first"}}},
		Pools:    []core.PoolDeclaration{{Name: core.DefaultPool, Profile: &profile}},
	}, core.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	r.Run(t, "create", "-d", "metalpool", "--metalpool-init-file", file("init", usersMessage),
		"--metalpool-post-deploy", file("setup.sh", "#!/bin/sh\ncat /root/told /root/site /root/users > /root/all; hostname >> /root/all\n"), "web-1")
	// cloud-init runs scripts before commands; of these the operator's come first.
	want := "script\n" + string(node.ID()) + "\nsecond\nuser\nöurstheirsweb-1\n"
	if out := r.Run(t, "ssh", "web-1", "sudo cat /root/all"); out != want {
		t.Errorf("the machine has %q, and not %q", out, want)
	}
	r.Run(t, "rm", "-y", "web-1")
	r.Settle(t)
}
