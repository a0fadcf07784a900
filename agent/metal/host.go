// Package metal is the real server that an agent runs on.
package metal

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/core"
)

// Host implements agent.Host.
type Host struct {
	log *slog.Logger
}

// New opens nothing yet.
func New(log *slog.Logger) *Host { return &Host{log: log} }

// Close closes the disks.
func (h *Host) Close() {}

// Inventory implements agent.Host.
func (h *Host) Inventory(context.Context) (core.Inventory, error) {
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join("/sys/class/dmi/id", name))
		return strings.TrimSpace(string(text))
	}
	i := core.Inventory{
		Identity: core.Identity{UUID: strings.ToLower(read("product_uuid")), Serial: read("product_serial")},
		Hardware: core.Hardware{Manufacturer: read("sys_vendor"), Model: read("product_name"), Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), BIOS: read("bios_version")},
	}
	ports, _ := filepath.Glob("/sys/class/net/*/device")
	for _, p := range ports {
		mac, err := os.ReadFile(filepath.Join(filepath.Dir(p), "address"))
		if err == nil {
			i.Identity.MACs = append(i.Identity.MACs, strings.TrimSpace(string(mac)))
		}
	}
	slices.Sort(i.Identity.MACs)
	return i, nil
}

// Disks implements agent.Host.
func (h *Host) Disks(context.Context) ([]agent.Disk, error) { return nil, nil }

// Boot implements agent.Host.
func (h *Host) Boot(_ context.Context, _ agent.Disk, _ core.BootMode) (func() error, error) {
	return func() error {
		unix.Sync()
		return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	}, nil
}

// Reset implements agent.Host.
func (h *Host) Reset(context.Context) ([]string, error) {
	return []string{"what is outside the disks was left as it is"}, nil
}

// PowerOff implements agent.Host.
func (h *Host) PowerOff() error { return PowerOff() }

// PowerOff turns the machine off once what was written has arrived.
func PowerOff() error {
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
