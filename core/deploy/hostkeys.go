package deploy

import (
	"bytes"
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
	"sync"
	"syscall"
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

// LookAtSSH finds the host key that a machine's SSH shows, in the form that
// NewHostKeys has. The server has proved that it holds the key. It stops before
// anybody logs in, so that no failed login is left in the machine's logs.
func (d *Deployer) LookAtSSH(ctx context.Context, address string, port int) (core.SSHLook, error) {
	at := net.JoinHostPort(address, strconv.Itoa(port))
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	found, err := lookAt(look, at)
	if err == nil {
		return found, nil
	}
	e := &core.Error{Op: "look at SSH", Kind: core.Transient, Err: fmt.Errorf("%s: %w", at, err), Hint: "it may still be booting"}
	switch {
	case ctx.Err() != nil:
		return found, &core.Error{Op: e.Op, Kind: core.KindOf(context.Cause(ctx)), Err: fmt.Errorf("%s: %w", at, context.Cause(ctx))}
	case look.Err() != nil && found.Sign == core.Silent:
		e.Err = fmt.Errorf("%s: no answer within %s", at, lookTimeout)
	case look.Err() != nil:
		e.Err = fmt.Errorf("%s: no host key within %s", at, lookTimeout)
	}
	return found, e
}

func lookAt(ctx context.Context, at string) (core.SSHLook, error) {
	found := core.SSHLook{Sign: core.Silent}
	dialed, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
	if errors.Is(err, syscall.ECONNREFUSED) {
		found.Sign = core.Refused
	}
	if err != nil {
		return found, err
	}
	conn := &overheard{Conn: dialed}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_, _, _, err = ssh.NewClientConn(conn, at, &ssh.ClientConfig{
		User:              "metalpool",
		HostKeyAlgorithms: hostKeyAlgorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			found = core.SSHLook{Sign: core.KeyShown, Key: authorized(key)}
			return errSeen
		},
	})
	switch {
	case found.Sign == core.KeyShown:
		return found, nil
	case conn.greeted():
		found.Sign = core.Greeted
	default:
		found.Sign = core.Accepted
	}
	return found, err
}

// overheard is a connection whose first words are kept: the SSH library does not
// tell whether somebody greeted who then showed no key.
type overheard struct {
	net.Conn
	mu   sync.Mutex
	head []byte
}

// maxGreeting bounds the words that are kept, in bytes. RFC 4253 lets a server say
// other lines before its greeting.
const maxGreeting = 4096

func (o *overheard) Read(p []byte) (int, error) {
	n, err := o.Conn.Read(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.head = append(o.head, p[:min(n, maxGreeting-len(o.head))]...)
	return n, err
}

func (o *overheard) greeted() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.HasPrefix(o.head, []byte("SSH-")) || bytes.Contains(o.head, []byte("\nSSH-"))
}
