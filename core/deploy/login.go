package deploy

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
)

// NewLoginKey implements core.Deployer.
func (d *Deployer) NewLoginKey(comment string) (private []byte, public string, err error) {
	fail := func(err error) ([]byte, string, error) {
		return nil, "", &core.Error{Op: "make management key", Kind: core.Internal, Err: err}
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fail(err)
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return fail(err)
	}
	half, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return fail(err)
	}
	return pem.EncodeToMemory(block), authorized(half) + " " + comment, nil
}

// LogIn implements core.Deployer.
func (d *Deployer) LogIn(ctx context.Context, at core.Access, private []byte) (core.Login, error) {
	place := net.JoinHostPort(at.Address, strconv.Itoa(at.SSHPort))
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return nil, &core.Error{Op: "log in", Kind: core.Internal, Err: errors.New("the stored management key cannot be read")}
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", place)
	if err != nil {
		return nil, unreachable("log in", place, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	stranger := false
	c, channels, requests, err := ssh.NewClientConn(conn, place, &ssh.ClientConfig{
		User: at.SSHUser, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyAlgorithms: hostKeyAlgorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if stranger = !slices.Contains(at.HostKeys, authorized(key)); stranger {
				return errors.New("another host key than was made for this machine")
			}
			return nil
		},
	})
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	switch {
	case err == nil:
		return &login{ssh.NewClient(c, channels, requests), place}, nil
	case stranger:
		err = &core.Error{Op: "log in", Kind: core.Backend, Err: fmt.Errorf("%s: %w", place, err), Hint: "is another server at this address?"}
	case strings.Contains(err.Error(), "unable to authenticate"): // the library has no type for it
		err = &core.Error{Op: "log in", Kind: core.Denied, Err: fmt.Errorf("%s refuses the management key of user %s", place, at.SSHUser)}
	default:
		err = unreachable("log in", place, err)
	}
	_ = conn.Close() // closed already, but where the key exchange failed
	return nil, err
}

func unreachable(op, place string, err error) error {
	return &core.Error{Op: op, Kind: core.Transient, Err: fmt.Errorf("%s: %w", place, err), Hint: "try again"}
}

// login is a connection of SSH.
type login struct {
	client *ssh.Client
	place  string
}

func (l *login) Close() error { return l.client.Close() }

const keysFile = ".ssh/authorized_keys"

// maxSaid bounds what is kept of a command's output, in bytes.
const maxSaid = 1 << 20

func (l *login) Keys(ctx context.Context) ([]string, error) {
	out, err := l.run(ctx, "cat "+keysFile, "")
	if err != nil {
		return nil, err
	}
	if len(out) >= maxSaid { // what is not read as a whole would be written back as a part
		return nil, &core.Error{Op: "read keys", Kind: core.Backend, Err: fmt.Errorf("%s: %s of the login user has more than %s", l.place, keysFile, core.Bytes(maxSaid)), Hint: "make it shorter on the machine"}
	}
	var lines []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func (l *login) SetKeys(ctx context.Context, lines []string) error {
	text := ""
	for _, line := range lines {
		text += line + "\n"
	}
	// A file beside it, which takes the old one's place once it is whole: a connection that
	// breaks is to cat the end of its input, and no error.
	_, err := l.run(ctx, fmt.Sprintf("cat > %[1]s.metalpool && test $(wc -c < %[1]s.metalpool) -eq %[2]d && chmod 600 %[1]s.metalpool && sync && mv -f %[1]s.metalpool %[1]s", keysFile, len(text)), text)
	return err
}

// AwaitCloudInit asks cloud-init itself. Its codes: 0 done, 1 failed, 2 done with
// warnings (since 23.4).
func (l *login) AwaitCloudInit(ctx context.Context) error {
	out, err := l.run(ctx, "cloud-init status --wait", "")
	var exit *ssh.ExitError
	if !errors.As(err, &exit) { // cut off it may be by user data that has the machine restart
		return err
	}
	fail := func(hint, format string, args ...any) error {
		return &core.Error{Op: "cloud-init", Kind: core.Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch status := exit.ExitStatus(); {
	case status == 2:
		return nil
	case status >= 126:
		return fail("wait for ssh, or use an image with cloud-init", "the image has no cloud-init that can be asked")
	}
	words := brief(strings.TrimLeft(out, ".\n")) // it prints a dot at each look
	return fail("see /var/log/cloud-init-output.log on the machine; is it what the user data asks?", "it ended with status %d: %s", exit.ExitStatus(), words)
}

// statusCut is the least status of a command that a signal has ended.
const statusCut = 128

// run runs a command of the user's shell. Where a signal ended it, that says as little of
// what was asked as a connection that breaks, and is told as one. Where that has a status other than 0, the
// error wraps ssh.ExitError.
func (l *login) run(ctx context.Context, command, input string) (output string, err error) {
	session, err := l.client.NewSession()
	if err != nil {
		return "", unreachable("run a command", l.place, err)
	}
	defer func() { _ = session.Close() }() // its end is told by Run
	stop := context.AfterFunc(ctx, func() { _ = l.client.Close() })
	defer stop()
	var out, complaint said
	session.Stdin, session.Stdout, session.Stderr = strings.NewReader(input), &out, &complaint
	err = session.Run(command)
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return out.String(), nil
	case ctx.Err() != nil:
		return "", &core.Error{Op: "run a command", Kind: core.KindOf(context.Cause(ctx)), Err: fmt.Errorf("%s: %w", l.place, context.Cause(ctx))}
	case errors.As(err, &exit) && exit.ExitStatus() >= statusCut:
		// A machine that goes down ends what runs there before it ends its connections.
		return out.String(), unreachable("run a command", l.place, errors.New("what was asked there was cut off; is it going down?"))
	case errors.As(err, &exit):
		asked := strconv.Quote(command)
		if strings.Contains(command, "\n") {
			asked = "the look after a script" // whose first line says nothing to anybody
		}
		return out.String(), &core.Error{Op: "run a command", Kind: core.Backend, Err: fmt.Errorf("%s: %s: %w: %s", l.place, asked, exit, brief(complaint.String()))}
	}
	return "", unreachable("run a command", l.place, err)
}

// maxWords bounds what of a command's output is told, in bytes.
const maxWords = 400

// brief is what a machine says, for a line of an error. No word is cut in two: of half a
// secret nobody who takes secrets out knows what it is.
func brief(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' ' // nothing that a terminal would obey
		}
		return r
	}, text)
	var b strings.Builder
	for word := range strings.FieldsSeq(text) {
		if b.Len()+1+len(word) > maxWords {
			return strings.TrimLeft(b.String()+" …", " ")
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word)
	}
	return b.String()
}

// said keeps the first of what a command says.
type said struct{ bytes.Buffer }

func (s *said) Write(p []byte) (int, error) {
	if room := maxSaid - s.Len(); room > 0 {
		s.Buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}
