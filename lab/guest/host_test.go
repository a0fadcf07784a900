package guest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// Whatever is typed on a machine, nothing of the host is read, changed or run.
func TestNothingReachesTheHost(t *testing.T) {
	host := t.TempDir()
	secret := filepath.Join(host, "secret")
	if err := os.WriteFile(secret, []byte("of the host\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOST_SECRET", "of the host")
	m := boot(t, core.Seed{}, nil)
	for _, command := range []string{
		"sudo cat " + secret, "sudo ls " + host, "sudo cp " + secret + " /tmp/x", "sudo sed -i s/host/guest/ " + secret, "echo x | sudo tee " + secret,
		"sudo rm -f " + secret + "; ls " + secret, "sudo mv " + secret + " /tmp/y", "sudo ln -s " + secret + " /tmp/z && cat /tmp/z", "grep -r host " + host,
		"sudo sh -c 'cat < " + secret + "'", "sudo bash " + secret, "env | grep HOST_SECRET", "cat /proc/self/environ", "cat /proc/1/cmdline", "cat /etc/shadow",
		"python3 -c 'print(1)'", "/usr/bin/perl -e 1", "curl file://" + secret, "curl http://127.0.0.1/", "ssh 127.0.0.1", "nc 127.0.0.1 22", "dd if=" + secret,
		"head " + secret, "tail " + secret, "sort " + secret, "wc " + secret, "readlink -f " + secret, "stat " + secret, "mount", "ps",
	} {
		if out, status := m.run(t, command); strings.Contains(out, "of the host") || status == 0 && !strings.Contains(command, " || ") && out != "" && !strings.HasPrefix(command, "echo x") {
			t.Errorf("%s: status %d, %q", command, status, out)
		}
	}
	o := newOpenSSH(t, m)
	for _, commands := range []string{"get " + secret + " /dev/null\n", "ls " + host + "\n", "rm " + secret + "\n", "rename " + secret + " /tmp/x\n"} {
		if out, err := o.run(t, commands, "sftp", "-b", "-", "debian@"+o.host); err == nil {
			t.Errorf("sftp %q: %s", commands, out)
		}
	}
	if data, err := os.ReadFile(secret); string(data) != "of the host\n" {
		t.Errorf("the host's file is now %q, %v", data, err)
	}
	if list, err := os.ReadDir(host); len(list) != 1 {
		t.Errorf("the host's folder holds %v, %v", list, err)
	}
}
