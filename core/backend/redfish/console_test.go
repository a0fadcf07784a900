package redfish_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/backendtest"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/lab/bmc"
)

// printer is a machine with a serial port.
type printer struct {
	*machine
	recent string
	live   chan []byte
}

func (p *printer) Console() ([]byte, <-chan []byte, func()) {
	return []byte(p.recent), p.live, func() {}
}

const printedBefore = "[    0.000000] Linux version 6.1.0\r\n"

// consoleRig is a rig whose BMC shows a console, where one of its kind does.
type consoleRig struct {
	*rig
	printer *printer
	server  *bmc.ConsoleServer // nil where it does not
	at      net.Addr           // of server
	key     ssh.Signer
}

func newConsoleRig(t *testing.T, manners *bmc.Manners) *consoleRig {
	t.Helper()
	r := &consoleRig{printer: &printer{recent: printedBefore, live: make(chan []byte)}, key: newHostKey(t)}
	r.rig = newRig(t, manners, func(c *bmc.Config, m *machine) {
		r.printer.machine = m
		c.Machine = r.printer
	})
	if r.bmc.OffersConsole() {
		r.serve()
		r.endpoint.ConsoleKey = ssh.FingerprintSHA256(r.key.PublicKey())
	}
	return r
}

func newHostKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, "make a host key", err)
	key, err := ssh.NewSignerFromKey(private)
	must(t, "make a host key", err)
	return key
}

// serve lets the BMC's SSH listen, at another port each time.
func (r *consoleRig) serve() {
	r.t.Helper()
	l, err := new(net.ListenConfig).Listen(r.t.Context(), "tcp", "127.0.0.1:0")
	must(r.t, "listen", err)
	r.at = l.Addr()
	r.server, err = bmc.ServeConsole(r.bmc, l, r.key)
	must(r.t, "serve the console", err)
	r.t.Cleanup(func() { r.server.Close() })
}

func portOf(a net.Addr) string { return strconv.Itoa(a.(*net.TCPAddr).Port) }

func (r *consoleRig) conformance() *backendtest.Console {
	// A suite's connector knows no key that was not asked for.
	key := r.endpoint.ConsoleKey
	r.endpoint.ConsoleKey = ""
	if r.server == nil {
		return nil
	}
	return &backendtest.Console{
		Key: key, Logins: r.server.Logins,
		Print: func(text string) { r.printer.live <- []byte(text) },
	}
}

// opensConsole reads what was printed before.
func opensConsole(t *testing.T, r *rig) error {
	// The table's rig has a machine without a serial port.
	c := newConsoleRig(t, r.bmc.Manners())
	return c.opens()
}

func (r *consoleRig) opens() error {
	console, err := r.connector.Console(r.t.Context(), r.endpoint, password)
	if err != nil {
		return err
	}
	defer console.Close()
	text := make([]byte, len(printedBefore))
	for seen := ""; !strings.Contains(seen, printedBefore); {
		n, err := console.Read(text)
		if err != nil {
			return errors.New("the console showed " + seen + " and then " + err.Error())
		}
		seen += string(text[:n])
	}
	return nil
}

// TestConsoleNeedsNoRequest: where the links are known, a BMC is not asked, and so not
// disturbed in its work.
func TestConsoleNeedsNoRequest(t *testing.T) {
	for _, name := range []string{"openbmc", "ilo5", "supermicro-x12"} {
		manners, err := bmc.Named(name)
		must(t, "manners", err)
		r := newConsoleRig(t, manners)
		b := r.connect(nil)
		_, err = b.Inspect(t.Context())
		must(t, "inspect", err)
		r.endpoint.Links = b.Links()
		r.bmc.ResetTraffic()
		must(t, "open console", r.opens())
		if n := r.bmc.Traffic().Requests; n != 0 {
			t.Errorf("%s: %d requests", name, n)
		}
		// Nor does one that has moved since stay unfound.
		must(t, "close", r.server.Close())
		r.serve()
		must(t, "open console at another port", r.opens())
	}
}

func TestConsoleRefusals(t *testing.T) {
	manners := func(name string) *bmc.Manners {
		m, err := bmc.Named(name)
		must(t, "manners", err)
		return m
	}
	other := ssh.FingerprintSHA256(newHostKey(t).PublicKey())
	for _, c := range []struct {
		name, vendor string
		change       func(*consoleRig)
		kind         core.Kind
		says         []string
	}{
		{"another host key", "openbmc", func(r *consoleRig) { r.endpoint.ConsoleKey = other }, core.Denied,
			[]string{"was " + other, "not sent", "accept it with '--console-key SHA256:", "in between"}},
		{"another user", "openbmc", func(r *consoleRig) {
			r.endpoint.Links = map[string]string{"console": portOf(r.at)}
			r.endpoint.User = "nobody"
		}, core.Denied, []string{"refuses user and password"}},
		{"no console", "cisco", func(r *consoleRig) { r.endpoint.ConsoleKey = other }, core.Backend, []string{"offers no serial console over SSH", "web page"}},
		{"switched off, as the system says", "openbmc", func(r *consoleRig) { r.server.Close() }, core.Backend, []string{"switched off"}},
		{"switched off, as the manager says", "ilo5", func(r *consoleRig) { r.server.Close() }, core.Backend, []string{"offers no serial console"}},
		{"no SSH at the port that was found", "openbmc", func(r *consoleRig) {
			_, port, err := net.SplitHostPort(closedPort(t))
			must(t, "port", err)
			r.endpoint.Links = map[string]string{"console": port, "system": "/redfish/v1/Systems/gone", "reset": "x"}
			r.fault(bmc.Fault{Kind: bmc.Fail, Count: bmc.Forever})
		}, core.Transient, []string{"connection refused", "firewall"}},
		{"a BMC that is gone", "openbmc", func(r *consoleRig) { r.endpoint.URL = "https://" + closedPort(t) }, core.Transient, []string{"no contact"}},
		{"no URL", "openbmc", func(r *consoleRig) { r.endpoint.URL = "10.0.0.7" }, core.Invalid, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newConsoleRig(t, manners(c.vendor))
			c.change(r)
			_, err := r.connector.Console(t.Context(), r.endpoint, password)
			wantKind(t, err, c.kind, c.says...)
		})
	}
}

// TestConsoleTaken: a command line that leads nowhere is told with its own words.
func TestConsoleTaken(t *testing.T) {
	manners, err := bmc.Named("ilo5")
	must(t, "manners", err)
	r := newConsoleRig(t, manners)
	r.connector = redfish.New(redfish.Options{Entry: time.Minute}) // it says no at once
	first, err := newConnector().Console(t.Context(), r.endpoint, password)
	must(t, "open console", err)
	defer first.Close()
	if _, err := io.ReadFull(first, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_, err = r.connector.Console(t.Context(), r.endpoint, password)
	wantKind(t, err, core.Backend, `"vsp"`, "currently in use by another session", "one session only")
}

// TestConsoleEndsWithItsContext: who reads is not left waiting.
func TestConsoleEndsWithItsContext(t *testing.T) {
	r := newConsoleRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	console, err := r.connector.Console(ctx, r.endpoint, password)
	must(t, "open console", err)
	defer console.Close()
	cancel()
	if _, err := io.Copy(io.Discard, console); err != nil {
		t.Errorf("the end reads as %v", err)
	}
}

// TestConsoleThatHangs: whatever a BMC leaves out, opening its console is bounded.
func TestConsoleThatHangs(t *testing.T) {
	key := newHostKey(t)
	for name, serve := range map[string]func(net.Conn){
		"says nothing": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"opens no session": func(c net.Conn) {
			for range loggedIn(c, key) { // none is answered
			}
		},
		"answers no request": func(c net.Conn) {
			for asked := range loggedIn(c, key) {
				_, _, _ = asked.Accept()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			must(t, "listen", err)
			done := make(chan struct{})
			go func() {
				defer close(done)
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				serve(c)
			}()
			r := newRig(t, nil)
			r.endpoint.Links = map[string]string{"console": portOf(l.Addr())}
			r.endpoint.ConsoleKey = ssh.FingerprintSHA256(key.PublicKey())
			_, err = redfish.New(redfish.Options{Console: 200 * time.Millisecond}).Console(t.Context(), r.endpoint, password)
			wantKind(t, err, core.Timeout, "did not lead to the console in time")
			must(t, "close", l.Close())
			<-done // the connection was closed
		})
	}
}

// loggedIn is what a client asks for that has logged in: nothing, where it has given up
// before that.
func loggedIn(c net.Conn, key ssh.Signer) <-chan ssh.NewChannel {
	config := &ssh.ServerConfig{KeyboardInteractiveCallback: func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		answers, err := ask("", "", []string{"Password: "}, []bool{false})
		if err != nil || len(answers) != 1 || answers[0] != password {
			return nil, errors.New("permission denied")
		}
		return nil, nil
	}}
	config.AddHostKey(key)
	_, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		none := make(chan ssh.NewChannel)
		close(none)
		return none
	}
	go ssh.DiscardRequests(requests)
	return channels
}

// TestConsoleAsksForThePassword: some BMCs take it as an answer only, and one that
// would show it on a screen does not get it.
func TestConsoleAsksForThePassword(t *testing.T) {
	key := newHostKey(t)
	for _, echo := range []bool{false, true} {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, "listen", err)
		got := make(chan string, 1)
		go func() {
			defer close(got)
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			config := &ssh.ServerConfig{KeyboardInteractiveCallback: func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
				answers, err := ask("", "", []string{"Password: "}, []bool{echo})
				if err == nil {
					got <- answers[0]
				}
				return nil, errors.New("permission denied")
			}, MaxAuthTries: 1}
			config.AddHostKey(key)
			_, _, _, _ = ssh.NewServerConn(c, config)
		}()
		r := newRig(t, nil)
		r.endpoint.Links = map[string]string{"console": portOf(l.Addr())}
		r.endpoint.ConsoleKey = ssh.FingerprintSHA256(key.PublicKey())
		_, err = r.connector.Console(t.Context(), r.endpoint, password)
		answer := <-got
		if want := map[bool]string{false: password}[echo]; answer != want || err == nil {
			t.Errorf("echo %t: it got %q, want %q; %v", echo, answer, want, err)
		}
		must(t, "close", l.Close())
	}
}
