package deploy

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
)

// NewHostKeys implements core.Deployer: an Ed25519 key, and an ECDSA one for clients
// that know nothing newer.
func (d *Deployer) NewHostKeys() (private, public []string, err error) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	elliptic, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	for _, key := range []crypto.Signer{edwards, elliptic} {
		block, err := ssh.MarshalPrivateKey(key, "")
		if err != nil {
			return nil, nil, err
		}
		half, err := ssh.NewPublicKey(key.Public())
		if err != nil {
			return nil, nil, err
		}
		private = append(private, string(pem.EncodeToMemory(block)))
		public = append(public, authorized(half))
	}
	return private, public, nil
}

func authorized(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// errSeen ends a handshake once the host key is known.
var errSeen = errors.New("the host key is known")

// HostKey implements core.Deployer. It stops before anybody logs in, so it leaves
// no failed login in the machine's logs.
func (d *Deployer) HostKey(ctx context.Context, address string, port int) (string, error) {
	at := net.JoinHostPort(address, strconv.Itoa(port))
	fail := func(err error) error {
		return &core.Error{Op: "look at SSH", Kind: core.Transient, Err: fmt.Errorf("%s: %w", at, err), Hint: "it may still be booting"}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
	if err != nil {
		return "", fail(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var seen ssh.PublicKey
	_, _, _, err = ssh.NewClientConn(conn, at, &ssh.ClientConfig{
		User:              "metalpool",
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			seen = key
			return errSeen
		},
	})
	if seen == nil {
		return "", fail(err)
	}
	return authorized(seen), nil
}
