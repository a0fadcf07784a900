package bmc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// loginGrace is how long a client may take to log in.
const loginGrace = 30 * time.Second

// ConsoleServer is a BMC's SSH on a listener: its command line, and behind it the
// serial console of its server.
type ConsoleServer struct {
	bmc      *BMC
	console  *Console
	serial   Serial
	config   ssh.ServerConfig
	listener net.Listener

	ctx  context.Context // ends with Close
	end  context.CancelFunc
	work sync.WaitGroup

	watching chan struct{} // holds one token for each session at the console

	mu      sync.Mutex
	logins  int
	refused int
}

// ServeConsole answers SSH for b on l, which it owns from then on, until Close, and
// lets Redfish tell its port. key is the host key. A BMC without a console is an error.
func ServeConsole(b *BMC, l net.Listener, key ssh.Signer) (*ConsoleServer, error) {
	if !b.OffersConsole() {
		return nil, fmt.Errorf("serve the console of a %s: it offers none", b.manners.Name)
	}
	at, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return nil, errors.New("serve a console: the listener is not TCP's")
	}
	s := &ConsoleServer{bmc: b, console: b.manners.Console, serial: b.config.Machine.(Serial), listener: l}
	s.watching = make(chan struct{}, s.console.sessions())
	s.config = ssh.ServerConfig{PasswordCallback: s.login, ServerVersion: "SSH-2.0-metalpool_lab"}
	s.config.AddHostKey(key)
	s.ctx, s.end = context.WithCancel(context.Background())
	b.setConsolePort(at.Port)
	s.work.Go(s.accept)
	return s, nil
}

// Logins is how many got in so far, and how many had a wrong user or password.
func (s *ConsoleServer) Logins() (in, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins, s.refused
}

// Close stops listening, cuts every connection and waits for their end.
func (s *ConsoleServer) Close() error {
	s.bmc.setConsolePort(0)
	err := s.listener.Close()
	s.end()
	s.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *ConsoleServer) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.work.Go(func() {
			stop := context.AfterFunc(s.ctx, func() { _ = c.Close() })
			defer stop()
			defer func() { _ = c.Close() }()
			s.serve(c)
		})
	}
}

func (s *ConsoleServer) login(meta ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.bmc.credentials(meta.User(), string(password)) {
		s.refused++
		return nil, errors.New("permission denied")
	}
	s.logins++
	return nil, nil
}

// serve speaks SSH on one connection until it ends.
func (s *ConsoleServer) serve(c net.Conn) {
	if c.SetDeadline(time.Now().Add(loginGrace)) != nil {
		return
	}
	conn, channels, requests, err := ssh.NewServerConn(c, &s.config)
	if err != nil || c.SetDeadline(time.Time{}) != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	s.work.Go(func() { ssh.DiscardRequests(requests) })
	for asked := range channels {
		if asked.ChannelType() != "session" {
			_ = asked.Reject(ssh.Prohibited, "a BMC forwards nothing")
			continue
		}
		channel, requests, err := asked.Accept()
		if err != nil {
			return
		}
		s.work.Go(func() { s.session(channel, requests) })
	}
}

// session answers one session's requests. It runs nothing but the BMC's own shell.
func (s *ConsoleServer) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	ctx, hangUp := context.WithCancel(s.ctx)
	defer hangUp()
	defer func() { _ = channel.Close() }()
	started := false
	for r := range requests {
		begin := r.Type == "shell" && !started
		if r.WantReply {
			_ = r.Reply(begin || r.Type == "pty-req" || r.Type == "window-change", nil)
		}
		if begin {
			started = true
			s.work.Go(func() {
				defer func() { _ = channel.Close() }()
				s.shell(ctx, channel)
			})
		}
	}
}

// shell leads through the BMC's command line, where it has one, into the console.
func (s *ConsoleServer) shell(ctx context.Context, channel ssh.Channel) {
	keys := bufio.NewReader(channel)
	for {
		if len(s.console.Entry) > 0 && !s.commandLine(keys, channel) {
			return
		}
		if s.take(ctx) {
			defer s.leave()
			s.watch(ctx, keys, channel)
			return
		}
		_, err := io.WriteString(channel, s.console.Taken+"\r\n")
		if err != nil || len(s.console.Entry) == 0 { // there is no command line to go back to
			return
		}
	}
}

// takenAfter is how long a client waits for a session: one that was left a moment ago
// may not have ended yet.
const takenAfter = 500 * time.Millisecond

// take gets one of the console's sessions, for leave to give back.
func (s *ConsoleServer) take(ctx context.Context) bool {
	wait := time.NewTimer(takenAfter)
	defer wait.Stop()
	select {
	case s.watching <- struct{}{}:
		return true
	case <-wait.C:
	case <-ctx.Done():
	}
	return false
}

func (s *ConsoleServer) leave() { <-s.watching }

// commandLine reads commands until those that lead into the console were given, in
// their order; false is a client that left.
func (s *ConsoleServer) commandLine(keys *bufio.Reader, out io.Writer) bool {
	given := 0
	for given < len(s.console.Entry) {
		if _, err := io.WriteString(out, "\r\n"+s.console.Prompt); err != nil {
			return false
		}
		line, err := readLine(keys)
		if err != nil {
			return false
		}
		_, _ = io.WriteString(out, line+"\r\n") // the echo
		switch line {
		case s.console.Entry[given]:
			given++
		case "":
		case "exit":
			return false
		default:
			_, _ = io.WriteString(out, s.console.Unknown+"\r\n")
		}
	}
	return true
}

// maxLine bounds a command, in bytes.
const maxLine = 1024

// readLine reads what is typed up to a line's end, whichever key that is.
func readLine(keys *bufio.Reader) (string, error) {
	var line strings.Builder
	for line.Len() < maxLine {
		key, err := keys.ReadByte()
		switch {
		case err != nil:
			return "", err
		case key == '\n' && line.Len() == 0: // of a \r\n
		case key == '\r' || key == '\n':
			return line.String(), nil
		default:
			line.WriteByte(key)
		}
	}
	return "", errors.New("the line does not end")
}

// watch shows the console until the client leaves or the machine ends it, and passes
// on what is typed where the machine takes it.
func (s *ConsoleServer) watch(ctx context.Context, keys io.Reader, out io.Writer) {
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	s.work.Go(func() {
		defer hangUp()
		typed := io.Discard
		if t, takes := s.serial.(Typist); takes {
			typed = typist{t}
		}
		_, _ = io.Copy(typed, keys) // ends with the client
	})
	if _, err := io.WriteString(out, s.console.Welcome); err != nil {
		return
	}
	recent, live, stop := s.serial.Console()
	defer stop()
	for open := true; open; {
		if _, err := out.Write(recent); err != nil {
			return
		}
		select {
		case recent, open = <-live:
		case <-ctx.Done():
			return
		}
	}
}

// typist is a machine's keyboard as a writer.
type typist struct{ Typist }

func (t typist) Write(p []byte) (int, error) {
	t.Type(p)
	return len(p), nil
}
