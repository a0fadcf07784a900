package qemu

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// event is what QEMU tells on its own.
type event struct {
	Name string          `json:"event"`
	Data json.RawMessage `json:"data"`
}

// ErrEnded is what commands answer once QEMU has ended.
var ErrEnded = errors.New("QEMU has ended")

// monitor is a connection in QEMU's machine protocol, QMP. Commands run one by one.
type monitor struct {
	conn   *net.UnixConn
	events func(event)   // called in order, by one goroutine; must not run commands
	over   chan struct{} // closed when no more events come
	closed chan struct{}
	closes sync.Once

	one     sync.Mutex // held during a command
	answers chan answer
}

type answer struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
}

// newMonitor waits for QEMU's greeting and gets ready for commands. It owns conn.
func newMonitor(conn *net.UnixConn, events func(event)) (*monitor, error) {
	m := &monitor{conn: conn, events: events, over: make(chan struct{}), closed: make(chan struct{}), answers: make(chan answer)}
	greeted := make(chan struct{})
	go m.listen(greeted)
	select {
	case <-greeted:
	case <-m.over:
		return nil, ErrEnded
	}
	if err := m.run("qmp_capabilities", nil, nil); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// listen reads until QEMU ends. Lines are answers, events, or the greeting.
func (m *monitor) listen(greeted chan<- struct{}) {
	defer close(m.over)
	d := json.NewDecoder(bufio.NewReader(m.conn))
	for {
		var line struct {
			Greeting json.RawMessage `json:"QMP"`
			event
			answer
		}
		if d.Decode(&line) != nil {
			return
		}
		switch {
		case line.Greeting != nil:
			if greeted != nil {
				close(greeted)
				greeted = nil
			}
		case line.Name != "":
			m.events(line.event)
		default:
			select {
			case m.answers <- line.answer:
			case <-m.closed:
				return
			}
		}
	}
}

// run runs a command, and decodes what it returns unless result is nil.
func (m *monitor) run(command string, arguments, result any) error {
	return m.send(command, arguments, result, nil)
}

// pass gives QEMU a file under a name, for later commands. The caller keeps its own.
func (m *monitor) pass(name string, f *os.File) error {
	return m.send("getfd", map[string]string{"fdname": name}, nil, unix.UnixRights(int(f.Fd())))
}

func (m *monitor) send(command string, arguments, result any, rights []byte) error {
	text, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		return fmt.Errorf("QEMU's %s: %w", command, err)
	}
	m.one.Lock()
	defer m.one.Unlock()
	if _, _, err := m.conn.WriteMsgUnix(append(text, '\n'), rights, nil); err != nil {
		return fmt.Errorf("QEMU's %s: %w", command, ErrEnded)
	}
	var a answer
	select {
	case a = <-m.answers:
	case <-m.over:
		return fmt.Errorf("QEMU's %s: %w", command, ErrEnded)
	}
	if a.Error != nil {
		return fmt.Errorf("QEMU's %s: %s", command, strings.TrimSuffix(a.Error.Desc, "."))
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(a.Return, result); err != nil {
		return fmt.Errorf("QEMU's %s: %w", command, err)
	}
	return nil
}

// close ends the connection and waits until no more events come.
func (m *monitor) close() {
	m.closes.Do(func() { close(m.closed) })
	_ = m.conn.Close() // it is not used any more
	<-m.over
}
