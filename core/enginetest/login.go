package enginetest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core"
)

const privateLogin = "PRIVATE LOGIN KEY "

// NewLoginKey makes a key that a test can look for.
func (h *Host) NewLoginKey(comment string) (private []byte, public string, err error) {
	id := core.NewID("login")
	return []byte(privateLogin + id), "ssh-ed25519 " + id + " " + comment, nil
}

// LogIn finds the system at the address, which lets the keys of its seed in.
func (h *Host) LogIn(_ context.Context, at core.Access, private []byte) (login core.Login, err error) {
	err = h.freezer.call("ssh log in", time.Time{}, func() error {
		for _, s := range h.rack.Servers() {
			system := s.Look().System
			if s.Address != at.Address || system == nil {
				continue
			}
			if !slices.Contains(at.HostKeys, PublicKey(system.HostKeys[0])) {
				return fault("log in", core.Backend, "another host key")
			}
			id := strings.TrimPrefix(string(private), privateLogin)
			if !slices.ContainsFunc(system.Keys, func(k string) bool { return strings.HasPrefix(k, "ssh-ed25519 "+id+" ") }) {
				return fault("log in", core.Denied, "the key is refused")
			}
			h.rack.mu.Lock()
			defer h.rack.mu.Unlock()
			login = &shell{host: h, server: s}
			return s.act("ssh log in", func() error { return nil })
		}
		return fault("log in", core.Transient, "no route to host")
	})
	return login, err
}

// shell is a user's session on a server.
type shell struct {
	host   *Host
	server *Server
}

func (s *shell) Keys(ctx context.Context) (lines []string, err error) {
	err = s.do(ctx, "ssh keys", func(system *core.Seed) error {
		lines = slices.Clone(system.Keys)
		return nil
	})
	return lines, err
}

func (s *shell) SetKeys(ctx context.Context, lines []string) error {
	return s.do(ctx, "ssh set keys", func(system *core.Seed) error {
		system.Keys = slices.Clone(lines)
		return nil
	})
}

// AwaitCloudInit fails where the user data says so.
func (s *shell) AwaitCloudInit(ctx context.Context) error {
	return s.do(ctx, "ssh cloud-init", func(system *core.Seed) error {
		if string(system.UserData) == "fails" {
			return fault("cloud-init", core.Invalid, "status: error")
		}
		return nil
	})
}

// Run runs a script on the system.
func (s *shell) Run(_ context.Context, script core.Script, output io.Writer) (status int, err error) {
	err = s.host.freezer.call("ssh run", time.Time{}, func() error {
		s.host.rack.mu.Lock()
		defer s.host.rack.mu.Unlock()
		return s.server.act("ssh run", func() error {
			if s.server.system == nil {
				return fault("run script", core.Transient, "connection reset")
			}
			status, err = s.server.runs(script, &s.server.ended, output)
			if status == unknown && err == nil {
				return fault("run script", core.Transient, "connection reset")
			}
			return err
		})
	})
	return status, err
}

// runs keeps what has been run, and in ended how it ended, under the run's ID. A script
// is what it says: "exit 3", or "exit 3 once" for one that succeeds afterwards; "hang"
// ends with its limit, "crash" with a machine that has forgotten it, "poweroff" with one
// that is off.
func (s *Server) runs(script core.Script, ended *map[string]int, output io.Writer) (status int, err error) {
	if before, there := (*ended)[script.ID]; there && script.ID != "" && (before != unknown || !script.Again) {
		if before == unknown {
			return 0, core.ErrUnknownOutcome
		}
		return before, nil
	}
	before := len(s.ran)
	s.ran = append(slices.Clone(s.ran), script)
	fmt.Fprintf(output, "script %d: %s\n%s\n", before+1, script.Text, script.Env["TOKEN"])
	switch {
	case script.Text == "hang":
		status = 124
	case script.Text == "crash":
		status = unknown
	case script.Text == "poweroff":
		status = unknown
		s.turnOff()
	case script.Text == "exit 3", script.Text == "exit 3 once" && !slices.ContainsFunc(s.ran[:before], func(r core.Script) bool { return r.Text == script.Text }):
		status = 3
	}
	all := maps.Clone(*ended)
	if all == nil {
		all = map[string]int{}
	}
	all[script.ID], *ended = status, all
	return status, nil
}

// unknown is the status of a run whose end nobody has seen.
const unknown = -1

func (s *shell) Close() error { return nil }

// do changes the system that runs, and the disk that it is on. A connection ends with its
// context.
func (s *shell) do(ctx context.Context, op string, effect func(system *core.Seed) error) error {
	until, _ := ctx.Deadline()
	return s.host.freezer.call(op, until, func() error {
		if !until.IsZero() && !time.Now().Before(until) {
			return fault(op, core.Timeout, "the connection was closed")
		}
		s.host.rack.mu.Lock()
		defer s.host.rack.mu.Unlock()
		return s.server.act(op, func() error {
			if s.server.system == nil {
				return fault(op, core.Transient, "connection reset")
			}
			system := *s.server.system // clones of the rack share the old one
			err := effect(&system)
			for serial, d := range s.server.disks {
				if d.Seed == s.server.system {
					d.Seed = &system
					s.server.disks[serial] = d
				}
			}
			s.server.system = &system
			return err
		})
	})
}
