package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/bootmedia"
	"github.com/metalpool/metalpool/core/deploy/wire"
	"github.com/metalpool/metalpool/lab/guest"
)

// bootMedia starts the agent with the parameters in the media, of which only the
// header and the parameter area are read: a real ramdisk needs the rest to run, and
// this one is compiled in.
func (s *simulated) bootMedia(ctx context.Context, media io.ReaderAt) outcome {
	if s.faults.hit(MediaHang) {
		s.say("hangs while it boots from virtual media (a fault)")
		return stays
	}
	area, err := bootmedia.ReadParams(media)
	if err != nil {
		s.log.Warn("the virtual media does not boot", "err", err)
		return s.bootDisk(ctx) // as firmware goes on to the next device
	}
	params, err := wire.DecodeParams(area)
	if err != nil {
		s.say("the ramdisk stopped: " + err.Error())
		return stays
	}
	s.say("ramdisk starts")
	if !wait(ctx, s.power.times.Ramdisk) {
		return stays
	}
	return s.runAgent(ctx, s.believes(params))
}

// believes returns what the agent is started with: what this boot was told, unless a
// fault starts it with what an earlier one was.
func (s *simulated) believes(params wire.Params) wire.Params {
	s.mu.Lock()
	defer s.mu.Unlock()
	earlier := s.told
	s.told = &params
	if earlier != nil && s.faults.hit(OldToken) {
		return *earlier
	}
	return params
}

// errVanished ends an agent that a fault silences.
var errVanished = errors.New("the agent vanished (a fault)")

// runAgent runs the agent until it leaves for the OS, powers off, or is cut off.
func (s *simulated) runAgent(ctx context.Context, params wire.Params) outcome {
	ctx, vanish := context.WithCancelCause(ctx)
	defer vanish(nil)
	h := &host{n: s, ctx: ctx, vanish: vanish, other: s.faults.hit(OtherMachine)}
	defer h.close()
	if err := h.openDisks(); err != nil {
		s.say("the ramdisk found no disks: " + err.Error())
		return stays
	}
	listener, err := listen(ctx, s.card.Address, 0)
	if err != nil {
		s.say("the ramdisk has no network: " + err.Error())
		return stays
	}
	if s.faults.hit(AgentTwice) {
		called := make(chan struct{})
		listener = &bell{Listener: listener, called: called}
		s.power.work.Go(func() { s.runTwin(ctx, params, called) })
	}
	s.say("agent runs")
	s.prints("metalpool: begins " + core.ConsoleMark(params.Boot))
	err = agent.Run(ctx, agent.Config{
		Params: params, Host: h, Listener: listener, Address: listener.Addr().String(), Buffers: s.buffers, Log: s.log,
	})
	switch {
	case errors.Is(context.Cause(ctx), errVanished):
		s.say("the agent is silent (a fault)")
		return stays
	case ctx.Err() != nil:
		return stays
	case h.off:
		s.say(fmt.Sprintf("powered off by the agent: %v", err))
		return turnsOff
	case err != nil:
		s.say(fmt.Sprintf("the agent failed: %v", err))
		return stays
	case h.left == core.Kexec:
		h.close()
		return s.bootDisk(ctx)
	}
	return restarts
}

// runTwin is another machine that got hold of the same parameters, once the engine
// has called the first. It has no disks, and its power is not this node's.
func (s *simulated) runTwin(ctx context.Context, params wire.Params, called <-chan struct{}) {
	select {
	case <-called:
	case <-ctx.Done():
		return
	}
	listener, err := listen(ctx, s.card.Address, 0)
	if err != nil {
		s.log.Warn("the twin has no network", "err", err)
		return
	}
	twin := &host{n: s, ctx: ctx, vanish: func(error) {}}
	err = agent.Run(ctx, agent.Config{Params: params, Host: twin, Listener: listener, Address: listener.Addr().String(), Buffers: s.buffers, Log: s.log})
	s.log.Info("the twin ended", "err", err)
}

// bell rings when somebody connects.
type bell struct {
	net.Listener
	called chan struct{}
	once   sync.Once
}

func (b *bell) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err == nil {
		b.once.Do(func() { close(b.called) })
	}
	return c, err
}

// host is the machine as its agent sees it.
type host struct {
	n      *simulated
	ctx    context.Context
	vanish func(error)
	other  bool // a fault: it looks like another machine
	disks  []agent.Disk
	files  []*filedisk.Disk
	memory *guest.Ramdisk // where scripts run; nil until there is one

	// Set by the agent, and read once it has returned.
	off  bool
	left core.BootMode

	once sync.Once
}

func (h *host) openDisks() error {
	drives := h.n.disks()
	if len(drives) > 0 && h.n.faults.hit(DiskMissing) {
		drives = drives[:len(drives)-1]
	}
	for _, drive := range drives {
		d, err := openDisk(drive, filedisk.Faults{Write: h.onWrite, Erase: h.onErase})
		if err != nil {
			return err
		}
		h.files = append(h.files, d)
		h.disks = append(h.disks, d)
	}
	return nil
}

func (h *host) close() {
	h.once.Do(func() {
		if h.memory != nil {
			h.memory.Close()
		}
		for _, d := range h.files {
			if err := d.Close(); err != nil {
				h.n.log.Warn("a disk was not closed", "err", err)
			}
		}
	})
}

// hang silences the agent and holds whoever asked until it is gone.
func (h *host) hang() error {
	h.vanish(errVanished)
	<-h.ctx.Done()
	return context.Cause(h.ctx)
}

func (h *host) onWrite(int64, int) error {
	if h.n.faults.hit(AgentSilent) {
		return h.hang()
	}
	if h.n.faults.hit(WriteError) {
		return errMedium
	}
	return nil
}

func (h *host) onErase(ctx context.Context, erase func() error) error {
	switch {
	case h.n.faults.hit(EraseSilent):
		return h.hang()
	case h.n.faults.hit(EraseError):
		return errMedium
	case h.n.faults.hit(EraseLie):
		return nil
	}
	return erase()
}

// Inventory implements agent.Host.
func (h *host) Inventory(context.Context) (core.Inventory, error) {
	p := h.n.card.Parts
	macs := slices.Clone(p.MACs)
	slices.Sort(macs)
	id := core.Identity{UUID: p.UUID, Serial: p.Serial, MACs: macs}
	if h.other {
		id.Serial, id.UUID = otherMachine(id.Serial, id.UUID)
	}
	var drives []core.Disk
	for _, d := range h.files {
		drives = append(drives, d.Info())
	}
	return core.Inventory{Identity: id, Hardware: h.n.shape.hardware(p, drives, h.n.card.Address)}, nil
}

// Disks implements agent.Host.
func (h *host) Disks(context.Context) ([]agent.Disk, error) { return h.disks, nil }

// Boot implements agent.Host. A disk without a system is refused, as kexec and
// firmware would.
func (h *host) Boot(_ context.Context, d agent.Disk, mode core.BootMode) (func() error, error) {
	if _, err := findSystem(d); err != nil {
		return nil, err
	}
	return func() error { h.left = mode; return nil }, nil
}

// Reset implements agent.Host. A simulated node has neither firmware variables nor a TPM.
func (h *host) Reset(context.Context) ([]string, error) { return nil, nil }

// Run implements agent.Host. Commands come one at a time.
func (h *host) Run(ctx context.Context, s core.Script, output io.Writer) (int, error) {
	if h.memory == nil {
		memory, err := guest.NewRamdisk(string(h.n.ID()), h.n.now, h.switchPower)
		if err != nil {
			return 0, err
		}
		h.memory = memory
	}
	return h.memory.Run(ctx, s, output)
}

// switchPower is what a script does that restarts the machine or turns it off.
func (h *host) switchPower(restart bool) {
	p := h.n.power
	p.work.Go(func() {
		if restart {
			p.restart()
		} else {
			p.off()
		}
	})
}

// PowerOff implements agent.Host. The power goes when the agent has returned.
func (h *host) PowerOff() error {
	h.off = true
	return nil
}
