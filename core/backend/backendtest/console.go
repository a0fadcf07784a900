package backendtest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// consoles is the Connector's other face, for a server that has a console. A Connector
// without it must have been given a Rig without one.
func (r Rig) consoles(t *testing.T) core.ConsoleConnector {
	t.Helper()
	c, ok := r.Connector.(core.ConsoleConnector)
	if !ok && r.Console != nil {
		t.Fatal("the server has a console, and the Connector reaches none")
	}
	return c
}

// testConsole: the console can be read while a job has the BMC, with and without links,
// and nothing is changed by it.
func testConsole(t *testing.T, r Rig) {
	consoles := r.consoles(t)
	if consoles == nil {
		return
	}
	b := r.connect(t, nil, func(context.Context) (until time.Time, err error) {
		return until, errors.New("nothing may be written")
	}) // the BMC's turn is taken until the test ends
	if _, err := b.Inspect(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := r.Writes()
	for name, links := range map[string]map[string]string{"without links": nil, "with links": b.Links()} {
		e := r.Endpoint
		e.Links = links
		key, err := consoles.ConsoleKey(t.Context(), e, r.Password)
		if r.Console == nil {
			if !errors.Is(err, core.ErrNoConsole) {
				t.Errorf("%s: the key of a console that is not there: %q, %v", name, key, err)
			}
			e.ConsoleKey = "SHA256:" + strings.Repeat("A", 43)
			if _, err := consoles.Console(t.Context(), e, r.Password); !errors.Is(err, core.ErrNoConsole) {
				t.Errorf("%s: a console that is not there: %v", name, err)
			}
			continue
		}
		if err != nil || key != r.Console.Key {
			t.Fatalf("%s: the key is %q, %v; want %q", name, key, err, r.Console.Key)
		}
		e.ConsoleKey = key
		r.read(t, name, consoles, e)
	}
	if n := r.Writes() - before; n != 0 {
		t.Errorf("%d requests changed something", n)
	}
}

// read opens the console, sees what is printed then, and closes it.
func (r Rig) read(t *testing.T, name string, consoles core.ConsoleConnector, e core.Endpoint) {
	t.Helper()
	console, err := consoles.Console(t.Context(), e, r.Password)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	printed := "printed " + name + "\r\n"
	r.Console.Print(printed)
	lines := bufio.NewReader(console)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: the console ended: %v", name, err)
		}
		if line == printed {
			break
		}
	}
	for range 2 {
		if err := console.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
	}
	if _, err := io.Copy(io.Discard, lines); err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("%s: reading on after the close: %v", name, err)
	}
}

// testConsolePinned: the password goes to no host key but the recorded one.
func testConsolePinned(t *testing.T, r Rig) {
	consoles := r.consoles(t)
	if consoles == nil || r.Console == nil {
		return
	}
	e := r.Endpoint
	if _, err := consoles.Console(t.Context(), e, r.Password); core.KindOf(err) != core.Invalid {
		t.Errorf("without a recorded key: %v, want %s", err, core.Invalid)
	}
	e.ConsoleKey = "SHA256:" + strings.Repeat("A", 43)
	_, err := consoles.Console(t.Context(), e, r.Password)
	if core.KindOf(err) != core.Denied || !strings.Contains(err.Error(), e.ConsoleKey) || !strings.Contains(err.Error(), r.Console.Key) {
		t.Errorf("another key: %v, want %s with both keys", err, core.Denied)
	}
	if in, refused := r.Console.Logins(); in != 0 || refused != 0 {
		t.Errorf("the password was tried %d times", in+refused)
	}
	e.ConsoleKey = r.Console.Key
	b := r.connect(t, nil, nil)
	if _, err := b.Inspect(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.Links = b.Links() // else the BMC itself might refuse first
	if _, err := consoles.Console(t.Context(), e, r.Password+"x"); core.KindOf(err) != core.Denied {
		t.Errorf("a wrong password: %v, want %s", err, core.Denied)
	}
	if in, refused := r.Console.Logins(); in != 0 || refused == 0 {
		t.Errorf("with a wrong password %d logins and %d refusals", in, refused)
	}
}
