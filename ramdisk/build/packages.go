package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/metalpool/metalpool/ramdisk/debian"
)

// packages is what the ramdisk is made of, besides our own program.
type packages struct {
	Kernel   debian.Package   `json:"kernel"`
	Stub     debian.Package   `json:"stub"`
	Shell    debian.Package   `json:"shell"` // of the operators' scripts
	Firmware []debian.Package `json:"firmware"`
	// Missing is the firmware that could not be had, with the reason.
	Missing map[string]string `json:"missing,omitempty"`
}

// obtain returns the packages that an earlier call recorded in the folder, so that
// the same ramdisk is made until somebody asks for an update; else the newest.
func obtain(ctx context.Context, dir string, update bool) (packages, error) {
	record := filepath.Join(dir, "packages.json")
	earlier, found := recorded(record, dir)
	if found && len(earlier.Missing) == 0 && !update {
		return earlier, nil
	}
	say("fetching Debian's kernel and firmware")
	p, err := fetch(ctx, dir)
	if err != nil && found && !update && ctx.Err() == nil {
		say("going on with what is there: %v", err)
		return earlier, nil
	}
	if err != nil {
		return packages{}, err
	}
	text, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return packages{}, err
	}
	return p, renameio.WriteFile(record, text, 0o644)
}

// recorded is of no use where a file has gone, or where another list of firmware is
// wanted today.
func recorded(record, dir string) (packages, bool) {
	text, err := os.ReadFile(record)
	var p packages
	if err != nil || json.Unmarshal(text, &p) != nil || len(p.Firmware)+len(p.Missing) != len(firmwarePackages) {
		return packages{}, false
	}
	p.Kernel, p.Stub, p.Shell = debian.Find(dir, p.Kernel), debian.Find(dir, p.Stub), debian.Find(dir, p.Shell)
	complete := p.Kernel.Path != "" && p.Stub.Path != "" && p.Shell.Path != ""
	for i := range p.Firmware {
		p.Firmware[i] = debian.Find(dir, p.Firmware[i])
		complete = complete && p.Firmware[i].Path != ""
	}
	return p, complete
}

// fetch gets the newest packages; of the firmware, what can be had.
func fetch(ctx context.Context, dir string) (packages, error) {
	p := packages{Missing: map[string]string{}}
	f, err := debian.NewFetcher(ctx, dir)
	if err != nil {
		return p, err
	}
	kernel, err := f.Depends(ctx, "linux-image-amd64")
	if err != nil {
		return p, err
	}
	if p.Kernel, err = f.Fetch(ctx, kernel); err != nil {
		return p, err
	}
	if p.Stub, err = f.Fetch(ctx, "systemd-boot-efi"); err != nil {
		return p, err
	}
	if p.Shell, err = f.Fetch(ctx, "busybox-static"); err != nil {
		return p, err
	}
	for _, name := range firmwarePackages {
		fetched, err := f.Fetch(ctx, name)
		if ctx.Err() != nil {
			return p, context.Cause(ctx)
		}
		if err != nil {
			p.Missing[name] = firstLine(err)
			continue
		}
		p.Firmware = append(p.Firmware, fetched)
	}
	return p, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// all that drivers are made of, in a fixed order.
func (p packages) all() []debian.Package {
	return slices.Concat([]debian.Package{p.Kernel, p.Stub}, p.Firmware)
}
