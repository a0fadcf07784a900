package guest_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/seed"
	"github.com/metalpool/metalpool/lab/guest"
)

// disk is a Journal that lives as long as the test holds it.
type disk struct{ changes [][]byte }

func (d *disk) Replay(apply func([]byte) error) error {
	for _, change := range d.changes {
		if err := apply(change); err != nil {
			return err
		}
	}
	return nil
}
func (d *disk) Append(change []byte) error  { d.changes = append(d.changes, change); return nil }
func (d *disk) Rewrite(change []byte) error { d.changes = [][]byte{change}; return nil }

// key is a private key, its PEM and its public half.
type key struct {
	signer ssh.Signer
	pem    string
	public string
}

func newKey(t *testing.T) key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key{signer, string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))}
}

// machine is a guest with what a test needs to get in.
type machine struct {
	*guest.Guest
	user, host key
	disk       *disk
	config     guest.Config
}

// boot renders the seed as metalpool does and starts a machine from it.
func boot(t *testing.T, s core.Seed, change func(*guest.Config)) *machine {
	t.Helper()
	m := &machine{user: newKey(t), host: newKey(t), disk: &disk{}}
	if s.InstanceID == "" {
		s.InstanceID = "attempt-1"
	}
	if s.User == "" {
		s.User = "debian"
	}
	if s.Hostname == "" {
		s.Hostname = "web-1"
	}
	s.Keys = append(s.Keys, m.user.public)
	s.HostKeys = []string{m.host.pem}
	s.MACs = []string{"02:00:00:00:00:01"}
	image, err := seed.Render(s)
	if err != nil {
		t.Fatal(err)
	}
	files, err := seed.Read(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	m.config = guest.Config{Seed: files, Journal: m.disk, Address: "127.0.0.1", CPUs: 8, Memory: 32 << 30, Now: time.Now}
	if change != nil {
		change(&m.config)
	}
	m.start(t)
	return m
}

func (m *machine) start(t *testing.T) {
	t.Helper()
	g, err := guest.Boot(m.config)
	if err != nil {
		t.Fatal(err)
	}
	m.Guest = g
	t.Cleanup(func() {
		if err := g.Shutdown(); err != nil {
			t.Error(err)
		}
	})
}

// restart cuts the power and boots again.
func (m *machine) restart(t *testing.T) {
	t.Helper()
	if err := m.Shutdown(); err != nil {
		t.Fatal(err)
	}
	m.start(t)
}

func (m *machine) dial(user string, with key) (*ssh.Client, error) {
	return ssh.Dial("tcp", m.Addr().String(), &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(with.signer)}, Timeout: time.Minute,
		HostKeyCallback: ssh.FixedHostKey(m.host.signer.PublicKey()),
	})
}

// run runs a command as the seed's user and returns its output and status.
func (m *machine) run(t *testing.T, command string) (string, int) {
	t.Helper()
	return m.runAs(t, "debian", m.user, command)
}

func (m *machine) runAs(t *testing.T, user string, with key, command string) (string, int) {
	t.Helper()
	client, err := m.dial(user, with)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err := session.CombinedOutput(command)
	status := 0
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		status = exit.ExitStatus()
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out), status
}

func TestLogin(t *testing.T) {
	m := boot(t, core.Seed{}, nil)
	if out, status := m.run(t, "whoami; hostname; pwd; echo $HOME $0"); out != "debian\nweb-1\n/home/debian\n/home/debian bash\n" || status != 0 {
		t.Errorf("%q, status %d", out, status)
	}
	if out, status := m.run(t, "exit 9"); out != "" || status != 9 {
		t.Errorf("exit 9: %q, status %d", out, status)
	}
	other := newKey(t)
	for user, with := range map[string]key{"debian": other, "nobody": m.user, "root": other, "ana": m.user} {
		if c, err := m.dial(user, with); err == nil {
			c.Close()
			t.Errorf("%s was let in", user)
		}
	}
	if out, status := m.runAs(t, "root", m.user, "id -u"); !strings.Contains(out, `Please login as the user "debian"`) || status != 142 {
		t.Errorf("root: %q, status %d", out, status)
	}
	_, err := ssh.Dial("tcp", m.Addr().String(), &ssh.ClientConfig{User: "debian", Auth: []ssh.AuthMethod{ssh.Password("x")}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err == nil {
		t.Error("a password was taken")
	}
	if s := m.Stats(); s.Logins != 3 || s.Refused < 4 || s.Commands != 3 {
		t.Errorf("counted %+v", s)
	}
}

// The keys that are let in are those in the file, as it is now; what an earlier
// tenant of the same host name and user had is of no use.
func TestKeysFollowTheFile(t *testing.T) {
	m := boot(t, core.Seed{}, nil)
	added := newKey(t)
	if out, status := m.run(t, "echo '"+added.public+"' >> ~/.ssh/authorized_keys"); status != 0 {
		t.Fatal(out)
	}
	if out, _ := m.runAs(t, "debian", added, "sed -i '1d' .ssh/authorized_keys; echo ok"); out != "ok\n" {
		t.Errorf("the added key: %q", out)
	}
	if _, err := m.dial("debian", m.user); err == nil {
		t.Error("the removed key was let in")
	}
	m.restart(t)
	if out, _ := m.runAs(t, "debian", added, "echo ok"); out != "ok\n" {
		t.Errorf("the added key after a restart: %q", out)
	}
}

func TestHostKeyOfAFault(t *testing.T) {
	wrong := newKey(t)
	m := boot(t, core.Seed{}, func(c *guest.Config) { c.HostKey = wrong.signer })
	if _, err := m.dial("debian", m.user); err == nil {
		t.Error("the machine shows its own host key")
	}
	m.host = wrong
	if out, _ := m.run(t, "echo ok"); out != "ok\n" {
		t.Errorf("%q", out)
	}
}

func TestFilesOutliveARestart(t *testing.T) {
	m := boot(t, core.Seed{}, nil)
	if out, status := m.run(t, "echo kept > f; echo lost > /tmp/f; sudo hostname other; sudo sh -c 'echo system > /etc/x'"); status != 0 {
		t.Fatal(out)
	}
	m.restart(t)
	out, _ := m.run(t, "cat f /etc/x; cat /tmp/f 2>&1; hostname; sudo systemctl is-active docker")
	if want := "kept\nsystem\ncat: /tmp/f: No such file or directory\nweb-1\nactive\n"; out != want {
		t.Errorf("%q, want %q", out, want)
	}
	m.disk.changes = nil // the image is written again
	m.restart(t)
	if out, _ := m.run(t, "cat f"); out != "cat: f: No such file or directory\n" {
		t.Errorf("after the disk was written: %q", out)
	}
}

// Who leaves a command in the background does not wait for it.
func TestBackgroundCommandsAreHungUpOn(t *testing.T) {
	m := boot(t, core.Seed{}, nil)
	if out, status := m.run(t, "sleep 10000 & echo started; timeout 0.01 sleep 2m; echo $?"); out != "started\n124\n" || status != 0 {
		t.Errorf("%q, status %d", out, status)
	}
}

// Shutdown ends what runs, and nothing listens afterwards.
func TestShutdown(t *testing.T) {
	m := boot(t, core.Seed{}, nil)
	client, err := m.dial("debian", m.user)
	if err != nil {
		t.Fatal(err)
	}
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("echo up; sleep 10000; sleep 10000 | cat & while :; do sleep 1; done"); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if err := m.Shutdown(); err != nil {
		t.Error(err)
	}
	if err := session.Wait(); err == nil {
		t.Error("the command ended well")
	}
	if c, err := new(net.Dialer).DialContext(t.Context(), "tcp", m.Addr().String()); err == nil {
		c.Close()
		t.Error("SSH still listens")
	}
	if err := m.Shutdown(); err != nil {
		t.Errorf("a second shutdown: %v", err)
	}
}

func TestPowerFromInside(t *testing.T) {
	asked := make(chan bool, 4)
	m := boot(t, core.Seed{}, func(c *guest.Config) { c.Power = func(restart bool) { asked <- restart } })
	for command, want := range map[string]bool{"sudo shutdown -r now": true, "sudo reboot": true, "sudo poweroff": false, "sudo systemctl reboot": true} {
		if out, status := m.run(t, command); status != 0 {
			t.Errorf("%s: %s", command, out)
		}
		if got := <-asked; got != want {
			t.Errorf("%s asked for restart=%v", command, got)
		}
	}
	if _, status := m.run(t, "/sbin/reboot"); status == 0 || len(asked) > 0 {
		t.Error("a user without sudo restarted the machine")
	}
}

func TestCloudConfig(t *testing.T) {
	ana := newKey(t)
	m := boot(t, core.Seed{User: "admin", UserData: []byte(fmt.Sprintf(`#cloud-config
hostname: from-user-data
users:
  - name: ana
    ssh_authorized_keys: [%q]
write_files:
  - {path: /opt/app/run.sh, content: "#!/bin/sh\necho ran $1 as $(whoami)\n", permissions: "0755"}
  - {path: /opt/b64, content: aGk=, encoding: b64, owner: "ana:ana", permissions: 0600}
  - {path: /opt/bad, content: "%%%%", encoding: b64}
  - {path: /etc/debian_version, content: more, append: true}
runcmd:
  - [touch, /ran]
packages: [nginx]
`, ana.public))}, nil)
	out, _ := m.runAs(t, "admin", m.user, `hostname; /opt/app/run.sh x; sudo cat /opt/b64; stat -c '%U %a' /opt/b64; cat /etc/debian_version; ls /ran 2>&1; sudo cat /var/lib/cloud/instance/runcmd; sudo grep -c WARNING /var/log/cloud-init.log; cloud-init status --wait`)
	want := "from-user-data\nran x as admin\nhiana 600\n12.10\nmorels: cannot access '/ran': No such file or directory\n- [touch, /ran]\n1\nstatus: done\n"
	if out != want {
		t.Errorf("%q\nwant %q", out, want)
	}
	if out, _ := m.runAs(t, "ana", ana, "whoami; sudo whoami 2>&1; cat /opt/b64"); out != "ana\nsudo: ana is not in the sudoers file.\nhi" {
		t.Errorf("ana: %q", out)
	}
	if c, err := m.dial("ana", m.user); err == nil {
		c.Close()
		t.Error("the owner's key opens ana's account")
	}
}

// User data that is no cloud-config, or a broken one, leaves the way in as it was.
func TestOtherUserData(t *testing.T) {
	for data, want := range map[string]string{
		"#!/bin/sh\ntouch /ran\n":                             "#!/bin/sh\ntouch /ran\n",
		"#cloud-config\nusers: [\n":                           "",
		"#cloud-config\nwrite_files: 7\nssh_pwauth: {a: b}\n": "",
		"MIME-Version: 1.0\n":                                 "",
		"#cloud-config\nssh_authorized_keys: {}\n":            "",
	} {
		m := boot(t, core.Seed{UserData: []byte(data)}, nil)
		out, _ := m.run(t, "sudo cat /var/lib/cloud/instance/scripts/part-001 2>/dev/null; sudo cat /var/lib/cloud/instance/user-data.txt; ls /ran 2>/dev/null")
		if out != want+data {
			t.Errorf("%q: %q", data, out)
		}
	}
	message := "Content-Type: multipart/mixed; boundary=b\nMIME-Version: 1.0\n\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n--b\nContent-Type: text/cloud-config\n\n#cloud-config\nhostname: h\nruncmd: [second]\n--b\nContent-Type: text/cloud-config\nMerge-Type: list(prepend)+dict(no_replace,recurse_list)+str()\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte("#cloud-config\nhostname: other\nruncmd: [first]\n")) + "\n--b--\n"
	parts := boot(t, core.Seed{UserData: []byte(message)}, nil)
	if out, _ := parts.run(t, "hostname; sudo cat /var/lib/cloud/instance/runcmd /var/lib/cloud/instance/scripts/part-001"); out != "h\n- first\n- second\n#!/bin/sh" {
		t.Errorf("of a message it took %q", out)
	}
	m := boot(t, core.Seed{User: "root"}, nil)
	if out, _ := m.runAs(t, "root", m.user, "id -un"); out != "root\n" {
		t.Errorf("root as the login user: %q", out)
	}
}

func TestNoSeedNoBoot(t *testing.T) {
	for name, files := range map[string]seed.Files{
		"bad meta-data": {Meta: []byte("instance-id: [")},
		"bad host key":  {Meta: []byte("instance-id: x"), Vendor: []byte("#cloud-config\nssh_keys: {ed25519_private: secret-text}\n")},
	} {
		_, err := guest.Boot(guest.Config{Seed: files, Journal: &disk{}, Address: "127.0.0.1", Now: time.Now})
		if err == nil || strings.Contains(err.Error(), "secret-text") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
