// Command build makes the disk image of the tiny OS, of the kernel that a ramdisk was
// made of, and writes its path to the standard output:
//
//	go run ./lab/tinyos/build -ramdisk bin/ramdisk.iso -cache .cache/ramdisk
//
// The same kernel and the same source give the same bytes, and those are made once.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/metalpool/metalpool/lab/tinyos"
	"github.com/metalpool/metalpool/ramdisk/debian"
	"github.com/metalpool/metalpool/ramdisk/initramfs"
	"github.com/metalpool/metalpool/ramdisk/kmod"
)

func main() {
	ramdisk := flag.String("ramdisk", "bin/ramdisk.iso", "the ramdisk whose kernel is taken")
	cache := flag.String("cache", ".cache/ramdisk", "where the packages are that it was made of, and where images are kept")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	path, err := run(ctx, *ramdisk, *cache)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tiny OS:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
	fmt.Println(path)
}

func run(ctx context.Context, ramdisk, cache string) (path string, err error) {
	kernel, boot, err := packagesOf(ramdisk, cache)
	if err != nil {
		return "", err
	}
	init, err := compile(ctx)
	if err != nil {
		return "", err
	}
	builder, err := os.Executable()
	if err != nil {
		return "", err
	}
	recipe, err := os.ReadFile(builder)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%x %x %s %s", sha256.Sum256(recipe), sha256.Sum256(init), kernel.SHA256, boot.SHA256)
	path = filepath.Join(cache, fmt.Sprintf("tinyos-%x.raw", sum.Sum(nil)[:8]))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, write(ctx, path, kernel, boot, init)
}

func write(ctx context.Context, path string, kernel, boot debian.Package, init []byte) error {
	vmlinuz, err := kernel.Read(ctx, func(name string) bool { return strings.HasPrefix(name, "boot/vmlinuz-") })
	if err != nil {
		return err
	}
	loader, err := boot.Read(ctx, func(name string) bool { return strings.HasSuffix(name, "/systemd-bootx64.efi") })
	if err != nil {
		return err
	}
	initrd, err := newInitrd(ctx, kernel, init)
	if err != nil {
		return err
	}
	earlier, err := filepath.Glob(filepath.Join(filepath.Dir(path), "tinyos-*.raw"))
	if err != nil {
		return err
	}
	pending, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer func() { _ = pending.Cleanup() }()
	err = writeImage(pending.File, []content{
		{"EFI/BOOT/BOOTX64.EFI", loader},
		{"loader/loader.conf", []byte("timeout 0\n")},
		{"loader/entries/tinyos.conf", []byte(entry)},
		{"tinyos/linux", vmlinuz},
		{"tinyos/initrd", initrd},
	})
	if err != nil {
		return err
	}
	if err := pending.CloseAtomicallyReplace(); err != nil {
		return err
	}
	for _, e := range earlier {
		err = errors.Join(err, os.Remove(e))
	}
	return err
}

// entry is the boot loader's. The last console is where init writes; what the kernel
// says costs time at the speed of a serial line.
const entry = "title Tiny OS\nversion 1\nlinux /tinyos/linux\ninitrd /tinyos/initrd\n" +
	"options console=ttyS0,115200n8 loglevel=4 net.ifnames=0 nvme_core.multipath=N " + tinyos.Blank + "\n"

// packagesOf reads what stands beside the ramdisk.
func packagesOf(ramdisk, cache string) (kernel, boot debian.Package, err error) {
	text, err := os.ReadFile(strings.TrimSuffix(ramdisk, ".iso") + ".json")
	if err != nil {
		return kernel, boot, err
	}
	var about struct {
		Packages struct {
			Kernel debian.Package `json:"kernel"`
			Stub   debian.Package `json:"stub"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(text, &about); err != nil {
		return kernel, boot, fmt.Errorf("what %s is made of cannot be read: %w", ramdisk, err)
	}
	kernel, boot = debian.Find(cache, about.Packages.Kernel), debian.Find(cache, about.Packages.Stub)
	if kernel.Path == "" || boot.Path == "" {
		return kernel, boot, fmt.Errorf("the packages of %s are no more in %s; make the ramdisk again", ramdisk, cache)
	}
	return kernel, boot, nil
}

func newInitrd(ctx context.Context, kernel debian.Package, program []byte) ([]byte, error) {
	wanted := tinyos.Modules()
	_, records, err := initramfs.Modules(ctx, kernel, func(m kmod.Module) bool { return slices.Contains(wanted, m.Name) })
	if err != nil {
		return nil, err
	}
	modules, err := initramfs.Archive(records)
	if err != nil {
		return nil, err
	}
	init, err := initramfs.Init(program)
	return append(init, modules...), err
}

func compile(ctx context.Context) (_ []byte, err error) {
	dir, err := os.MkdirTemp("", "tinyos-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "init")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path,
		"github.com/metalpool/metalpool/lab/tinyos/init")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the tiny OS: %w\n%s", err, text)
	}
	return os.ReadFile(path)
}
