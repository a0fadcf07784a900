package guest_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/needs"
)

// openSSH runs the real ssh, scp or sftp against a machine, with the options that
// docker-machine gives and the machine's host key as the only one that is trusted.
type openSSH struct {
	options []string
	host    string
}

func newOpenSSH(t *testing.T, m *machine) openSSH {
	t.Helper()
	needs.Program(t, "ssh", "openssh-client")
	dir := t.TempDir()
	host, port, err := net.SplitHostPort(m.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	identity, known := filepath.Join(dir, "id"), filepath.Join(dir, "known_hosts")
	for name, text := range map[string]string{identity: m.user.pem, known: "[" + host + "]:" + port + " " + m.host.public + "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return openSSH{host: host, options: []string{
		"-F", "/dev/null", "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + known, "-o", "LogLevel=ERROR",
		"-o", "PasswordAuthentication=no", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "Port=" + port, "-i", identity,
	}}
}

func (o openSSH) run(t *testing.T, input, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append(append([]string{}, o.options...), args...)...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// exitCode is that of a program that was run; -1 if it did not exit by itself.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

func TestRealSSH(t *testing.T) {
	m := boot(t, core.Seed{}, nil)
	o := newOpenSSH(t, m)
	for _, c := range []struct{ name, input, command, want string }{
		{"command", "", "echo hi; exit 3", "hi\n"},
		{"standard input", "one\ntwo\n", "cat | grep two", "two\n"},
		{"installer", "echo installed $0\n", "sudo sh -", "installed sh\n"},
		{"terminal", "", "tty=1; echo on; ls /nope", "on\r\nls: cannot access '/nope': No such file or directory\r\n"},
	} {
		args := []string{"debian@" + o.host, c.command}
		if c.name == "terminal" {
			args = append([]string{"-tt"}, args...)
		}
		out, err := o.run(t, c.input, "ssh", args...)
		if out != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, out, err, c.want)
		}
		if c.name == "command" && exitCode(err) != 3 {
			t.Errorf("%s: %v, want exit status 3", c.name, err)
		}
	}
	out, err := o.run(t, "hostname\nx=5; cat\ntyped\n\x04echo $x\nexit 4\n", "ssh", "-tt", "debian@"+o.host)
	if exitCode(err) != 4 || !strings.Contains(out, "debian@web-1:$ ") || !strings.Contains(out, "\r\nweb-1\r\n") || !strings.Contains(out, "\r\n5\r\n") {
		t.Errorf("interactive: %q, %v", out, err)
	}
	out, err = o.run(t, "cd /etc\npwd\nexit 2\n", "ssh", "-T", "debian@"+o.host)
	if out != "/etc\n" || exitCode(err) != 2 {
		t.Errorf("script: %q, %v", out, err)
	}
	if out, err := o.run(t, "", "ssh", "-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "debian@"+o.host); err == nil {
		t.Errorf("a forwarded port: %q", out)
	}
	if out, err := o.run(t, "", "ssh", "-W", m.Addr().String(), "debian@"+o.host); err == nil {
		t.Errorf("a way into the host's network: %q", out)
	}
}

func TestRealSCP(t *testing.T) {
	m := boot(t, core.Seed{}, nil)
	o := newOpenSSH(t, m)
	dir := t.TempDir()
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB, many packets
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, data, 0o640); err != nil {
		t.Fatal(err)
	}
	at := "debian@" + o.host + ":"
	back := filepath.Join(dir, "back")
	for _, args := range [][]string{
		{big, at + "copy"},
		{at + "copy", back},
		{"-r", dir, at + "tree"},
		{"-r", at + "tree", filepath.Join(dir, "tree")},
		{"-p", big, at + "/tmp/"},
		{"-3", at + "copy", at + "/tmp/three"},
	} {
		if out, err := o.run(t, "", "scp", args...); err != nil {
			t.Errorf("scp %q: %s %v", args, out, err)
		}
	}
	for _, name := range []string{back, filepath.Join(dir, "tree", "big")} {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if out, _ := m.run(t, "stat -c '%s %a %U' copy /tmp/big /tmp/three"); out != "1048576 644 debian\n1048576 640 debian\n1048576 644 debian\n" {
		t.Errorf("on the machine: %q", out)
	}
	for _, args := range [][]string{{big, at + "/etc/big"}, {at + "/root/none", back}, {big, at + "no/dir"}} {
		if out, err := o.run(t, "", "scp", args...); err == nil {
			t.Errorf("scp %q: %s", args, out)
		}
	}
	commands := "put " + big + " moved\nrename moved moved2\nchmod 600 moved2\nln -s moved2 link\nls -l link\nmkdir d\nrmdir d\nrm moved2\n"
	if out, err := o.run(t, commands, "sftp", "-b", "-", "debian@"+o.host); err != nil {
		t.Errorf("sftp: %s %v", out, err)
	}
	if out, _ := m.run(t, "ls"); out != "copy\nlink\ntree\n" {
		t.Errorf("after sftp: %q", out)
	}
}
