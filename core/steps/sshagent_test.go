package steps

import (
	"crypto/ed25519"
	"encoding/pem"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Whoever has reached the key does so no more once it is not offered: something of the
// playbook may be left that cannot be killed.
func TestKeyThatIsNotOfferedAnyMore(t *testing.T) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), agentSocket)
	stop, err := offerKey(socket, pem.EncodeToMemory(block))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := agent.NewClient(conn)
	keys, err := client.List()
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	stop()
	if _, err := client.Sign(keys[0], []byte("data")); err == nil {
		t.Error("it signs still")
	}
	if again, err := new(net.Dialer).DialContext(t.Context(), "unix", socket); err == nil {
		_ = again.Close()
		t.Error("it can be reached still")
	}
}
