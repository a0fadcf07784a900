// Package seal keeps secrets unreadable in the store: it is a core.Sealer over
// age, with one X25519 key per store.
package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/metalpool/metalpool/core"
)

// Key seals and opens. It prints as its fingerprint, so that it leaks into no log.
type Key struct {
	identity *age.X25519Identity
	// digests is the key of Digest. A key that takes the place of another digests as that
	// one did, or nobody could tell any more whether an order is the one that was given.
	digests []byte
}

func newKey(identity *age.X25519Identity) *Key {
	sum := sha256.Sum256([]byte("metalpool digest " + identity.String()))
	return &Key{identity: identity, digests: sum[:]}
}

var _ core.Sealer = (*Key)(nil)

// Generate makes a new random key.
func Generate() (*Key, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, &core.Error{Op: "make a key", Kind: core.Internal, Err: err}
	}
	return newKey(identity), nil
}

// Heir makes a new key that digests as k does, and tells how a store records it.
func (k *Key) Heir() (*Key, core.Sealing, error) {
	heir, err := Generate()
	if err != nil {
		return nil, core.Sealing{}, err
	}
	sealing, err := heir.Digesting(k)
	return heir, sealing, err
}

// Digesting makes k digest as other does from now on, and returns how a store that was
// sealed with other records that it is sealed with k.
func (k *Key) Digesting(other *Key) (core.Sealing, error) {
	sealed, err := k.Seal(other.digests)
	if err != nil {
		return core.Sealing{}, err
	}
	k.digests = other.digests
	return core.Sealing{Fingerprint: k.Fingerprint(), Digest: base64.StdEncoding.EncodeToString(sealed)}, nil
}

// Adopt makes k digest as the store does that it opens.
func (k *Key) Adopt(s core.Sealing) error {
	if s.Digest == "" {
		return nil
	}
	sealed, err := base64.StdEncoding.DecodeString(s.Digest)
	if err != nil {
		return &core.Error{Op: "read the key of digests", Kind: core.Invalid, Err: errors.New("the store's record of it is damaged"), Hint: "restore a backup"}
	}
	digests, err := k.Open(sealed)
	if err != nil {
		return err
	}
	k.digests = digests
	return nil
}

// Seal encrypts plain; nothing stays nothing.
func (k *Key) Seal(plain []byte) (core.Sealed, error) {
	if len(plain) == 0 {
		return nil, nil
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, k.identity.Recipient())
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, &core.Error{Op: "seal a secret", Kind: core.Internal, Err: err}
	}
	return sealed.Bytes(), nil
}

// Open decrypts what Seal made with the same key: Denied for another key's, and
// Invalid for what was damaged.
func (k *Key) Open(s core.Sealed) ([]byte, error) {
	if len(s) == 0 {
		return nil, nil
	}
	var plain []byte
	r, err := age.Decrypt(bytes.NewReader(s), k.identity)
	if err == nil {
		plain, err = io.ReadAll(r)
	}
	if err == nil {
		return plain, nil
	}
	if other := (*age.NoIdentityMatchError)(nil); errors.As(err, &other) {
		return nil, &core.Error{Op: "open a secret", Kind: core.Denied, Err: fmt.Errorf("it was not sealed with key %s", k.Fingerprint()), Hint: "give the key it was sealed with, or set the secret again"}
	}
	// age quotes what it cannot read, which may be a secret that was never sealed.
	return nil, &core.Error{Op: "open a secret", Kind: core.Invalid, Err: errors.New("it is damaged, or was never sealed"), Hint: "set the secret again"}
}

// Digest tells two secrets apart; nobody without the key can try what they may be.
func (k *Key) Digest(plain []byte) []byte {
	mac := hmac.New(sha256.New, k.digests)
	mac.Write(plain)
	return mac.Sum(nil)
}

// Fingerprint is the start of the SHA-256 of the key's public half, in hex.
func (k *Key) Fingerprint() string {
	sum := sha256.Sum256([]byte(k.identity.Recipient().String()))
	return hex.EncodeToString(sum[:8])
}

func (k *Key) String() string { return "key " + k.Fingerprint() }

// GoString keeps the private half from %#v too.
func (k *Key) GoString() string { return k.String() }
