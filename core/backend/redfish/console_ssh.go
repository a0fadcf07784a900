package redfish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

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

// consoleError is explain for what SSH adds.
func (b *conversation) consoleError(ctx context.Context, err error) error {
	var (
		own        *core.Error
		changed    *hostKeyError
		unanswered *unansweredError
		refused    *entryError
	)
	said := func(kind core.Kind, hint string) error {
		text := "BMC " + b.at.base + ": " + shorten(b.scrub(err.Error()), longest)
		return &core.Error{Op: opConsole, Kind: kind, Err: &causeError{text: text, err: err}, Hint: hint}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, core.ErrNoConsole):
		return said(core.Backend, "see whether it can be switched on in the BMC; until then its own web page shows the console")
	case errors.As(err, &own):
		return own
	case errors.As(err, &changed):
		return said(core.Denied, "if the BMC made itself a new key, accept it with 'metalpool node set NODE --console-key "+changed.got+"'; else somebody is in between")
	case errors.As(err, &refused):
		return said(core.Backend, "somebody else may be at the console: many BMCs have one session only")
	case ctx.Err() != nil:
		return &core.Error{Op: opConsole, Kind: core.Timeout, Err: &causeError{text: fmt.Sprintf("BMC %s: its SSH did not lead to the console in time: %v", b.at.base, context.Cause(ctx)), err: err}, Hint: "resetting the BMC helps at times"}
	case errors.As(err, &unanswered):
		return said(core.Transient, "is SSH switched on in the BMC, and does a firewall let it through?")
	}
	return said(core.Transient, "try again")
}

// stream is what comes out of a console.
type stream struct {
	client  *ssh.Client
	session *ssh.Session
	pieces  chan []byte // closed at the end
	done    chan struct{}
	closing sync.Once
	rest    []byte
	prompt  string // of the command line before the console
}

func newStream(client *ssh.Client, session *ssh.Session, out io.Reader) *stream {
	s := &stream{client: client, session: session, pieces: make(chan []byte), done: make(chan struct{})}
	go func() {
		defer close(s.pieces)
		for {
			buffer := make([]byte, 32<<10)
			n, err := out.Read(buffer)
			if n > 0 {
				select {
				case s.pieces <- buffer[:n]:
				case <-s.done:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return s
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		piece, open := <-s.pieces
		if !open {
			return 0, io.EOF
		}
		s.rest = piece
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// farewell is how long a BMC may take to see that a session has ended.
const farewell = time.Second

// Close leaves as a guest does: where there is one session only, it is free when Close
// returns, unless the BMC is slow to say so.
func (s *stream) Close() (err error) {
	s.closing.Do(func() {
		_ = s.session.Close() // the answer is the end of pieces
		gone := time.NewTimer(farewell)
		defer gone.Stop()
		for open := true; open; {
			select {
			case _, open = <-s.pieces:
			case <-gone.C:
				open = false
			}
		}
		close(s.done)
		if err = s.client.Close(); errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
			err = nil // the BMC, or the end of the context, was first
		}
	})
	return err
}

// walkIn types the commands that lead into the console. What a command line says
// before it is not the console's.
func (s *stream) walkIn(ctx context.Context, keys io.Writer, entry []string, o Options) error {
	for _, command := range entry {
		before, err := s.until(ctx, o.Prompt, atPrompt)
		if err != nil {
			return err
		}
		s.prompt = lastLine(before)
		if _, err := io.WriteString(keys, command+"\r"); err != nil {
			return fmt.Errorf("%w: %w", errHungUp, err)
		}
	}
	if len(entry) == 0 {
		return nil
	}
	// Either the console begins, or the command line says no and asks again.
	said, err := s.until(ctx, o.Entry, func(b []byte) bool { return atPrompt(b) && lastLine(b) == s.prompt })
	if err != nil {
		return err
	}
	said = bytes.TrimLeft(withoutEcho(said, entry[len(entry)-1]), "\r\n")
	if s.prompt != "" && lastLine(said) == s.prompt {
		return &entryError{entry[len(entry)-1], strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(said)), s.prompt))}
	}
	s.rest = said
	return nil
}

// entryError is a command line that does not lead into the console.
type entryError struct{ command, said string }

func (e *entryError) Error() string {
	return fmt.Sprintf("its command line answers %q with %s", e.command, quote(e.said, 200))
}

// maxPreamble is more than a command line says before the console, in bytes.
const maxPreamble = 256 << 10

// until reads until enough is there, or that time is over: who prints all the time is
// not waited for.
func (s *stream) until(ctx context.Context, within time.Duration, enough func([]byte) bool) ([]byte, error) {
	var all []byte
	timer := time.NewTimer(within)
	defer timer.Stop()
	for !enough(all) && len(all) < maxPreamble {
		select {
		case piece, open := <-s.pieces:
			if !open {
				return nil, errHungUp
			}
			all = append(all, piece...)
		case <-timer.C:
			return all, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return all, nil
}

var errHungUp = errors.New("its command line hung up")

// atPrompt guesses whether a command line waits for input.
func atPrompt(b []byte) bool {
	last := strings.TrimRight(lastLine(b), " ")
	return strings.HasSuffix(last, ">") || strings.HasSuffix(last, "$") || strings.HasSuffix(last, "#")
}

func lastLine(b []byte) string { return string(b[bytes.LastIndexAny(b, "\r\n")+1:]) }

// withoutEcho drops the line in which the command line repeats a command.
func withoutEcho(b []byte, command string) []byte {
	first, rest, found := bytes.Cut(b, []byte("\n"))
	if found && strings.TrimSpace(string(first)) == command {
		return rest
	}
	return b
}
