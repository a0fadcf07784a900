package qemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeQEMU answers commands as a script says; in between it may tell of events.
type fakeQEMU struct {
	conn     *net.UnixConn
	commands chan string // the commands that it got
}

// newFakeQEMU greets, and answers each command with the next lines of the script.
func newFakeQEMU(t *testing.T, greeting string, script ...string) (*net.UnixConn, *fakeQEMU) {
	t.Helper()
	ours, file, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := net.FileConn(file)
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	f := &fakeQEMU{conn: theirs.(*net.UnixConn), commands: make(chan string, 100)}
	t.Cleanup(func() { _ = ours.Close(); _ = f.conn.Close() })
	go func() {
		defer close(f.commands)
		defer f.conn.Close()
		fmt.Fprint(f.conn, greeting)
		d := json.NewDecoder(f.conn)
		for _, answer := range append([]string{`{"return": {}}`}, script...) {
			var c struct {
				Execute   string          `json:"execute"`
				Arguments json.RawMessage `json:"arguments"`
			}
			if d.Decode(&c) != nil {
				return
			}
			f.commands <- strings.TrimSpace(c.Execute + " " + string(c.Arguments))
			fmt.Fprint(f.conn, answer)
		}
	}()
	return ours, f
}

const hello = `{"QMP": {"version": {}, "capabilities": []}}`

func TestMonitor(t *testing.T) {
	conn, f := newFakeQEMU(t, hello,
		`{"timestamp": {}, "event": "STOP"} {"return": {"status": "paused"}}`,
		`{"error": {"class": "GenericError", "desc": "Device 'x' not found."}}`,
	)
	events := make(chan string, 10)
	m, err := newMonitor(conn, func(e event) { events <- e.Name })
	if err != nil {
		t.Fatal(err)
	}
	var status struct{ Status string }
	if err := m.run("query-status", nil, &status); err != nil || status.Status != "paused" {
		t.Errorf("status %q, %v", status.Status, err)
	}
	if got := <-events; got != "STOP" {
		t.Errorf("event %s", got)
	}
	if err := m.run("set_link", map[string]any{"name": "x", "up": false}, nil); err == nil || err.Error() != "QEMU's set_link: Device 'x' not found" {
		t.Errorf("a refusal reads %v", err)
	}
	if err := m.run("cont", nil, nil); !errors.Is(err, ErrEnded) {
		t.Errorf("once QEMU has ended: %v", err)
	}
	m.close()
	m.close()
	var got []string
	for c := range f.commands {
		got = append(got, c)
	}
	if want := `qmp_capabilities|query-status|set_link {"name":"x","up":false}`; strings.Join(got, "|") != want {
		t.Errorf("QEMU got %q; want %s", got, want)
	}
}

func TestMonitorOfAProgramThatIsNotQEMU(t *testing.T) {
	for _, greeting := range []string{"", "usage: qemu [options]\n"} {
		conn, f := newFakeQEMU(t, greeting)
		_ = f.conn.CloseWrite()
		if _, err := newMonitor(conn, func(event) {}); !errors.Is(err, ErrEnded) {
			t.Errorf("%q: %v", greeting, err)
		}
	}
}

func TestMonitorPassesFiles(t *testing.T) {
	ours, file, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := net.FileConn(file)
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	qemu := theirs.(*net.UnixConn)
	passed := make(chan int, 1)
	go func() {
		defer close(passed)
		fmt.Fprint(qemu, hello)
		text, rights := make([]byte, 1000), make([]byte, 1000)
		if _, _, _, _, err := qemu.ReadMsgUnix(text, rights); err != nil {
			return
		}
		fmt.Fprint(qemu, `{"return": {}}`)
		_, n, _, _, err := qemu.ReadMsgUnix(text, rights)
		if err != nil {
			return
		}
		messages, err := unix.ParseSocketControlMessage(rights[:n])
		if err != nil || len(messages) != 1 {
			return
		}
		if fds, err := unix.ParseUnixRights(&messages[0]); err == nil && len(fds) == 1 {
			passed <- fds[0]
		}
		fmt.Fprint(qemu, `{"return": {}}`)
	}()
	m, err := newMonitor(ours, func(event) {})
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	a, b, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := errors.Join(m.pass("disc1", b), b.Close()); err != nil {
		t.Fatal(err)
	}
	fd, got := <-passed
	if !got {
		t.Fatal("no file was passed")
	}
	if _, err := unix.Write(fd, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(a); string(text) != "hello" || err != nil {
		t.Errorf("through the file came %q, %v", text, err)
	}
}
