package redfish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// The verbs of core.ConsoleConnector use the links that are known, and read what is
// missing. They do not wait for the BMC's turn: they only read, and at most a few
// resources, once.

var _ core.ConsoleConnector = (*Connector)(nil)

const opConsole = "open console"

// consoleProtocol is one way to a system's serial console.
type consoleProtocol struct {
	ServiceEnabled *bool
	Port           number
	Shared         bool `json:"SharedWithManagerCLI"`
	EntryCommand   text `json:"ConsoleEntryCommand"`
}

// shellService is what a manager tells of its consoles and shells.
type shellService struct {
	ServiceEnabled *bool
	Types          []string `json:"ConnectTypesSupported"`
}

func (s shellService) overSSH() bool {
	return slices.ContainsFunc(s.Types, func(t string) bool { return strings.EqualFold(t, "SSH") }) && (s.ServiceEnabled == nil || *s.ServiceEnabled)
}

type networkProtocol struct {
	SSH struct {
		ProtocolEnabled *bool
		Port            number
	}
}

// offer is how a BMC offers the console: where its SSH is, and what is typed there.
type offer struct {
	port  int
	entry []string // commands, in order; none: who logs in is at the console
}

// standardPort is SSH's where a BMC does not say.
const standardPort = 22

// offered is the system's own word, where told; refusing is a console that there is,
// and that is switched off.
func (s system) offered(m manners) (o offer, told bool, refusing error) {
	ssh := s.SerialConsole.SSH
	if ssh == nil {
		return offer{}, false, nil
	}
	if ssh.ServiceEnabled != nil && !*ssh.ServiceEnabled {
		return offer{}, true, errConsoleOff
	}
	o = offer{port: portOf(ssh.Port), entry: commands(string(ssh.EntryCommand))}
	if len(o.entry) == 0 && (ssh.Shared || o.port == standardPort) {
		o.entry = commands(m.Console)
	}
	return o, true, nil
}

// offeredBy is the word of a manager, for BMCs whose way into the console is known.
func offeredBy(m manager, p networkProtocol, known manners) (o offer, refusing error) {
	switch {
	case known.Console == "" || !m.SerialConsole.overSSH() && !m.CommandShell.overSSH():
		return offer{}, core.ErrNoConsole
	case p.SSH.ProtocolEnabled != nil && !*p.SSH.ProtocolEnabled:
		return offer{}, errConsoleOff
	}
	return offer{port: portOf(p.SSH.Port), entry: commands(known.Console)}, nil
}

// errConsoleOff is a console that there is, and that is switched off.
var errConsoleOff = fmt.Errorf("%w: the service is switched off", core.ErrNoConsole)

func portOf(n number) int {
	if n < 1 || n > 65535 {
		return standardPort
	}
	return int(n)
}

// commands are the lines to type. BMCs tell several as "a; b", for people: typed so,
// their command lines do not take it.
func commands(text string) []string {
	var lines []string
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// kept is the offer in the links, where one was found before.
func kept(links map[string]string) (offer, bool) {
	port, err := strconv.Atoi(links[factConsole])
	return offer{port: port, entry: commands(links[factEntry])}, err == nil
}

// findConsole judges by the system and its managers, and reads what is missing. A
// network protocol that cannot be read leaves SSH at its standard port.
func (t talk) findConsole(s system, boards []manager) (offer, error) {
	o, told, err := s.offered(t.manners)
	if told {
		return o, err
	}
	err = core.ErrNoConsole
	for _, m := range boards {
		var p networkProtocol
		if t.manners.Console != "" && m.NetworkProtocol != "" {
			_, _ = t.get(string(m.NetworkProtocol), &p)
		}
		if o, err = offeredBy(m, p, t.manners); err == nil {
			return o, nil
		}
	}
	return offer{}, err
}

// lookForConsole asks the BMC anew.
func (b *conversation) lookForConsole(ctx context.Context) (o offer, err error) {
	var none error // an answer, and no fault of the conversation
	err = b.verb(ctx, opConsole, func(t talk) error {
		var s system
		if _, err := t.get(t.links[linkSystem], &s); err != nil {
			return err
		}
		var boards []manager
		if at := t.links[linkManager]; s.SerialConsole.SSH == nil && at != "" {
			boards = make([]manager, 1)
			if _, err := t.get(at, &boards[0]); err != nil {
				return err
			}
		}
		o, none = t.findConsole(s, boards)
		return nil
	})
	return o, cmp.Or(err, none)
}

// ConsoleKey implements core.ConsoleConnector.
func (c *Connector) ConsoleKey(ctx context.Context, e core.Endpoint, password string) (key string, err error) {
	err = c.atConsole(ctx, e, password, func(ctx context.Context, l line) error {
		key, err = l.key(ctx)
		return err
	})
	return key, err
}

// Console implements core.ConsoleConnector.
func (c *Connector) Console(ctx context.Context, e core.Endpoint, password string) (console io.ReadCloser, err error) {
	if e.ConsoleKey == "" {
		return nil, invalid(opConsole, errors.New("no SSH host key is recorded to check the BMC by"), "")
	}
	err = c.atConsole(ctx, e, password, func(opening context.Context, l line) error {
		l.user, l.password, l.hostKey = e.User, password, e.ConsoleKey
		console, err = l.open(ctx, opening)
		return err
	})
	return console, err
}

// atConsole does something where the console is known to be. Where that place is from
// an earlier conversation and nobody answers there, the BMC is asked once more.
func (c *Connector) atConsole(ctx context.Context, e core.Endpoint, password string, do func(context.Context, line) error) error {
	b, err := c.converse(e, password)
	if err != nil {
		return err
	}
	defer b.Close()
	opening, cancel := context.WithTimeout(ctx, c.options.Console)
	defer cancel()
	o, known := kept(b.links)
	if !known {
		if o, err = b.lookForConsole(opening); err != nil {
			return b.consoleError(opening, err)
		}
	}
	err = do(opening, line{at: b.at, offer: o, options: c.options})
	var unanswered *unansweredError
	if known && errors.As(err, &unanswered) {
		now, readErr := b.lookForConsole(opening)
		if readErr == nil && (now.port != o.port || !slices.Equal(now.entry, o.entry)) {
			err = do(opening, line{at: b.at, offer: now, options: c.options})
		} else if errors.Is(readErr, core.ErrNoConsole) {
			err = readErr
		}
	}
	return b.consoleError(opening, err)
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
		return said(core.Denied, "if the BMC made itself a new key, accept it with "+b.at.accept("--console-key", changed.got)+"; else somebody is in between")
	case errors.As(err, &refused):
		return said(core.Backend, "somebody else may be at the console: many BMCs have one session only")
	case ctx.Err() != nil:
		return &core.Error{Op: opConsole, Kind: core.Timeout, Err: &causeError{text: fmt.Sprintf("BMC %s: its SSH did not lead to the console in time: %v", b.at.base, context.Cause(ctx)), err: err}, Hint: "resetting the BMC helps at times"}
	case errors.As(err, &unanswered):
		return said(core.Transient, "is SSH switched on in the BMC, and does a firewall let it through?")
	}
	return said(core.Transient, "try again")
}
