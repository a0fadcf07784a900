package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// ConsoleConnector is a Connector that also reaches the serial consoles of servers,
// where their BMCs offer one. A console is only read. So neither method asks a lease
// or waits for the BMC's turn: it is needed most while a deploy has both.
type ConsoleConnector interface {
	// ConsoleKey is the fingerprint of the SSH host key at the console, as ssh-keygen
	// shows it: SHA256:… The server has proved that it holds the key, and nobody has
	// logged in. ErrNoConsole where the BMC offers none.
	ConsoleKey(ctx context.Context, e Endpoint, password string) (string, error)
	// Console opens the console. The password goes to the holder of e.ConsoleKey and
	// to nobody else: another key is Denied. The stream begins with what the BMC has
	// kept, if it keeps anything, and ends with Close or with ctx.
	Console(ctx context.Context, e Endpoint, password string) (io.ReadCloser, error)
}

// ErrNoConsole is wrapped where a BMC offers no serial console that we could open.
var ErrNoConsole = errors.New("it offers no serial console over SSH")

// consoleKeys are fingerprints as ssh-keygen shows them.
var consoleKeys = regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}$`)

func checkConsoleKey(key string) error {
	if key == "" || consoleKeys.MatchString(key) {
		return nil
	}
	return errors.New("the console's key is not a fingerprint of the form SHA256:…")
}

// hintConsoleKey is how a fingerprint is found.
const hintConsoleKey = "see it with 'ssh-keyscan BMC | ssh-keygen -lf -'"

// Console opens a node's serial console, whoever works on the node; see
// ConsoleConnector.Console. The caller closes it. The host key of a node that has none
// recorded yet is recorded first, with an event.
func (e *Engine) Console(ctx context.Context, id NodeID) (io.ReadCloser, error) {
	n, err := e.Node(ctx, id)
	if err != nil {
		return nil, err
	}
	console, err := e.openConsole(ctx, n)
	return console, withNode(err, id)
}

func (e *Engine) openConsole(ctx context.Context, n Node) (io.ReadCloser, error) {
	consoles, err := e.consoles(n)
	if err != nil {
		return nil, err
	}
	password, err := e.bmcPassword(ctx, n)
	if err != nil {
		return nil, err
	}
	if n.Spec.BMC.ConsoleKey == "" {
		key, err := consoles.ConsoleKey(ctx, n.endpoint(), password)
		if err != nil {
			return nil, err
		}
		if n, err = e.recordConsoleKey(ctx, n, key); err != nil {
			return nil, err
		}
	}
	return consoles.Console(ctx, n.endpoint(), password)
}

func (e *Engine) consoles(n Node) (ConsoleConnector, error) {
	backend, err := e.backend(n)
	if err != nil {
		return nil, err
	}
	consoles, ok := backend.(ConsoleConnector)
	if !ok {
		return nil, &Error{Op: "open console", Node: n.ID, Kind: Invalid, Err: fmt.Errorf("the backend %q reaches no consoles", n.Spec.BMC.Backend)}
	}
	return consoles, nil
}

// recordConsoleKey writes a key down before it is trusted, unless another process was
// faster: then that one's counts.
func (e *Engine) recordConsoleKey(ctx context.Context, seen Node, key string) (n Node, err error) {
	err = e.store.Update(ctx, func(tx Tx) error {
		if n, err = tx.Node(seen.ID); err != nil {
			return err
		}
		if n.Spec.BMC.URL != seen.Spec.BMC.URL {
			return &Error{Op: "record the console's key", Node: n.ID, Kind: Busy, Err: errors.New("the BMC's address was changed meanwhile"), Hint: "try again"}
		}
		if n.Spec.BMC.ConsoleKey != "" {
			return nil
		}
		n.Spec.BMC.ConsoleKey = key
		if err := tx.PutSpec(n); err != nil {
			return err
		}
		return tx.AddEvent(Event{Node: n.ID, Type: Note, Step: "console", Message: "the BMC's SSH host key is recorded at first use: " + key, By: e.process})
	})
	return n, err
}

// enrolledConsoleKey is the key to record at enrolment; "" is left for the first use.
// What stands in the way of a console is no reason not to enroll.
func (e *Engine) enrolledConsoleKey(ctx context.Context, n Node, password string, report Reporter) string {
	ctx, cancel := context.WithTimeout(ctx, e.timing.Call)
	defer cancel()
	consoles, err := e.consoles(n)
	if err != nil {
		return ""
	}
	key, err := consoles.ConsoleKey(ctx, n.endpoint(), password)
	if err != nil && !errors.Is(err, ErrNoConsole) {
		say(report, Progress{Node: n.ID, Step: "console", Message: "its key is not recorded yet: " + err.Error()})
	}
	return key
}
