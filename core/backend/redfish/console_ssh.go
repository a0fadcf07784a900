package redfish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
)

// line is a BMC's SSH, and who logs in there.
type line struct {
	at      address
	offer   offer
	options Options

	user, password string
	hostKey        string // fingerprint of the only one that gets the password
}

func (l line) address() string {
	host, _, _ := net.SplitHostPort(l.at.key) // made by JoinHostPort
	return net.JoinHostPort(host, strconv.Itoa(l.offer.port))
}

// hostKeyAlgorithms are in an order of our own: of several keys a BMC shows the first
// that we ask for, and that one is recorded. A new order would look like a new key.
var hostKeyAlgorithms = []string{
	ssh.KeyAlgoED25519,
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA, // the last one for old BMCs
}

// errKeySeen ends a handshake once the host key is known.
var errKeySeen = errors.New("the host key is known")

// key is the fingerprint of the host key that is shown. Nobody logs in.
func (l line) key(ctx context.Context) (fingerprint string, err error) {
	conn, err := l.dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_, _, _, err = ssh.NewClientConn(conn, l.address(), &ssh.ClientConfig{
		User:              "metalpool",
		HostKeyAlgorithms: hostKeyAlgorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			fingerprint = ssh.FingerprintSHA256(key)
			return errKeySeen
		},
	})
	if fingerprint == "" {
		return "", &unansweredError{l.address(), err}
	}
	return fingerprint, nil
}

// dial connects; the connection ends with ctx.
func (l line) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: min(dialTimeout, l.options.Request)}).DialContext(ctx, "tcp", l.address())
	if err != nil {
		return nil, &unansweredError{l.address(), err}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return hungUp{conn, stop}, nil
}

// hungUp is a connection that forgets its context when it is closed.
type hungUp struct {
	net.Conn
	stop func() bool
}

func (h hungUp) Close() error {
	h.stop()
	return h.Conn.Close()
}

// open logs in and goes to the console, as far as opening allows; the stream ends with
// ctx.
func (l line) open(ctx, opening context.Context) (io.ReadCloser, error) {
	conn, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	late := context.AfterFunc(opening, func() { _ = conn.Close() })
	console, err := l.enter(opening, conn)
	if !late() && err == nil {
		_ = console.Close()
		err = context.Cause(opening)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return console, nil
}

func (l line) enter(ctx context.Context, conn net.Conn) (*stream, error) {
	client, err := l.logIn(conn)
	if err != nil {
		return nil, err
	}
	session, err := client.NewSession()
	if err != nil {
		return nil, fmt.Errorf("it opens no session: %w", err)
	}
	keys, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	// Command lines want a terminal, and some BMCs have none to give.
	_ = session.RequestPty("vt100", 25, 80, ssh.TerminalModes{ssh.ECHO: 0})
	if err := session.Shell(); err != nil {
		return nil, fmt.Errorf("it starts no shell: %w", err)
	}
	s := newStream(client, session, out)
	if err := s.walkIn(ctx, keys, l.offer.entry, l.options); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (l line) logIn(conn net.Conn) (*ssh.Client, error) {
	refused := true // unless something else went wrong before
	c, channels, requests, err := ssh.NewClientConn(conn, l.address(), &ssh.ClientConfig{
		User:              l.user,
		HostKeyAlgorithms: hostKeyAlgorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			// Before any password: SSH authenticates the server first.
			if got := ssh.FingerprintSHA256(key); got != l.hostKey {
				return &hostKeyError{want: l.hostKey, got: got}
			}
			return nil
		},
		Auth: []ssh.AuthMethod{
			ssh.Password(l.password),
			ssh.KeyboardInteractive(func(_, _ string, questions []string, echoes []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range questions {
					if echoes[i] {
						refused = false
						return nil, fmt.Errorf("it asks %s", quote(questions[i], 60))
					}
					answers[i] = l.password
				}
				return answers, nil
			}),
		},
	})
	var changed *hostKeyError
	switch {
	case err == nil:
		return ssh.NewClient(c, channels, requests), nil
	case errors.As(err, &changed):
		return nil, changed
	case refused && strings.Contains(err.Error(), "unable to authenticate"):
		return nil, &core.Error{Op: opConsole, Kind: core.Denied, Err: fmt.Errorf("BMC %s refuses user and password at its SSH, %s", l.at.base, l.address()), Hint: "the BMC's user needs the right to use the serial console"}
	}
	return nil, &unansweredError{l.address(), err}
}

// unansweredError is a place where no SSH server answers as one does.
type unansweredError struct {
	place string
	err   error
}

func (u *unansweredError) Error() string { return "its SSH, " + u.place + ": " + bare(u.err) }
func (u *unansweredError) Unwrap() error { return u.err }

// hostKeyError is a host key that is not the one recorded.
type hostKeyError struct{ want, got string }

func (e *hostKeyError) Error() string {
	return fmt.Sprintf("the SSH host key of its console has changed: it was %s and is %s; the password was not sent", e.want, e.got)
}
