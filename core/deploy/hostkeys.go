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
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
)

// NewHostKeys makes an Ed25519 key, and an ECDSA one for clients that know nothing
// newer. The private ones are in OpenSSH's PEM, the public ones in the form of
// authorized_keys without a comment, both in the same order.
func (d *Deployer) NewHostKeys() (private, public []string, err error) {
	_, first, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, hostKeyError(err)
	}
	second, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, hostKeyError(err)
	}
	for _, key := range []crypto.Signer{first, second} {
		block, err := ssh.MarshalPrivateKey(key, "")
		if err != nil {
			return nil, nil, hostKeyError(err)
		}
		half, err := ssh.NewPublicKey(key.Public())
		if err != nil {
			return nil, nil, hostKeyError(err)
		}
		private = append(private, string(pem.EncodeToMemory(block)))
		public = append(public, authorized(half))
	}
	return private, public, nil
}

func hostKeyError(err error) error {
	return &core.Error{Op: "make SSH host keys", Kind: core.Internal, Err: err}
}

func authorized(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// lookTimeout bounds one look. A machine that boots may take a connection and say
// nothing, or be behind a firewall that drops it: the next look finds it.
const lookTimeout = 10 * time.Second

// hostKeyAlgorithms prefers the key that every seed has.
var hostKeyAlgorithms = []string{
	ssh.KeyAlgoED25519,
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// errSeen ends a handshake once the host key is known.
var errSeen = errors.New("the host key is known")

// HostKey returns the host key that a machine's SSH shows, in the form that
// NewHostKeys has. The server has proved that it holds the key. It stops before
// anybody logs in, so that no failed login is left in the machine's logs.
func (d *Deployer) HostKey(ctx context.Context, address string, port int) (string, error) {
	at := net.JoinHostPort(address, strconv.Itoa(port))
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	key, err := shownKey(look, at)
	if err == nil {
		return authorized(key), nil
	}
	e := &core.Error{Op: "look at SSH", Kind: core.Transient, Err: fmt.Errorf("%s: %w", at, err), Hint: "it may still be booting"}
	switch {
	case ctx.Err() != nil:
		return "", &core.Error{Op: e.Op, Kind: core.KindOf(context.Cause(ctx)), Err: fmt.Errorf("%s: %w", at, context.Cause(ctx))}
	case look.Err() != nil:
		e.Err = fmt.Errorf("%s: nothing that is SSH within %s", at, lookTimeout)
	}
	return "", e
}

func shownKey(ctx context.Context, at string) (ssh.PublicKey, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var seen ssh.PublicKey
	_, _, _, err = ssh.NewClientConn(conn, at, &ssh.ClientConfig{
		User:              "metalpool",
		HostKeyAlgorithms: hostKeyAlgorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			seen = key
			return errSeen
		},
	})
	if seen == nil {
		return nil, err
	}
	return seen, nil
}
