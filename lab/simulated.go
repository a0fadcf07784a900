package lab

import (
	"context"
	"path/filepath"
	"slices"
	"sync"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
	"github.com/metalpool/metalpool/lab/bmc"
	"github.com/metalpool/metalpool/lab/guest"
)

// simulated is a machine that runs inside this process: the agent as a real ramdisk
// starts it, and a system that is a shell of the lab's own.
type simulated struct {
	*Node
	times   Times
	buffers *agent.Buffers

	mu    sync.Mutex
	guest *guest.Guest
	told  *wire.Params // what the last boot of the ramdisk was told
}

// disks are what an operating system finds: the drives, but volumes instead of those that
// they are made of. A volume is a file of its own; the drives keep theirs.
func (s *simulated) disks() []core.Disk {
	volumes := s.BMC().Volumes()
	found := slices.DeleteFunc(slices.Clone(s.drives), func(d core.Disk) bool {
		return slices.ContainsFunc(volumes, func(v bmc.Volume) bool { return slices.Contains(v.Drives, d.Serial) })
	})
	for _, v := range volumes {
		found = append(found, core.Disk{
			Serial: s.card.Parts.Serial + v.ID, Model: "LAB-VOLUME " + v.Type, Kind: core.SSD,
			Size: core.Bytes(v.Bytes), Path: filepath.Join(s.dir, "volume"+v.ID+".img"),
		})
	}
	return found
}

// openDisk opens one of them.
func openDisk(d core.Disk, faults filedisk.Faults) (*filedisk.Disk, error) {
	return filedisk.Open(d.Path, d, faults)
}

// boot implements system: it boots what the BMC says.
func (s *simulated) boot(ctx context.Context) outcome {
	s.say("firmware")
	switch b := s.BMC().NextBoot(); b.Source {
	case bmc.FromNothing:
		s.say("in the firmware's menu")
		return stays
	case bmc.FromMedia:
		return s.bootMedia(ctx, b.Media)
	default: // from the network nobody answers, and the disk comes next
		return s.bootDisk(ctx)
	}
}

func (s *simulated) running() *guest.Guest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.guest
}

// shutDown implements system.
func (s *simulated) shutDown(ctx context.Context) bool {
	return s.running() != nil && wait(ctx, s.times.Shutdown)
}

// halt implements system.
func (s *simulated) halt() {
	s.mu.Lock()
	g := s.guest
	s.guest = nil
	s.mu.Unlock()
	if g != nil {
		s.say("system stopped")
		if err := g.Shutdown(); err != nil {
			s.log.Warn("the simulated system did not end well", "err", err)
		}
	}
}

// stats implements machine.
func (s *simulated) stats() guest.Stats {
	if g := s.running(); g != nil {
		return g.Stats()
	}
	return guest.Stats{}
}

// changed implements machine: what it looks at, it looks at when it needs it.
func (s *simulated) changed() {}

// faultKinds implements machine.
func (s *simulated) faultKinds() []FaultKind { return slices.Clone(simulatedFaults) }

// countFaults implements machine: each is counted when it hits.
func (s *simulated) countFaults() {}
