package guest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/crypto/ssh"
)

const sshDir = "/etc/ssh"

// installHostKeys replaces the machine's host keys by those of the seed; without
// any, the machine makes its own.
func (g *Guest) installHostKeys(keys map[string]string) error {
	for kind, text := range keys {
		name, private := strings.CutSuffix(kind, "_private")
		mode, suffix := fs.FileMode(0o600), "_key"
		if !private {
			var public bool
			if name, public = strings.CutSuffix(kind, "_public"); !public {
				continue
			}
			mode, suffix = 0o644, "_key.pub"
		}
		if strings.Contains(name, "/") {
			continue
		}
		if err := g.put(path.Join(sshDir, "ssh_host_"+name+suffix), strings.TrimRight(text, "\n")+"\n", mode); err != nil {
			return err
		}
	}
	for kind := range keys {
		if strings.HasSuffix(kind, "_private") {
			return nil
		}
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return err
	}
	return g.put(path.Join(sshDir, "ssh_host_ed25519_key"), string(pem.EncodeToMemory(block)), 0o600)
}

// hostKeys reads the keys that sshd shows.
func (g *Guest) hostKeys() ([]ssh.Signer, error) {
	if g.config.HostKey != nil {
		return []ssh.Signer{g.config.HostKey}, nil
	}
	list, err := g.Files().ReadDir(sshDir)
	if err != nil {
		return nil, fmt.Errorf("start sshd: %w", err)
	}
	var keys []ssh.Signer
	for _, entry := range list {
		if !strings.HasPrefix(entry.Name(), "ssh_host_") || !strings.HasSuffix(entry.Name(), "_key") {
			continue
		}
		text, err := g.Files().ReadFile(path.Join(sshDir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("start sshd: %w", err)
		}
		key, err := ssh.ParsePrivateKey(text)
		if err != nil { // the text is a secret, and so is not shown
			return nil, fmt.Errorf("start sshd: %s is not a private key", entry.Name())
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("start sshd: no host key in %s", sshDir)
	}
	return keys, nil
}
