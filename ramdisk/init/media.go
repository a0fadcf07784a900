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

// awaitParams finds the media that we were started from, among all drives whose media
// can be taken out, and reads what it says to this node. A BMC's drive may show up
// only seconds after the kernel has started. Built-in disks are not looked at: what is
// on them was put there by an owner.
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
	drives, err := removable("/sys/block")
	if err != nil {
		return wire.Params{}, err
	}
	if len(drives) == 0 {
		return wire.Params{}, errors.New("there is no drive for media")
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

func removable(sysBlock string) ([]string, error) {
	entries, err := os.ReadDir(sysBlock)
	if err != nil {
		return nil, err
	}
	var drives []string
	for _, e := range entries {
		flag, err := os.ReadFile(filepath.Join(sysBlock, e.Name(), "removable"))
		if err == nil && strings.TrimSpace(string(flag)) == "1" && !strings.HasPrefix(e.Name(), "loop") {
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
