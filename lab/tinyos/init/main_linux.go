// Command init is the first program of the tiny OS, and the only one; see package
// tinyos.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core/deploy/seed"
	"github.com/metalpool/metalpool/lab/guest"
	"github.com/metalpool/metalpool/lab/tinyos"
	"github.com/metalpool/metalpool/ramdisk/kmod"
	"github.com/metalpool/metalpool/ramdisk/netconf"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init is started by the kernel of the tiny OS, and by nobody else")
		os.Exit(2)
	}
	signal.Ignore(syscall.SIGCHLD)
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	if err := run(log); err != nil {
		log.Error("the tiny OS cannot go on", "err", err)
	}
	for { // its power is for others to turn off, and without init the kernel panics
		if err := unix.Pause(); !errors.Is(err, unix.EINTR) {
			log.Error("init does not wait", "err", err)
		}
	}
}

// run starts the system. It goes on to run where that is no error.
func run(log *slog.Logger) error {
	for dir, kind := range map[string]string{"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs"} {
		if err := errors.Join(os.MkdirAll(dir, 0o755), unix.Mount(kind, dir, kind, 0, "")); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	words := strings.Fields(string(line))
	told := func(w tinyos.Word) bool { return slices.Contains(words, string(w)) }
	byKexec, err := startedByKexec()
	if err != nil {
		return err
	}
	log.Info("tiny OS", "by_kexec", byKexec)
	if byKexec && told(tinyos.HangAfterKexec) {
		return errors.New("hangs after kexec, as it was told")
	}
	loader, err := kmod.OpenLoader("/")
	if err == nil {
		err = loader.Load(tinyos.Modules()...)
	}
	if err != nil {
		log.Warn("a driver is not loaded", "err", err)
	}
	go obeyPowerButton(log)
	network, err := startNetwork(context.Background(), log)
	if err != nil {
		return err
	}
	var files seed.Files
	if !told(tinyos.NoSeed) {
		disk, err := awaitSeed(log)
		if err != nil {
			return err
		}
		files = disk.seed
		if err := leaveMarks(disk, log); err != nil {
			return err
		}
	}
	<-network.Ready()
	g, err := guest.Boot(guest.Config{
		Seed: files, Journal: &memory{}, SSHPort: 22, CPUs: runtime.NumCPU(), Memory: totalMemory(), MAC: firstMAC(), Now: time.Now,
		Power: func(restart bool) { go leave(restart, log) },
	})
	if err != nil {
		return err
	}
	log.Info("tiny OS answers SSH", "at", g.Addr())
	return nil
}

// kexecLoader is what the kernel calls the boot loader that kexec is.
const kexecLoader = 0xd

func startedByKexec() (bool, error) {
	text, err := os.ReadFile("/proc/sys/kernel/bootloader_type")
	if err != nil {
		return false, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return n>>4 == kexecLoader, err
}

func startNetwork(ctx context.Context, log *slog.Logger) (*netconf.Network, error) {
	ports, err := netconf.Ports()
	if err != nil {
		return nil, err
	}
	plan, err := netconf.Decide(ports, nil)
	if err != nil {
		return nil, err
	}
	return netconf.Start(ctx, plan, log)
}

func firstMAC() string {
	ports, err := netconf.Ports()
	if err != nil || len(ports) == 0 {
		return ""
	}
	return ports[0].MAC
}

func totalMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// leave turns the power off, or restarts.
func leave(restart bool, log *slog.Logger) {
	how := unix.LINUX_REBOOT_CMD_POWER_OFF
	if restart {
		how = unix.LINUX_REBOOT_CMD_RESTART
	}
	log.Info("tiny OS leaves", "restart", restart)
	unix.Sync()
	log.Error("the power does not change", "err", unix.Reboot(how))
}

// memory is a vfs.Journal that the next start does not find.
type memory struct{ changes [][]byte }

// Replay implements vfs.Journal.
func (m *memory) Replay(apply func([]byte) error) error {
	for _, c := range m.changes {
		if err := apply(c); err != nil {
			return err
		}
	}
	return nil
}

// Append implements vfs.Journal.
func (m *memory) Append(change []byte) error {
	m.changes = append(m.changes, slices.Clone(change))
	return nil
}

// Rewrite implements vfs.Journal.
func (m *memory) Rewrite(change []byte) error {
	m.changes = [][]byte{slices.Clone(change)}
	return nil
}
