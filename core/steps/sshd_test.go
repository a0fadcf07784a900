package steps_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
)

// sshd is a machine's SSH server: it runs commands in a real shell, in a folder of its own.
type sshd struct {
	home    string
	at      core.Access
	key     []byte // that lets in, in PEM
	allowed ssh.PublicKey
	config  *ssh.ServerConfig
	gone    chan struct{} // closed: the machine is off, and takes no connections any more
}

func newKey(t *testing.T) (private []byte, signer ssh.Signer) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	if signer, err = ssh.NewSignerFromKey(key); err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), signer
}

func newSSHD(t *testing.T) *sshd {
	t.Helper()
	s := &sshd{home: t.TempDir(), gone: make(chan struct{})}
	var login ssh.Signer
	s.key, login = newKey(t)
	s.allowed = login.PublicKey()
	_, host := newKey(t)
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(k.Marshal(), s.allowed.Marshal()) {
			return nil, errors.New("another key")
		}
		return nil, nil
	}}
	s.config.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		select {
		case <-s.gone:
			_ = l.Close()
		case <-t.Context().Done():
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	s.at = core.Access{
		Address: "127.0.0.1", SSHPort: l.Addr().(*net.TCPAddr).Port, SSHUser: "debian",
		HostKeys: []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey())))},
	}
	return s
}

func (s *sshd) serve(c net.Conn) {
	defer c.Close()
	served := make(chan struct{})
	defer close(served)
	go func() {
		select {
		case <-s.gone:
			_ = c.Close()
		case <-served:
		}
	}()
	_, channels, requests, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "exec" || r.Type == "env" || r.Type == "pty-req", nil)
				if r.Type == "exec" {
					go s.run(channel, r.Payload)
				}
			}
		}()
	}
}

func (s *sshd) run(channel ssh.Channel, payload []byte) {
	defer func() { _ = channel.Close() }()
	var asked struct{ Command string }
	if ssh.Unmarshal(payload, &asked) != nil {
		return
	}
	cmd := exec.Command("sh", "-c", asked.Command) //nolint:noctx // it ends by itself
	cmd.Dir, cmd.Env = s.home, []string{"HOME=" + s.home, "PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	in, err := cmd.StdinPipe() // with a reader, the command's end would wait for that of the input
	if err != nil || cmd.Start() != nil {
		return
	}
	go func() {
		_, _ = io.Copy(in, channel)
		_ = in.Close()
	}()
	_ = cmd.Wait()
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(cmd.ProcessState.ExitCode())}))
}
