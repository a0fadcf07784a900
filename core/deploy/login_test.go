package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
)

// home is a user's home folder behind an SSH server that runs commands in a real shell.
type home struct {
	dir      string
	hostKeys []ssh.Signer
	login    ssh.PublicKey
	cut      int           // bytes of input after which the connection breaks; -1: it does not
	ended    chan struct{} // takes the end of each command
	says     *string       // what it says to every command, where it does not run it
	ends     string        // what the shell does in place of every command
}

const maxCommands = 64

func newHome(t *testing.T) *home {
	t.Helper()
	h := &home{dir: t.TempDir(), cut: -1, ended: make(chan struct{}, maxCommands)}
	if err := os.Mkdir(filepath.Join(h.dir, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *home) keysFile() string { return filepath.Join(h.dir, ".ssh", "authorized_keys") }

func (h *home) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// logIn serves the home and logs in there.
func (h *home) logIn(t *testing.T) core.Login {
	t.Helper()
	d, _ := newDeployer(t)
	private, public, err := d.NewHostKeys()
	if err != nil {
		t.Fatal(err)
	}
	h.hostKeys = signers(t, private)
	key, half, err := d.NewLoginKey("a comment")
	if err != nil {
		t.Fatal(err)
	}
	if h.login, _, _, _, err = ssh.ParseAuthorizedKey([]byte(half)); err != nil || !strings.HasSuffix(half, " a comment") {
		t.Fatalf("%q: %v", half, err)
	}
	at := core.Access{Address: "127.0.0.1", SSHPort: listen(t, h.serve), SSHUser: "debian", HostKeys: public}
	login, err := d.LogIn(t.Context(), at, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = login.Close() })
	return login
}

func (h *home) serve(c net.Conn) {
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(k.Marshal(), h.login.Marshal()) {
			return nil, io.EOF
		}
		return &ssh.Permissions{}, nil
	}}
	for _, k := range h.hostKeys {
		config.AddHostKey(k)
	}
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			if r.Type == "exec" {
				_ = r.Reply(true, nil)
				go h.run(conn, channel, r.Payload)
			}
		}
	}
}

// run runs a command as sshd does: a connection that breaks is the end of its input, and
// not of the command.
func (h *home) run(conn io.Closer, channel ssh.Channel, payload []byte) {
	defer func() { h.ended <- struct{}{} }()
	defer func() { _ = channel.Close() }()
	var asked struct{ Command string }
	if ssh.Unmarshal(payload, &asked) != nil {
		return
	}
	if h.says != nil {
		asked.Command = "printf %s '" + *h.says + "'"
	}
	if h.ends != "" {
		asked.Command = h.ends
	}
	cmd := exec.Command("sh", "-c", asked.Command) //nolint:noctx // it ends by itself
	cmd.Dir, cmd.Env = h.dir, []string{"HOME=" + h.dir, "PATH=" + h.dir + ":" + os.Getenv("PATH")}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = channel, channel, channel.Stderr()
	if h.cut >= 0 {
		cmd.Stdin = io.LimitReader(channel, int64(h.cut))
		defer func() { _ = conn.Close() }()
	}
	err := cmd.Run()
	var exit *exec.ExitError
	status := struct{ Status uint32 }{}
	if errors.As(err, &exit) {
		if exit.Sys().(syscall.WaitStatus).Signaled() {
			_, _ = channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal, Message, Language string
				Dumped                    bool
			}{Signal: "TERM"}))
			return
		}
		status.Status = uint32(exit.ExitCode())
	}
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
}

func TestKeysAreReplaced(t *testing.T) {
	h := newHome(t)
	h.write(t, ".ssh/authorized_keys", "ssh-ed25519 AAAA ann\r\n\n  # hers\n", 0o600)
	login := h.logIn(t)
	there, err := login.Keys(t.Context())
	if want := []string{"ssh-ed25519 AAAA ann", "# hers"}; err != nil || !slices.Equal(there, want) {
		t.Fatalf("%q, %v", there, err)
	}
	if err := login.SetKeys(t.Context(), []string{"ssh-ed25519 BBBB ann", "# it's bob's"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(h.keysFile())
	if err != nil || string(text) != "ssh-ed25519 BBBB ann\n# it's bob's\n" {
		t.Errorf("%q, %v", text, err)
	}
	info, err := os.Stat(h.keysFile())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// The end of a connection is the end of the command's input, too: what is there of it by
// then is not to be taken for all.
func TestAConnectionThatBreaksLeavesTheOldKeys(t *testing.T) {
	const old = "ssh-ed25519 AAAA ann\n"
	for _, cut := range []int{0, 1, len(old), len(old) + 5} {
		h := newHome(t)
		h.write(t, ".ssh/authorized_keys", old, 0o600)
		login := h.logIn(t)
		h.cut = cut
		err := login.SetKeys(t.Context(), []string{"ssh-ed25519 BBBB ann", "ssh-ed25519 CCCC bob"})
		if !core.Is(err, core.Transient, core.Backend) {
			t.Errorf("cut after %d bytes: %v", cut, err)
		}
		<-h.ended
		if text, err := os.ReadFile(h.keysFile()); err != nil || string(text) != old {
			t.Errorf("cut after %d bytes: %q, %v", cut, text, err)
		}
	}
}

// What was not read as a whole would be written back as a part.
func TestTooManyKeysAreRefused(t *testing.T) {
	h := newHome(t)
	h.write(t, ".ssh/authorized_keys", strings.Repeat("ssh-ed25519 AAAA ann\n", 1<<16), 0o600)
	if there, err := h.logIn(t).Keys(t.Context()); !core.Is(err, core.Backend) {
		t.Errorf("%d keys, %v", len(there), err)
	}
}

func TestCloudInitIsWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		kind         core.Kind // "" is that it is done
		say          string
	}{
		{"done", "echo ....; echo; echo status: done", "", ""},
		{"done with warnings", "echo status: done; exit 2", "", ""},
		{"failed", "printf '................'; echo; echo 'status: error'; exit 1", core.Invalid, "it ended with status 1: status: error;"},
		{"talks for ever", "yes talk | head -c 100000; exit 1", core.Invalid, "status 1: talk talk"},
		{"stopped by a restart", "kill -TERM $$", core.Transient, ""},
		{"no such program", "exit 127", core.Invalid, "no cloud-init that can be asked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t)
			h.write(t, "cloud-init", "#!/bin/sh\n"+tt.script+"\n", 0o700)
			err := h.logIn(t).AwaitCloudInit(t.Context())
			if tt.kind == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !core.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.say) || len(err.Error()) > 1000 {
				t.Errorf("%.2000v", err)
			}
		})
	}
}
