package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/bmc"
	"github.com/metalpool/metalpool/lab/guest"
	"github.com/metalpool/metalpool/lab/qemu"
)

// hypervisor is what the VMs of a rack run on.
type hypervisor struct {
	programs qemu.Programs
	accel    qemu.Accel
}

// findHypervisor looks for QEMU, and whether it can use the processor's own help.
func findHypervisor(ctx context.Context, accel qemu.Accel) (*hypervisor, error) {
	programs, err := qemu.Find()
	if err != nil {
		return nil, &core.Error{Op: "start the lab", Kind: core.Invalid, Err: err, Hint: "install them; on Debian and Ubuntu: sudo apt-get install qemu-system-x86 ovmf"}
	}
	if accel == "" {
		accel = qemu.BestAccel(ctx, programs)
	}
	return &hypervisor{programs, accel}, nil
}

// vm is a machine that is a QEMU process while its power is on. What its firmware
// remembers is a file of its own, and stays.
type vm struct {
	*Node
	on   *hypervisor
	poke chan struct{} // something to bring the running machine up to date with

	mu      sync.Mutex
	running *qemu.Machine // nil: none
	failed  int           // of its writes, as far as faults were told
}

func newVM(n *Node, on *hypervisor) *vm {
	return &vm{Node: n, on: on, poke: make(chan struct{}, 1)}
}

// boot implements system: one start of the firmware is one process.
func (v *vm) boot(ctx context.Context) outcome {
	b := v.BMC().NextBoot()
	s := v.spec(b)
	phase, hangs := v.starts(b)
	v.say(phase)
	end, err := v.live(ctx, s, b, hangs)
	switch {
	case ctx.Err() != nil:
		return stays // its power was taken, by who knows why
	case err != nil:
		v.log.Error("the virtual machine ended", "err", err)
		v.accident(err.Error())
	case end == qemu.Restarted:
		return restarts
	}
	return turnsOff
}

// starts says what a start looks like, and whether it gets nowhere: then no processor
// runs, which also costs none.
func (v *vm) starts(b bmc.Boot) (phase string, hangs bool) {
	switch {
	case b.Source == bmc.FromNothing:
		return "in the firmware's menu", true
	case b.Legacy:
		return "hangs: this firmware knows UEFI alone, and is to boot as a BIOS", true
	case b.Source == bmc.FromMedia && v.faults.hit(MediaHang):
		return "hangs while it boots from virtual media (a fault)", true
	case b.Source != bmc.FromMedia && v.faults.hit(DiskHang):
		return "hangs while it boots from the disk (a fault)", true
	}
	return "firmware", false
}

// live runs one process from its start to its end.
func (v *vm) live(ctx context.Context, s qemu.Spec, b bmc.Boot, hangs bool) (end qemu.End, err error) {
	lock, err := v.lockDisks(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := v.prepareFiles(); err != nil {
		return "", err
	}
	started := make(chan struct{})
	watcher := newPhases(v.say, func() { close(started) })
	m, err := qemu.Start(ctx, s, qemu.Host{Programs: v.on.programs, Console: io.MultiWriter(watcher, &transcript{console: v.console, log: v.log}), Lock: lock})
	if err != nil {
		return "", err
	}
	defer m.Kill()
	// A disc that is not to be booted is kept from the firmware, whose own boot order
	// may begin with the drive.
	if err := errors.Join(load(m, b.Media), v.update(m)); err != nil {
		return "", err
	}
	v.set(m)
	defer func() {
		v.countFaults()
		v.set(nil)
	}()
	if !hangs {
		if err := m.Run(); err != nil {
			return "", err
		}
	}
	go v.keepUp(m, b.Media != nil, started)
	return m.Wait()
}

// transcript keeps what a machine says. That it cannot be kept must not stop the
// machine, which waits for its serial port.
type transcript struct {
	console *console
	log     *slog.Logger
	lost    bool
}

// Write implements io.Writer.
func (t *transcript) Write(p []byte) (int, error) {
	if _, err := t.console.Write(p); err != nil && !t.lost {
		t.lost = true
		t.log.Error("the serial console is not kept", "err", err)
	}
	return len(p), nil
}

// load shows a system what is in the BMC's drive; nil is nothing.
func load(m *qemu.Machine, disc *bmc.Media) error {
	if disc == nil {
		return m.Load(nil)
	}
	return m.Load(disc)
}

// keepUp follows what changes from outside, until the machine ends. The drive is
// shown from the start, or from when the firmware has started something.
func (v *vm) keepUp(m *qemu.Machine, shown bool, started <-chan struct{}) {
	for {
		select {
		case <-m.Done():
			return
		case <-started:
			started, shown = nil, true
		case <-v.poke:
		}
		err := v.update(m)
		if shown {
			err = errors.Join(load(m, v.BMC().Disc()), err)
		}
		if err != nil && !errors.Is(err, qemu.ErrEnded) {
			v.log.Error("the virtual machine does not follow its BMC", "err", err)
		}
	}
}

// update brings the network and the faults of disks up to date.
func (v *vm) update(m *qemu.Machine) error {
	v.Node.mu.Lock()
	cable := v.cable
	v.Node.mu.Unlock()
	nth, count := 0, 0
	if f, found := v.faults.pending(WriteError); found {
		nth, count = f.Nth, f.Count
	}
	return errors.Join(m.SetLink(0, cable), m.FailWrites(nth, count))
}

func (v *vm) set(m *qemu.Machine) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.running, v.failed = m, 0
}

func (v *vm) current() *qemu.Machine {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.running
}

// shutDown implements system: it presses the button, and boot tells what came of it.
func (v *vm) shutDown(context.Context) bool {
	if m := v.current(); m != nil {
		if err := m.PressPower(); err != nil && !errors.Is(err, qemu.ErrEnded) {
			v.log.Error("the power button does not work", "err", err)
		}
	}
	return false
}

// halt implements system: nothing outlives boot.
func (v *vm) halt() {}

// changed implements machine.
func (v *vm) changed() {
	select {
	case v.poke <- struct{}{}:
	default: // it will look already
	}
}

// faultKinds implements machine.
func (v *vm) faultKinds() []FaultKind { return slices.Clone(vmFaults) }

// countFaults implements machine. Writes that nobody asked for while they failed are
// counted when the machine ends.
func (v *vm) countFaults() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, planted := v.faults.pending(WriteError); !planted || v.running == nil {
		return
	}
	if n, err := v.running.FailedWrites(); err == nil && n > v.failed {
		v.faults.struck(WriteError, n-v.failed)
		v.failed = n
	}
}

// stats implements machine: who logs in to a VM, the lab does not see.
func (v *vm) stats() guest.Stats { return guest.Stats{} }

// Files of a VM in its node's folder, besides its disks and its console.
const (
	varsName = "uefi-vars.fd"
	lockName = "running"
)

// prepareFiles makes what the machine has from the factory: empty disks, and firmware
// that remembers nothing.
func (v *vm) prepareFiles() error {
	vars := filepath.Join(v.dir, varsName)
	if _, err := os.Stat(vars); errors.Is(err, os.ErrNotExist) {
		text, err := os.ReadFile(v.on.programs.Vars)
		if err == nil {
			err = replaceFile(vars, text)
		}
		if err != nil {
			return fmt.Errorf("make the firmware's variables: %w", err)
		}
	}
	for _, d := range v.drives {
		f, err := os.OpenFile(d.Path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil && info.Size() < int64(d.Size) {
			err = f.Truncate(int64(d.Size))
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("make disk %s: %w", d.Path, err)
		}
	}
	return nil
}

// lockTime is how long the process of an earlier lab may take to be gone.
const lockTime = 10 * time.Second

// lockDisks keeps a second process off the disks and the firmware's variables. The
// lock is inherited by the process, so it holds for as long as that lives, also where
// the lab itself was killed.
func (v *vm) lockDisks(ctx context.Context) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(v.dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return f, nil
		}
		if !wait(ctx, 50*time.Millisecond) {
			_ = f.Close()
			return nil, fmt.Errorf("another QEMU still runs with the disks in %s; end it", v.dir)
		}
	}
}

// spec is the machine as this start finds it.
func (v *vm) spec(b bmc.Boot) qemu.Spec {
	c, facts := v.card.VM, v.Facts()
	s := qemu.Spec{
		Accel: v.on.accel, CPUs: c.CPUs, Memory: int(c.Memory / core.MiB),
		UUID: facts.UUID, Serial: facts.Serial, BIOSVersion: facts.BIOSVersion, Manufacturer: v.manners.Vendor, Product: v.manners.Model,
		Code: v.on.programs.Code, Vars: filepath.Join(v.dir, varsName), CD: c.CD,
	}
	ramdisk := b.Source == bmc.FromMedia // what the agent finds
	if ramdisk && v.faults.hit(OtherMachine) {
		s.Serial, s.UUID = otherMachine(facts.Serial, facts.UUID)
	}
	for i, d := range v.drives {
		s.Disks = append(s.Disks, qemu.Disk{Bus: c.Disks[i].Bus, Path: d.Path, Serial: d.Serial, Model: d.Model, WWN: wwnNumber(d.WWN), Sector: c.Disks[i].Sector})
	}
	if ramdisk && v.faults.hit(DiskMissing) {
		s.Disks = s.Disks[:len(s.Disks)-1]
	}
	if ramdisk {
		s.Boot = qemu.BootCD
	}
	network := qemu.Answers
	switch {
	case v.faults.hit(DHCPSilent):
		network = qemu.Silent
	case !ramdisk && v.faults.hit(DHCPMoves):
		network = qemu.Moved
	}
	for i, p := range c.Ports {
		port := qemu.Port{Model: p.Model, MAC: v.card.Parts.MACs[i], Network: network}
		if p.NoCable {
			port.Network = qemu.NoCable
		}
		if i == 0 {
			port.Forwards = v.forwards()
		}
		s.Ports = append(s.Ports, port)
	}
	return s
}

// forwards lead to the machine's services at the node's own address.
func (v *vm) forwards() []qemu.Forward {
	var list []qemu.Forward
	for _, p := range [][2]int{{v.card.SSHPort, 22}, {v.card.DockerPort, 2376}, {v.card.VM.AgentPort, v.card.VM.AgentPort}} {
		list = append(list, qemu.Forward{Address: v.card.Address, From: p[0], To: p[1]})
	}
	return list
}
