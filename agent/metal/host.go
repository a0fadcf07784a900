// Package metal is the real server that an agent runs on: package hardware tells what
// it is, package disk has its disks, and package handover starts its OS and clears
// what lies outside of disks.
package metal

import (
	"context"
	"io"
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/agent/disk"
	"github.com/metalpool/metalpool/agent/handover"
	"github.com/metalpool/metalpool/agent/hardware"
	"github.com/metalpool/metalpool/agent/script"
	"github.com/metalpool/metalpool/core"
)

// Host implements agent.Host.
type Host struct {
	log    *slog.Logger
	shelf  *disk.Shelf
	runner script.Runner
	system *handover.System
}

// Config is what a Host is made of.
type Config struct {
	// LoadModule loads a module of the kernel, such as that of a file system, by name.
	// nil: they are all there.
	LoadModule func(name string) error
	// StopNetwork returns when nobody turns ports on any more: they have to be off while
	// another kernel takes over. nil: nobody does.
	StopNetwork func()
	Log         *slog.Logger // nil: slog.Default
}

// New opens nothing yet.
func New(cfg Config) *Host {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	// busybox has its commands built in, and needs none on a PATH; scripts bring their own.
	runner := script.Runner{Shell: []string{"/bin/busybox", "sh"}, Dir: "/tmp", Path: "/bin:/sbin:/usr/bin:/usr/sbin"}
	return &Host{log: cfg.Log, shelf: disk.NewShelf("/"), runner: runner, system: &handover.System{Log: cfg.Log, LoadModule: cfg.LoadModule, StopNetwork: cfg.StopNetwork}}
}

// Close lets go of the disks.
func (h *Host) Close() error { return h.shelf.Close() }

// Inventory implements agent.Host.
func (h *Host) Inventory(context.Context) (core.Inventory, error) {
	inventory := hardware.Inspect("/", hardware.AddressOf)
	disks, err := h.shelf.List()
	for _, d := range disks {
		inventory.Hardware.Disks = append(inventory.Hardware.Disks, d.Info())
	}
	return inventory, err
}

// Disks implements agent.Host.
func (h *Host) Disks(context.Context) ([]agent.Disk, error) {
	found, err := h.shelf.List()
	if err != nil {
		return nil, err
	}
	disks := make([]agent.Disk, 0, len(found))
	for _, d := range found {
		disks = append(disks, d)
	}
	return disks, nil
}

// Boot implements agent.Host. It says how much memory the agent took.
func (h *Host) Boot(ctx context.Context, d agent.Disk, mode core.BootMode) (leave func() error, err error) {
	leave, err = h.system.Prepare(ctx, d, mode)
	if peak, err := PeakMemory("self"); err == nil {
		h.log.Info("memory that the agent took at its peak", "mib", int64(peak/core.MiB))
	}
	return leave, err
}

// Reset implements agent.Host.
func (h *Host) Reset(ctx context.Context) ([]string, error) { return h.system.Reset(ctx) }

// Run implements agent.Host.
func (h *Host) Run(ctx context.Context, s core.Script, output io.Writer) (int, error) {
	return h.runner.Run(ctx, s, output)
}

// PowerOff implements agent.Host.
func (h *Host) PowerOff() error { return PowerOff() }

// PowerOff turns this machine off once what was written has arrived.
func PowerOff() error {
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
