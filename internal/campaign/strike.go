package campaign

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/metalpool/metalpool/internal/attached"
)

// strikes are the faults of a burst, on their way.
type strikes struct {
	w       *World
	b       *burst
	over    context.Context // ends with the burst: then everything heals
	healing sync.WaitGroup
}

// plant lets a fault happen, and heals it when its time is over, or the burst.
func (s *strikes) plant(f Fault) {
	w := s.w
	at := struck{kind: f.Kind, at: time.Now()}
	heal := func() error { return nil }
	var err error
	switch f.Kind {
	case BrokenBMC, BrokenMachine:
		n := w.lab.Nodes()[f.Pick%len(w.lab.Nodes())]
		at.node = string(n.ID())
		err = n.AddFault(f.Lab)
	case PowerCut:
		n := w.lab.Nodes()[f.Pick%len(w.lab.Nodes())]
		at.node = string(n.ID())
		err, heal = n.Unplug(), n.Plug
	case CutBMC, StallBMC:
		i := f.Pick % len(w.bmcs)
		at.node = string(w.lab.Nodes()[i].ID())
		heal = s.part(w.bmcs[i], f.Kind == CutBMC)
	case CutLink, StallLink:
		heal = s.part(w.doors[f.Pick%len(w.doors)], f.Kind == CutLink)
	case KillWorker:
		s.killWorkers()
	case KillServer:
		server := w.server[f.Pick%len(w.server)]
		err, heal = server.end(syscall.SIGKILL), server.up
	case DrainServer:
		server := w.server[f.Pick%len(w.server)]
		err, heal = server.end(syscall.SIGTERM), server.up
	case FreezeServer:
		server := w.server[f.Pick%len(w.server)]
		err = server.freeze()
		f.For = asleep
		heal = server.wake
	case StepClock:
		if w.database.server == nil {
			err = w.clock.step(f.Step)
		} else {
			err, heal = w.database.stop(syscall.SIGINT, f.Step), w.database.start
		}
	case FullDisk:
		err, heal = w.nest.fill(), w.nest.drain
	case KillDatabase:
		err, heal = w.database.stop(syscall.SIGQUIT, 0), w.database.start
	case StopDatabase:
		err, heal = w.database.stop(syscall.SIGINT, 0), w.database.start
	default:
		err = fmt.Errorf("nobody knows the fault %q", f.Kind)
	}
	w.diary.write("fault: %s %s%s for %s", f.Kind, at.node, describe(f), f.For)
	if err != nil {
		s.b.violate("campaign", fmt.Sprintf("%s: %v", f.Kind, err))
	}
	s.b.strike(at)
	s.healing.Go(func() {
		select {
		case <-time.After(f.For):
		case <-s.over.Done():
		}
		if err := heal(); err != nil {
			s.b.violate("campaign", fmt.Sprintf("the end of %s: %v", f.Kind, err))
		}
		w.diary.write("healed: %s %s", f.Kind, at.node)
	})
}

func describe(f Fault) string {
	switch {
	case f.Lab.BMC != nil:
		return fmt.Sprintf(" %s on the %d. %s", f.Lab.BMC.Kind, f.Lab.BMC.Nth, f.Lab.BMC.On)
	case f.Lab.Machine != nil:
		return fmt.Sprintf(" the %d. %s", f.Lab.Machine.Nth, f.Lab.Machine.Kind)
	case f.Step != 0:
		return fmt.Sprintf(" by %s", f.Step)
	}
	return ""
}

// part cuts a link or lets it stall; what it returns mends it.
func (s *strikes) part(l *link, cut bool) (heal func() error) {
	if cut {
		l.set(isCut)
	} else {
		l.set(stalls)
	}
	return func() error { l.set(passes); return nil }
}

// killWorkers kills the workers that commands have left behind for this pool.
func (s *strikes) killWorkers() {
	for _, pid := range attached.To(s.w.pool) {
		line, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "cmdline"))
		if err == nil && strings.HasPrefix(string(line), "metalpool\x00worker\x00") {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
	}
}

// heal ends all faults that have no end of their own.
func (s *strikes) heal() {
	s.healing.Wait()
	for _, n := range s.w.lab.Nodes() {
		n.ClearFaults()
		if err := n.Plug(); err != nil {
			s.b.violate("campaign", err.Error())
		}
	}
	for _, server := range s.w.server {
		if err := server.up(); err != nil {
			s.b.violate("NothingLost", err.Error())
		}
	}
}
