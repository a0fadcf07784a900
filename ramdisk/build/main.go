// Command build makes the boot ISO that real servers start: Debian's kernel, its
// modules, the firmware that network cards want, and our agent as init.
//
//	go run ./ramdisk/build -o bin/ramdisk.iso -cache .cache/ramdisk
//
// It exits with status 69 where Debian's packages cannot be had.
//
// What it is made of is written beside it, as ramdisk.json: the same packages and the
// same source give the same bytes.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

func main() {
	out := flag.String("o", "bin/ramdisk.iso", "where the ISO goes; its description goes beside it, as .json")
	cache := flag.String("cache", ".cache/ramdisk", "keeps packages, and ISOs that were made")
	update := flag.Bool("update", false, "take the newest packages, not those of the last time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *out, *cache, *update)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ramdisk:", err)
	}
	switch {
	case errors.As(err, new(*unavailableError)):
		os.Exit(noDebian)
	case err != nil:
		os.Exit(1)
	}
}

// noDebian is the exit status where Debian's packages cannot be had.
const noDebian = 69

type unavailableError struct{ error }

func (e *unavailableError) Unwrap() error { return e.error }

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "ramdisk: "+format+"\n", args...) }

// largest is what a BMC is asked to fetch at most, in bytes: some do so at a
// megabyte per second, and some keep it in memory.
const largest = 128 << 20

func run(ctx context.Context, out, cache string, update bool) error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	// Every library that puts a time into a file takes this one.
	if err := os.Setenv("SOURCE_DATE_EPOCH", "0"); err != nil {
		return err
	}
	from, err := obtain(ctx, cache, update)
	if err != nil {
		return &unavailableError{err}
	}
	agent, err := compile(ctx, cache)
	if err != nil {
		return err
	}
	builder, err := os.Executable()
	if err != nil {
		return err
	}
	recipe, err := os.ReadFile(builder)
	if err != nil {
		return err
	}
	m := maker{cache: cache, from: from, agent: agent, recipe: recipe}
	iso, err := m.iso(ctx)
	if err != nil {
		return err
	}
	if err := deliver(iso, out, from); err != nil {
		return err
	}
	info, err := os.Stat(out)
	if err != nil {
		return err
	}
	say("%s: %.1f MiB, kernel %s", out, float64(info.Size())/(1<<20), from.Kernel.Version)
	for name, why := range from.Missing {
		say("WARNING: without the firmware of package %s, and servers that want it have no network or disks: %s", name, why)
	}
	if info.Size() > largest {
		return fmt.Errorf("%s has %d MiB, and may have %d", out, info.Size()>>20, largest>>20)
	}
	return nil
}

// compile builds init.
func compile(ctx context.Context, cache string) ([]byte, error) {
	path, err := filepath.Abs(filepath.Join(cache, "init"))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path,
		"github.com/metalpool/metalpool/ramdisk/init")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the agent: %w\n%s", err, text)
	}
	return os.ReadFile(path)
}

// deliver puts the ISO, and what it is made of, where they are asked for.
func deliver(iso, out string, from packages) error {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	sum, err := copyFile(iso, out)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(struct {
		SHA256   string   `json:"sha256"`
		Packages packages `json:"packages"`
	}{sum, from}, "", "\t")
	if err != nil {
		return err
	}
	return renameio.WriteFile(strings.TrimSuffix(out, ".iso")+".json", append(text, '\n'), 0o644)
}

// copyFile leaves a file alone that is the same already, and tells its SHA-256.
func copyFile(from, to string) (string, error) {
	want, err := digest(from)
	if err != nil {
		return "", err
	}
	if have, err := digest(to); err == nil && have == want {
		return want, nil
	}
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	pending, err := renameio.NewPendingFile(to, renameio.WithPermissions(0o644))
	if err != nil {
		return "", err
	}
	defer func() { _ = pending.Cleanup() }()
	if _, err := io.Copy(pending, in); err != nil {
		return "", err
	}
	return want, pending.CloseAtomicallyReplace()
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// sweep removes what earlier recipes left in the cache, but for the newest few: a
// switch between branches should not build anew.
func sweep(cache, pattern string, keep int) error {
	files, err := filepath.Glob(filepath.Join(cache, pattern))
	if err != nil {
		return err
	}
	age := func(path string) time.Time {
		info, err := os.Stat(path)
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(files, func(a, b string) int { return age(b).Compare(age(a)) })
	var errs []error
	for _, f := range files[min(keep, len(files)):] {
		errs = append(errs, os.Remove(f))
	}
	return errors.Join(errs...)
}
