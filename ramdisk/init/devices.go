package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/ramdisk/kmod"
)

// always are modules that no device asks for: file systems, what the kernel itself
// does not know to fetch, and the way to the firmware.
var always = []string{
	"efivarfs", "efi_pstore", "ext4", "vfat", "nls_cp437", "nls_ascii", "isofs",
	"sd_mod", "sr_mod", "sg", "8021q", "bonding", "ipmi_devintf",
}

// devices loads a driver for each device that there is, and for each that appears.
type devices struct {
	loader *kmod.Loader
	log    *slog.Logger

	mu   sync.Mutex
	seen map[string]bool // modaliases
	last time.Time       // when something new was seen
	busy int
}

// discover returns when no device has appeared for a while, or after limit. Later
// ones are seen to until ctx ends.
func (d *devices) discover(ctx context.Context, limit time.Duration) error {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return fmt.Errorf("hear of devices: %w", err)
	}
	if err := unix.Bind(socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return fmt.Errorf("hear of devices: %w", err)
	}
	_ = unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	go d.listen(socket)
	d.coldplug()
	d.load(always...)

	const quiet = 500 * time.Millisecond
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) && !d.settled(quiet) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(quiet / 10):
		}
	}
	d.coldplug() // should an event have been lost
	return nil
}

func (d *devices) settled(quiet time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.busy == 0 && time.Since(d.last) > quiet
}

// coldplug finds the devices that were there before us.
func (d *devices) coldplug() {
	_ = filepath.WalkDir("/sys/devices", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "modalias" {
			if text, err := os.ReadFile(path); err == nil {
				d.found(strings.TrimSpace(string(text)))
			}
		}
		return nil
	})
}

// listen hears of the devices that come.
func (d *devices) listen(socket int) {
	message := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(socket, message, 0)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOBUFS) {
			continue
		}
		if err != nil {
			d.log.Warn("no more news of devices", "err", err)
			return
		}
		d.stir()
		for field := range strings.SplitSeq(string(message[:n]), "\x00") {
			if modalias, ok := strings.CutPrefix(field, "MODALIAS="); ok {
				d.found(modalias)
			}
		}
	}
}

func (d *devices) stir() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = time.Now()
}

func (d *devices) found(modalias string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if modalias == "" || d.seen[modalias] {
		return
	}
	d.seen[modalias] = true
	d.begin(func() error { return d.loader.LoadFor(modalias) })
}

func (d *devices) load(names ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begin(func() error { return d.loader.Load(names...) })
}

// begin is called with mu held.
func (d *devices) begin(load func() error) {
	d.busy++
	go func() {
		err := load()
		if err != nil {
			d.log.Warn("a driver is not loaded", "err", err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.busy--
		d.last = time.Now()
	}()
}
