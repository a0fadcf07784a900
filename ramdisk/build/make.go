package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/u-root/u-root/pkg/cpio"

	"github.com/metalpool/metalpool/core/deploy/bootmedia"
	"github.com/metalpool/metalpool/core/deploy/iso9660"
	"github.com/metalpool/metalpool/core/deploy/wire"
	"github.com/metalpool/metalpool/ramdisk/efi"
	"github.com/metalpool/metalpool/ramdisk/initramfs"
)

// commandLine of the kernel. The last console is the one that init writes to; the
// serial line is what a BMC shows of a server from afar. Our own lines have the level
// of a notice, and at 115,200 baud all that the kernel says would cost seconds. After
// a panic the machine stands still, with the reason on its console: a restart would
// lead to a disk that is half written or half erased.
const commandLine = "console=tty0 console=ttyS0,115200n8 loglevel=6 printk.devkmsg=on log_buf_len=1M panic=0 " +
	"net.ifnames=0 nvme_core.multipath=N"

// maker makes an ISO out of what it is given, or finds the one that was made of it.
type maker struct {
	cache  string
	from   packages
	agent  []byte
	recipe []byte // the program that does it
}

// treeRecipe is the source of what makes the drivers' part.
//
//go:embed firmware.go select.go
var treeRecipe embed.FS

// key names what is made of the packages and of these parts.
func (m maker) key(parts ...[]byte) string {
	sum := sha256.New()
	for _, p := range m.from.all() {
		fmt.Fprintln(sum, p.Name, p.Version, p.SHA256)
	}
	for _, part := range parts {
		fmt.Fprintf(sum, "%x", sha256.Sum256(part))
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:8])
}

// iso returns the path of the ISO.
func (m maker) iso(ctx context.Context) (string, error) {
	path := filepath.Join(m.cache, "ramdisk-"+m.key(m.recipe, m.agent, []byte(m.from.Shell.SHA256))+".iso")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	system, err := m.system(ctx)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(m.cache, "make-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	esp, err := efi.Partition(dir, system)
	if err != nil {
		return "", err
	}
	if err := writeISO(path, esp); err != nil {
		return "", err
	}
	return path, sweep(m.cache, "ramdisk-*.iso", 3)
}

func writeISO(path, esp string) error {
	system, err := os.Open(esp)
	if err != nil {
		return err
	}
	defer func() { _ = system.Close() }()
	info, err := system.Stat()
	if err != nil {
		return err
	}
	pending, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer func() { _ = pending.Cleanup() }()
	err = bootmedia.Write(pending, bootmedia.Contents{
		Files:  []iso9660.File{bootmedia.Version(wire.ParamsVersion)},
		System: &iso9660.File{Name: "EFI.IMG", Size: info.Size(), Data: system},
	})
	if err != nil {
		return err
	}
	return pending.CloseAtomicallyReplace()
}

// system is the program that firmware starts.
func (m maker) system(ctx context.Context) ([]byte, error) {
	kernel, err := m.from.Kernel.Read(ctx, func(name string) bool { return strings.HasPrefix(name, "boot/vmlinuz-") })
	if err != nil {
		return nil, err
	}
	stub, err := m.from.Stub.Read(ctx, func(name string) bool { return strings.HasSuffix(name, "/linuxx64.efi.stub") })
	if err != nil {
		return nil, err
	}
	drivers, err := m.drivers(ctx)
	if err != nil {
		return nil, err
	}
	shell, err := m.from.Shell.Read(ctx, func(name string) bool { return strings.HasSuffix(name, "bin/busybox") })
	if err != nil {
		return nil, err
	}
	init, err := initramfs.Init(m.agent, initramfs.File("bin/busybox", shell, 0o755), cpio.Symlink("bin/sh", "busybox"))
	if err != nil {
		return nil, err
	}
	return efi.Append(stub, []efi.Section{
		{Name: ".cmdline", Data: []byte(commandLine)},
		{Name: ".initrd", Data: append(init, drivers...)},
		{Name: ".linux", Data: kernel},
	})
}

func treeSource() ([]byte, error) {
	all := fmt.Appendln(nil, initramfs.Format)
	for _, name := range []string{"firmware.go", "select.go"} {
		text, err := treeRecipe.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, text...)
	}
	return all, nil
}

// drivers makes the part of the initramfs that takes much longer, and is kept.
func (m maker) drivers(ctx context.Context) ([]byte, error) {
	recipe, err := treeSource()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(m.cache, "drivers-"+m.key(recipe)+".cpio")
	if part, err := os.ReadFile(path); err == nil {
		return part, nil
	}
	say("packing modules and firmware")
	index, records, err := initramfs.Modules(ctx, m.from.Kernel, isWanted)
	if err != nil {
		return nil, err
	}
	firmware, err := firmwareOf(ctx, index, m.from.Firmware)
	if err != nil {
		return nil, err
	}
	if none := unmatched(index); len(none) > 0 {
		say("this kernel has no such modules: %s", strings.Join(none, " "))
	}
	if names := lacking(index, firmware); len(names) > 0 {
		say("nothing is wrong, but %d files of firmware that drivers may ask for are in no package: %s", len(names), strings.Join(names, ", "))
	}
	part, err := initramfs.Archive(append(records, firmware...))
	if err != nil {
		return nil, err
	}
	say("%d modules and %d files of firmware: %.1f MiB", len(index.Modules()), len(firmware), float64(len(part))/(1<<20))
	if err := renameio.WriteFile(path, part, 0o644); err != nil {
		return nil, err
	}
	return part, sweep(m.cache, "drivers-*.cpio", 2)
}
