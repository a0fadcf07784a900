// Command init is the first program in a node's ramdisk: it loads drivers, finds the
// media that it was started from, sets up the network that the media says, and runs the
// agent.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/agent/metal"
	"github.com/metalpool/metalpool/core/deploy/wire"
	"github.com/metalpool/metalpool/ramdisk/kmod"
	"github.com/metalpool/metalpool/ramdisk/netconf"
)

// patience is how long a machine stays on whose init cannot go on: somebody may be
// reading the console. The media says another time, once it is read.
const patience = 30 * time.Minute

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init is started by the kernel of the ramdisk, and by nobody else")
		os.Exit(2)
	}
	debug.SetMemoryLimit(metal.Memory)
	signal.Ignore(syscall.SIGCHLD) // then the kernel buries orphans by itself
	err := mountAll(mounts)
	log := newLog()
	if err != nil {
		log.Error("the ramdisk is incomplete", "err", err)
	}
	log.Info("the ramdisk starts")
	m := machine{log: log, journal: &agent.Journal{}, patience: patience}
	go func() {
		if err := followKernel(m.journal); err != nil {
			log.Warn("the engine will not be told of this log", "err", err)
		}
	}()
	err = m.run(context.Background())
	log.Error("the ramdisk cannot go on", "err", err)
	log.Warn("turning the power off", "in", m.patience)
	<-time.After(m.patience)
	m.powerOff()
}

type machine struct {
	log      *slog.Logger
	journal  *agent.Journal
	patience time.Duration
}

// run returns only where something is wrong.
func (m *machine) run(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil { // the end of init would be a panic of the kernel's
			for line := range strings.Lines(string(debug.Stack())) {
				m.log.Error(strings.TrimSpace(line))
			}
			err = fmt.Errorf("init failed: %v", p)
		}
	}()
	loader, err := kmod.OpenLoader("/")
	if err != nil {
		return err
	}
	if err := m.drive(ctx, loader); err != nil {
		return err
	}
	m.log.Info("looking for the boot media")
	params, err := m.params(ctx)
	if err != nil {
		return err
	}
	m.patience = params.Silence
	if err := unix.Sethostname([]byte(params.Node)); err != nil {
		m.log.Warn("the host's name is not set", "err", err)
	}
	networking, stop := context.WithCancel(ctx)
	defer stop()
	network, err := m.network(networking, params)
	if err != nil {
		return err
	}
	select {
	case <-network.Ready():
	case <-time.After(params.Silence):
		m.patience = 0
		return fmt.Errorf("no address for %s: %s", params.Silence, network)
	}
	host := metal.New(metal.Config{
		Log: m.log, LoadModule: func(name string) error { return loader.Load(name) },
		StopNetwork: func() { stop(); network.Wait() },
	})
	defer func() { _ = host.Close() }()
	err = agent.Run(ctx, agent.Config{Params: params, Host: host, Log: m.log, Journal: m.journal, SetClock: m.setClock})
	if errors.Is(err, agent.ErrRefused) || errors.Is(err, agent.ErrSilence) {
		m.patience = 0 // it was to turn the power off
	}
	if err == nil {
		err = errors.New("the machine was left, and is still here")
	}
	return err
}

// drive loads drivers until everything that there is has one. Ports are turned on
// meanwhile.
func (m *machine) drive(ctx context.Context, loader *kmod.Loader) error {
	warming, stop := context.WithCancel(ctx)
	var ports sync.WaitGroup
	ports.Go(func() { netconf.Warm(warming) })
	defer ports.Wait() // before somebody else decides which of them are on
	defer stop()
	found := devices{loader: loader, log: m.log, seen: map[string]bool{}, last: time.Now()}
	if err := found.discover(ctx, time.Minute); err != nil {
		return err
	}
	if err := mountAll(lateMounts); err != nil {
		m.log.Warn("without a part of the firmware", "err", err)
	}
	return nil
}

// tolerable is how far a clock may be off before it is set. Nothing here needs an
// exact one, but logs that are compared with the engine's.
const tolerable = 10 * time.Second

func (m *machine) setClock(now time.Time) {
	if off := time.Since(now).Abs(); off < tolerable {
		return
	}
	value := unix.NsecToTimeval(now.UnixNano())
	if err := unix.Settimeofday(&value); err != nil {
		m.log.Warn("the clock is not set", "err", err)
		return
	}
	m.log.Info("the clock is set", "to", now.UTC().Format(time.RFC3339))
}

func (m *machine) params(ctx context.Context) (wire.Params, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return awaitParams(ctx, m.log)
}

func (m *machine) network(ctx context.Context, params wire.Params) (*netconf.Network, error) {
	plan, err := m.plan(ctx, params)
	if err != nil {
		return nil, err
	}
	for _, mac := range plan.Lacking {
		m.log.Warn("a port of this node's network is missing", "mac", mac)
	}
	return netconf.Start(ctx, plan, m.log)
}

// latePort is how long a bond is not made of the ports that there are alone.
const latePort = 20 * time.Second

// plan waits for the ports that the node's network needs: the driver of a large card
// takes its time.
func (m *machine) plan(ctx context.Context, params wire.Params) (netconf.Plan, error) {
	begin := time.Now()
	for said := begin; ; {
		ports, err := netconf.Ports()
		if err != nil {
			return netconf.Plan{}, err
		}
		plan, err := netconf.Decide(ports, params.Network)
		switch waited := time.Since(begin); {
		case err != nil && waited > params.Silence:
			return plan, err
		case err == nil && (len(plan.Lacking) == 0 || waited > latePort):
			return plan, nil
		}
		if time.Since(said) > time.Minute {
			said = time.Now()
			m.log.Warn("no network yet", "err", err)
		}
		select {
		case <-ctx.Done():
			return netconf.Plan{}, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

func (m *machine) powerOff() {
	if err := metal.PowerOff(); err != nil {
		m.log.Error("the power cannot be turned off", "err", err)
	}
	select {} // never reached where the power can be turned off
}
