package bmc

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// serialServer is a server that prints and takes input.
type serialServer struct {
	*server
	recent string
	live   chan []byte
	typed  chan string

	mu       sync.Mutex
	watchers int
}

func (s *serialServer) Console() ([]byte, <-chan []byte, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers++
	return []byte(s.recent), s.live, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watchers--
	})
}

func (s *serialServer) Type(p []byte) { s.typed <- string(p) }

func (s *serialServer) watched() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watchers
}

type consoleRig struct {
	*rig
	server *ConsoleServer
	serial *serialServer
	key    ssh.Signer
}

func newConsoleRig(t *testing.T, m *Manners) *consoleRig {
	t.Helper()
	r := &consoleRig{serial: &serialServer{recent: "booted before\r\n", live: make(chan []byte), typed: make(chan string, 1)}}
	r.rig = newRig(t, m, func(c *Config) {
		r.serial.server = c.Machine.(*server)
		c.Machine = r.serial
	})
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if r.key, err = ssh.NewSignerFromKey(private); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if r.server, err = ServeConsole(r.bmc, l, r.key); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.server.Close() })
	return r
}

// dial logs in as people do, with any password.
func (r *consoleRig) dial(password string) (*ssh.Client, error) {
	c, err := ssh.Dial("tcp", r.server.listener.Addr().String(), &ssh.ClientConfig{
		User: testUser, Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.FixedHostKey(r.key.PublicKey()),
	})
	if err == nil {
		r.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// seat is somebody at a BMC's command line or console.
type seat struct {
	t    *testing.T
	keys io.Writer
	out  *bufio.Reader
}

func (r *consoleRig) sit() seat {
	r.t.Helper()
	client, err := r.dial(testPassword)
	if err != nil {
		r.t.Fatal(err)
	}
	session, err := client.NewSession()
	if err != nil {
		r.t.Fatal(err)
	}
	keys, err := session.StdinPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := session.RequestPty("vt100", 24, 80, nil); err != nil {
		r.t.Fatal(err)
	}
	if err := session.Shell(); err != nil {
		r.t.Fatal(err)
	}
	return seat{r.t, keys, bufio.NewReader(out)}
}

// sees reads until a text has come, and returns all up to it.
func (s seat) sees(text string) string {
	s.t.Helper()
	var all strings.Builder
	for !strings.HasSuffix(all.String(), text) {
		b, err := s.out.ReadByte()
		if err != nil {
			s.t.Fatalf("%q never came: %v; there was %q", text, err, all.String())
		}
		all.WriteByte(b)
	}
	return all.String()
}

func (s seat) types(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.keys, line+"\r"); err != nil {
		s.t.Fatal(err)
	}
}

// enter goes from the login into the console.
func (s seat) enter(c *Console) {
	s.t.Helper()
	for _, command := range c.Entry {
		s.sees(c.Prompt)
		s.types(command)
	}
}

func (r *consoleRig) console() *Console { return r.bmc.manners.Console }

// withConsole are the manners that have a console.
func withConsole() (list []*Manners) {
	for _, m := range vendors {
		if m.Console != nil {
			list = append(list, m)
		}
	}
	return list
}

func TestConsole(t *testing.T) {
	for _, m := range withConsole() {
		t.Run(m.Name, func(t *testing.T) {
			r := newConsoleRig(t, m)
			if _, err := r.dial("wrong"); err == nil {
				t.Fatal("a wrong password is let in")
			}
			s := r.sit()
			if len(m.Console.Entry) > 0 {
				s.sees(m.Console.Prompt)
				s.types("reboot --now")
				s.sees(m.Console.Unknown + "\r\n")
			}
			s.enter(m.Console)
			s.sees("booted before\r\n")
			r.serial.live <- []byte("boots again\r\n")
			s.sees("boots again\r\n")
			s.types("root")
			if got := <-r.serial.typed; got != "root\r" {
				t.Errorf("the machine was typed %q", got)
			}
			if in, refused := r.server.Logins(); in != 1 || refused != 1 {
				t.Errorf("%d logins and %d refusals, want one of each", in, refused)
			}
			if err := r.server.Close(); err != nil {
				t.Error(err)
			}
			if _, err := s.out.ReadByte(); err == nil {
				t.Error("the console goes on after the server was closed")
			}
			if n := r.serial.watched(); n != 0 {
				t.Errorf("%d still watch the console after the server was closed", n)
			}
		})
	}
}

// TestConsoleCommandsAreLines: what Redfish shows as "a; b" is two commands.
func TestConsoleCommandsAreLines(t *testing.T) {
	r := newConsoleRig(t, &supermicroX12)
	s := r.sit()
	s.sees(r.console().Prompt)
	s.types("cd system1/sol1; start")
	s.sees(r.console().Unknown)
}

// TestConsoleSessionsAreFew: one more than there are is refused, and comes in once
// another has left.
func TestConsoleSessionsAreFew(t *testing.T) {
	r := newConsoleRig(t, &ilo5)
	first := r.sit()
	first.enter(r.console())
	first.sees("booted before\r\n")
	second := r.sit()
	second.enter(r.console())
	second.sees(r.console().Taken)
	close(r.serial.live) // the machine ends the first one's
	if _, err := io.Copy(io.Discard, first.out); err != nil {
		t.Fatal(err)
	}
	r.eventually("the session is free", func() bool {
		second.sees(r.console().Prompt)
		second.types(r.console().Entry[0])
		second.sees(r.console().Entry[0] + "\r\n")
		return !strings.HasPrefix(second.sees("\r\n"), r.console().Taken)
	})
}

// TestConsoleIsTold: Redfish names the port where the console is, and says off where
// it is not served.
func TestConsoleIsTold(t *testing.T) {
	for _, m := range vendors {
		t.Run(m.Name, func(t *testing.T) {
			r := newRig(t, m, func(c *Config) { c.Machine = &serialServer{server: c.Machine.(*server)} })
			manager, protocol := r.bmc.ownManagerPath(), r.bmc.ownManagerPath()+"/NetworkProtocol"
			if m.Console == nil {
				if r.bmc.OffersConsole() {
					t.Error("it offers a console that its manners do not know")
				}
				wantIn(t, r.ok("GET", manager, "").json(), []any{"IPMI"}, "SerialConsole", "ConnectTypesSupported")
				return
			}
			shell := map[Told]string{InManager: "SerialConsole", AsShell: "CommandShell"}[m.Console.Told]
			see := func(on bool, port any) {
				t.Helper()
				system := r.ok("GET", r.sys(), "").json()
				if m.Console.Told == InSystem {
					wantIn(t, system, on, "SerialConsole", "SSH", "ServiceEnabled")
					wantIn(t, system, port, "SerialConsole", "SSH", "Port")
					return
				}
				wantIn(t, system, nil, "SerialConsole")
				wantIn(t, r.ok("GET", manager, "").json(), on, shell, "ServiceEnabled")
				wantIn(t, r.ok("GET", protocol, "").json(), on, "SSH", "ProtocolEnabled")
				wantIn(t, r.ok("GET", protocol, "").json(), port, "SSH", "Port")
			}
			see(false, nil)
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			_, private, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			key, err := ssh.NewSignerFromKey(private)
			if err != nil {
				t.Fatal(err)
			}
			s, err := ServeConsole(r.bmc, l, key)
			if err != nil {
				t.Fatal(err)
			}
			see(true, float64(l.Addr().(*net.TCPAddr).Port))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			see(false, nil)
		})
	}
}

// TestNoConsoleWithoutASerialPort: a machine without one is offered by nobody.
func TestNoConsoleWithoutASerialPort(t *testing.T) {
	r := newRig(t, &openBMC)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if s, err := ServeConsole(r.bmc, l, nil); err == nil {
		t.Errorf("a machine without a serial port is served: %v", s)
	}
}

// TestIdleConsolesAreLight: a console that nobody watches costs its listener and little
// else, so that a rack may have a thousand.
func TestIdleConsolesAreLight(t *testing.T) {
	const n, each = 200, 4 << 10
	r := newConsoleRig(t, &openBMC)
	listeners := make([]net.Listener, n)
	for i := range listeners {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i] = l
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	goroutines, before := runtime.NumGoroutine(), heap()
	servers := make([]*ConsoleServer, n)
	for i, l := range listeners {
		s, err := ServeConsole(r.bmc, l, r.key)
		if err != nil {
			t.Fatal(err)
		}
		servers[i] = s
		defer s.Close()
	}
	if cost := (heap() - before) / n; cost > each {
		t.Errorf("an idle console costs %d bytes of heap, more than %d", cost, each)
	}
	if more := runtime.NumGoroutine() - goroutines; more > n {
		t.Errorf("%d idle consoles have %d goroutines", n, more)
	}
	runtime.KeepAlive(servers)
}

// wantIn compares what lies in a document; nil is nothing.
func wantIn(t *testing.T, d map[string]any, want any, path ...string) {
	t.Helper()
	var got any = d
	for _, name := range path {
		within, _ := got.(map[string]any)
		got = within[name]
	}
	if list, ok := want.([]any); ok {
		have, _ := got.([]any)
		if len(have) != len(list) || have[0] != list[0] {
			t.Errorf("%s is %v, want %v", strings.Join(path, "."), got, want)
		}
		return
	}
	if got != want {
		t.Errorf("%s is %v, want %v", strings.Join(path, "."), got, want)
	}
}
