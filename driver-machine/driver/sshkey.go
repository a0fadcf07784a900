package driver

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

// keyPair is how docker-machine logs in. It is Ed25519, not libmachine's RSA: the
// SSH client inside docker-machine 0.16.2 signs with RSA and SHA-1 only, which
// today's servers refuse.
type keyPair struct {
	private []byte // PEM
	public  string // authorized_keys format, without a newline
}

func newKeyPair(comment string) (*keyPair, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return nil, err
	}
	authorized, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(authorized))) + " " + comment
	return &keyPair{private: pem.EncodeToMemory(block), public: line}, nil
}

// write puts the pair at path and path.pub, readable by the user alone: OpenSSH
// and libmachine refuse a key that others may read.
func (k *keyPair) write(path string) error {
	if err := os.WriteFile(path, k.private, 0o600); err != nil {
		return err
	}
	return os.WriteFile(path+".pub", []byte(k.public+"\n"), 0o600)
}

// removeKeyPair removes what write wrote, if it is there.
func removeKeyPair(path string) error {
	for _, name := range []string{path, path + ".pub"} {
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}
