package deploy_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
)

// listen serves each connection by a function, and returns the port.
func listen(t *testing.T, serve func(net.Conn)) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// sshd is an SSH server with these host keys; it counts who tries to log in.
func sshd(t *testing.T, logins *atomic.Int32, keys ...ssh.Signer) int {
	t.Helper()
	config := &ssh.ServerConfig{
		AuthLogCallback:   func(ssh.ConnMetadata, string, error) { logins.Add(1) },
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, io.EOF },
	}
	for _, k := range keys {
		config.AddHostKey(k)
	}
	return listen(t, func(c net.Conn) {
		_, _, _, _ = ssh.NewServerConn(c, config) // nobody logs in
	})
}

func signers(t *testing.T, private []string) []ssh.Signer {
	t.Helper()
	var list []ssh.Signer
	for _, text := range private {
		s, err := ssh.ParsePrivateKey([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

func TestHostKeysAreShown(t *testing.T) {
	d, _ := newDeployer(t)
	private, public, err := d.NewHostKeys()
	if err != nil {
		t.Fatal(err)
	}
	keys := signers(t, private)
	if len(keys) != 2 || !strings.HasPrefix(public[0], "ssh-ed25519 ") || !strings.HasPrefix(public[1], "ecdsa-sha2-nistp256 ") {
		t.Fatalf("public keys %q", public)
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	oldest, err := ssh.NewSignerFromKey(old)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		keys []ssh.Signer
		want string
	}{
		{"both", keys, public[0]},
		{"in another order", []ssh.Signer{oldest, keys[1], keys[0]}, public[0]},
		{"the older one", []ssh.Signer{oldest, keys[1]}, public[1]},
		{"one that an image came with", []ssh.Signer{oldest}, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(oldest.PublicKey())))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var logins atomic.Int32
			got, err := d.LookAtSSH(t.Context(), "127.0.0.1", sshd(t, &logins, tt.keys...))
			if err != nil || got != (core.SSHLook{Sign: core.KeyShown, Key: tt.want}) {
				t.Errorf("found %+v, %v; want %q", got, err, tt.want)
			}
			if logins.Load() > 0 {
				t.Error("it tried to log in")
			}
		})
	}

	_, again, err := d.NewHostKeys()
	if err != nil || again[0] == public[0] || again[1] == public[1] {
		t.Errorf("the next machine has the same keys: %q, %v", again, err)
	}
}

func TestALookTellsWhatIsThere(t *testing.T) {
	d, _ := newDeployer(t)
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedPort := closed.Addr().(*net.TCPAddr).Port
	_ = closed.Close()
	say := func(words string) int {
		return listen(t, func(c net.Conn) { _, _ = io.WriteString(c, words) })
	}
	for _, tt := range []struct {
		name string
		port int
		want core.Sign
	}{
		{"nothing listens", closedPort, core.Refused},
		{"hangs up", listen(t, func(net.Conn) {}), core.Accepted},
		{"a web server", say("HTTP/1.1 400 Bad Request\r\n\r\n"), core.Accepted},
		{"a word that only looks so", say("not SSH-2.0\r\n"), core.Accepted},
		{"another SSH", say("SSH-2.0-x\r\nand then nonsense that is no packet\r\n"), core.Greeted},
		{"an SSH with a banner", say("welcome\r\nSSH-2.0-x\r\n"), core.Greeted},
	} {
		found, err := d.LookAtSSH(t.Context(), "127.0.0.1", tt.port)
		if !core.Is(err, core.Transient) || !strings.Contains(err.Error(), "127.0.0.1:") || found != (core.SSHLook{Sign: tt.want}) {
			t.Errorf("%s: found %+v, error %v", tt.name, found, err)
		}
	}
}

// A machine that takes the connection and says nothing holds nobody up.
func TestALookEndsWithItsContext(t *testing.T) {
	d, _ := newDeployer(t)
	reason := &core.Error{Op: "work", Kind: core.LeaseLost}
	ctx, cancel := context.WithCancelCause(t.Context())
	port := listen(t, func(c net.Conn) {
		cancel(reason)
		_, _ = io.Copy(io.Discard, c)
	})
	if _, err := d.LookAtSSH(ctx, "127.0.0.1", port); !core.Is(err, core.LeaseLost) {
		t.Errorf("error %v", err)
	}
}
