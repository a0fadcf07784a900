package enginetest

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
)

// agent is a conversation with the ramdisk that one boot started.
type agent struct {
	host       *Host
	boot       core.Boot
	secret     core.BootSecret
	generation uint64

	mu   sync.Mutex
	owed core.Owed
}

// Lost is how long an agent is called that is out of reach.
const Lost = 5 * time.Minute

// reach waits while the server is off the network.
func (a *agent) reach(ctx context.Context) error {
	id, cord := a.cord()
	if cord == nil {
		return nil
	}
	began := time.Now()
	a.owe(core.Owed{Agent: string(id), Since: began, Until: began.Add(Lost), Why: "no route to host"})
	defer a.owe(core.Owed{})
	select {
	case <-cord:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(Lost):
		return errGone
	}
}

func (a *agent) cord() (core.NodeID, chan struct{}) {
	a.host.rack.mu.Lock()
	defer a.host.rack.mu.Unlock()
	for _, s := range a.host.rack.servers {
		if s.ramdisk != nil && s.ramdisk.boot == a.boot.ID {
			return s.ID, s.cord
		}
	}
	return "", nil
}

func (a *agent) owe(o core.Owed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.owed = o
}

// Owes implements core.Agent.
func (a *agent) Owes() core.Owed {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.owed
}

// call finds the server on which the boot runs, and refuses whom the agent refuses.
func (a *agent) call(op string, effect func(s *Server) error) error {
	return a.host.freezer.call("agent "+op, time.Time{}, func() error {
		a.host.rack.mu.Lock()
		defer a.host.rack.mu.Unlock()
		for _, s := range a.host.rack.servers {
			r := s.ramdisk
			if r == nil || r.boot != a.boot.ID {
				continue
			}
			if r.token != a.secret.Token || string(a.boot.Agent.Certificate) != "certificate of "+r.boot {
				return fault(op, core.Denied, "another key")
			}
			if a.generation < r.generation {
				return fault(op, core.LeaseLost, "generation %d is over, it is %d now", a.generation, r.generation)
			}
			r.generation = a.generation
			return effect(s)
		}
		return errGone
	})
}

// command is call, where the same ID again has the same outcome.
func (a *agent) command(op, id string, effect func(s *Server) (core.EraseReport, error)) (report core.EraseReport, err error) {
	err = a.call(op, func(s *Server) error {
		if before, again := s.ramdisk.done[id]; again {
			report = before.report
			return before.err
		}
		r := s.ramdisk
		// Only what the server answered is an outcome: a call that was lost is none.
		err := s.act(op, func() (err error) {
			report, err = effect(s)
			r.done[id] = outcome{report, err}
			return err
		})
		return err
	})
	return report, err
}

func (a *agent) Inventory(context.Context) (i core.Inventory, err error) {
	err = a.call("inventory", func(s *Server) error {
		return s.act("inventory", func() error {
			i = core.Inventory{Identity: s.identity, Hardware: s.hardware, Attempt: a.boot.ID}
			i.Hardware.Disks = s.seen()
			return nil
		})
	})
	return i, err
}

func (a *agent) Write(ctx context.Context, id string, o core.WriteOrder, progress func(done, total core.Bytes)) error {
	if err := a.passTime(ctx, progress); err != nil {
		return err
	}
	_, err := a.command("write", id, func(s *Server) (core.EraseReport, error) {
		progress(1, 1)
		s.disks[o.Disk] = Disk{Image: o.Manifest.Path}
		return core.EraseReport{}, nil
	})
	return err
}

// passTime lets the time pass that a write takes on the rack, a hundredth at a time.
func (a *agent) passTime(ctx context.Context, progress func(done, total core.Bytes)) error {
	for i := range core.Bytes(100) {
		if a.host.rack.Writing == 0 {
			return nil
		}
		if err := a.reach(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(a.host.rack.Writing / 100):
			progress(i*core.GiB/100, core.GiB)
		}
	}
	return nil
}

func (a *agent) Seed(_ context.Context, id string, o core.SeedOrder) error {
	_, err := a.command("seed", id, func(s *Server) (core.EraseReport, error) {
		var seed core.Seed
		if err := json.Unmarshal(o.Filesystem, &seed); err != nil {
			return core.EraseReport{}, err
		}
		d := s.disks[o.Disk]
		d.Seed = &seed
		s.disks[o.Disk] = d
		return core.EraseReport{}, nil
	})
	return err
}

func (a *agent) Erase(_ context.Context, id string, o core.EraseOrder, progress func(done, total core.Bytes)) (core.EraseReport, error) {
	return a.command("erase", id, func(s *Server) (report core.EraseReport, err error) {
		for _, disk := range o.Disks {
			if !slices.ContainsFunc(s.seen(), func(d core.Disk) bool { return d.Key() == disk }) {
				return report, fault("erase", core.Backend, "disk %s is missing", disk)
			}
		}
		// Whatever is built in is erased, ordered or not.
		for _, d := range s.seen() {
			if d.Removable {
				continue
			}
			progress(1, 1)
			s.disks[d.Key()] = Disk{}
			report.Disks = append(report.Disks, core.DiskErase{Disk: d.Key(), Method: "discard", Class: core.Clear, Verified: true})
		}
		s.erases++
		report.Reset = []string{"boot entries"}
		return report, nil
	})
}

// Boot is the operation "kexec" or "reboot". A fault of "kexec hang" strikes after the
// agent is gone; with one of "kexec stuck" its kernel hangs as well, and still answers.
func (a *agent) Boot(_ context.Context, id string, o core.BootOrder) error {
	_, err := a.command(string(o.Mode), id, func(s *Server) (core.EraseReport, error) {
		switch {
		case o.Mode == core.Reboot:
			s.restart()
		case s.faulty("kexec hang"):
			s.ramdisk = nil
		case s.faulty("kexec stuck"):
		default:
			s.bootDisk()
		}
		return core.EraseReport{}, nil
	})
	return err
}

// Run runs a script in the ramdisk. One that crashes takes the ramdisk with it.
func (a *agent) Run(_ context.Context, script core.Script, output io.Writer) (status int, err error) {
	err = a.call("run", func(s *Server) error {
		return s.act("run", func() error {
			if script.ID == "" {
				return fault("run", core.Internal, "a command without an ID")
			}
			status, err = s.runs(script, &s.ramdisk.ended, output)
			if status == unknown {
				s.ramdisk = nil
				return errGone
			}
			return err
		})
	})
	return status, err
}

// Log is what the agent logged.
func (a *agent) Log(context.Context) (text string, err error) {
	err = a.call("log", func(s *Server) error { text = s.log; return nil })
	return text, err
}

func (a *agent) Close() error { return nil }
