package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core/deploy/bootmedia"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// awaitParams finds the media that we were started from, among all CD drives, and reads
// what it says to this node. A BMC's drive may show up only seconds after the kernel
// has started.
//
// Nothing else is looked at, a stick or an SD card in the server no more than its
// disks: an owner can write to them, no erase reaches them, and parameters that one
// left there would hand the next boot to an engine of his. Firmware looks for an El
// Torito image on CDs alone, so that is what we were started from.
func awaitParams(ctx context.Context, log *slog.Logger) (wire.Params, error) {
	said := time.Now()
	for {
		params, err := findParams()
		if err == nil {
			return params, nil
		}
		if time.Since(said) > time.Minute {
			said = time.Now()
			log.Warn("the boot media is not found yet", "err", err)
		}
		select {
		case <-ctx.Done():
			return wire.Params{}, fmt.Errorf("the boot media is not found: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func findParams() (wire.Params, error) {
	drives, err := discDrives("/sys/block")
	if err != nil {
		return wire.Params{}, err
	}
	if len(drives) == 0 {
		return wire.Params{}, errors.New("there is no CD drive")
	}
	var errs []error
	for _, name := range drives {
		params, err := readParams(filepath.Join("/dev", name))
		if err == nil {
			return params, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", name, err))
	}
	return wire.Params{}, errors.Join(errs...)
}

func discDrives(sysBlock string) ([]string, error) {
	entries, err := os.ReadDir(sysBlock)
	if err != nil {
		return nil, err
	}
	var drives []string
	for _, e := range entries {
		const disc = "5" // of SCSI's kinds of devices
		kind, err := os.ReadFile(filepath.Join(sysBlock, e.Name(), "device/type"))
		if err == nil && strings.TrimSpace(string(kind)) == disc {
			drives = append(drives, e.Name())
		}
	}
	slices.Sort(drives)
	return drives, nil
}

func readParams(path string) (wire.Params, error) {
	f, err := os.Open(path)
	if err != nil {
		return wire.Params{}, err
	}
	defer func() { _ = f.Close() }()
	area, err := bootmedia.ReadParams(f)
	if err != nil {
		return wire.Params{}, err
	}
	return wire.DecodeParams(area)
}
