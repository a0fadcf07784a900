package handover

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/agent/handover/bootcfg"
	"github.com/metalpool/metalpool/agent/handover/efi"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/loop"
	"github.com/metalpool/metalpool/internal/needs"
)

const (
	mib      = 1 << 20
	espAt    = 1 * mib
	espSize  = 16 * mib
	rootAt   = espAt + espSize
	diskSize = rootAt + 320*mib + mib
)

// rootSizes are the least that each file system takes.
var rootSizes = map[string]int64{"ext4": 16 * mib, "xfs": 320 * mib, "btrfs": 128 * mib}

// machine is a disk with an ESP and a root file system, and the System that boots it.
type machine struct {
	*System
	disk  *filedisk.Disk
	image string
	said  *bytes.Buffer
	vars  string
}

// newMachine makes the file systems. Linux has FAT as a module only, so that here the
// ESP has ext4: what makes it one is its type.
func newMachine(t *testing.T, kind string, esp, root map[string]string) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		needs.Missing(t, "root, to mount file systems")
	}
	image := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(image)
	try(t, err)
	try(t, f.Truncate(diskSize), f.Close())
	sfdisk(t, image)
	makeFilesystem(t, "ext4", loop.AttachPart(t, image, espAt, espSize), esp)
	makeFilesystem(t, kind, loop.AttachPart(t, image, rootAt, rootSizes[kind]), root)
	return boot(t, image, kind)
}

func sfdisk(t *testing.T, image string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), needs.Program(t, "sfdisk", "fdisk"), "--quiet", image)
	cmd.Stdin = strings.NewReader("label: gpt\nunit: sectors\n" +
		"start=2048, size=32768, type=uefi, uuid=3e9cbe84-a2e1-42e0-b11d-9cb3d42bd1b3\nstart=34816, size=655360\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v: %s", err, out)
	}
}

// boot makes a machine of a disk's image. Its partitions are block devices.
func boot(t *testing.T, image, kind string) *machine {
	t.Helper()
	base := t.TempDir()
	m := &machine{image: image, said: &bytes.Buffer{}, vars: filepath.Join(base, "vars")}
	block := filepath.Join(base, "sys/class/block/sda")
	try(t, os.MkdirAll(filepath.Join(base, "dev"), 0o755), os.MkdirAll(m.vars, 0o755), os.Symlink(image, filepath.Join(base, "dev/sda")))
	for i, p := range []struct{ at, size int64 }{{espAt, espSize}, {rootAt, rootSizes[kind]}} {
		name := fmt.Sprintf("sda%d", i+1)
		dir := filepath.Join(block, name)
		try(t, os.MkdirAll(dir, 0o755), os.Symlink("/dev/"+loop.AttachPart(t, image, p.at, p.size), filepath.Join(base, "dev", name)))
		for file, n := range map[string]int64{"partition": int64(i + 1), "start": p.at / 512, "size": p.size / 512} {
			try(t, os.WriteFile(filepath.Join(dir, file), fmt.Appendln(nil, n), 0o600))
		}
	}
	disk, err := filedisk.Open(image, core.Disk{Path: filepath.Join(base, "dev/sda"), Serial: "S", Size: diskSize}, filedisk.Faults{})
	try(t, err)
	t.Cleanup(func() { _ = disk.Close() })
	m.disk = disk
	m.System = &System{
		Log: slog.New(slog.NewTextHandler(m.said, nil)), base: base, reread: func(string) error { return nil },
		firmware: func() (*efi.Variables, error) { return efi.Plain(m.vars), nil },
		kexec:    func(bootcfg.Start) error { t.Error("a kernel is loaded"); return nil },
	}
	return m
}

var makers = map[string][]string{
	"ext4":  {"mke2fs", "e2fsprogs", "-q", "-F", "-t", "ext4"},
	"xfs":   {"mkfs.xfs", "xfsprogs", "-q", "-f"},
	"btrfs": {"mkfs.btrfs", "btrfs-progs", "-q", "-f"},
}

func makeFilesystem(t *testing.T, kind, device string, files map[string]string) {
	t.Helper()
	if known, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(known), "\t"+kind+"\n") {
		needs.Missing(t, "a kernel with "+kind)
	}
	maker := makers[kind]
	args := append(append([]string{}, maker[2:]...), "/dev/"+device)
	if out, err := exec.CommandContext(t.Context(), needs.Program(t, maker[0], maker[1]), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", maker[0], err, out)
	}
	dir := t.TempDir()
	try(t, unix.Mount("/dev/"+device, dir, kind, 0, ""))
	defer func() { try(t, unix.Unmount(dir, 0)) }()
	fill(t, dir, files)
}

func fill(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		try(t, os.MkdirAll(filepath.Dir(name), 0o755))
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			try(t, os.Symlink(target, name))
			continue
		}
		try(t, os.WriteFile(name, []byte(text), 0o600))
	}
}

func digest(t *testing.T, image string) [sha256.Size]byte {
	t.Helper()
	f, err := os.Open(image)
	try(t, err)
	defer func() { _ = f.Close() }()
	h := sha256.New()
	_, err = io.Copy(h, f)
	try(t, err)
	return [sha256.Size]byte(h.Sum(nil))
}

var (
	loaders = map[string]string{"EFI/BOOT/BOOTX64.EFI": "shim", "EFI/debian/shimx64.efi": "shim", "EFI/BOOT/BOOTAA64.EFI": "shim", "EFI/debian/shimaa64.efi": "shim"}
	debian  = map[string]string{
		"boot/grub/grub.cfg": "menuentry Debian {\nlinux /vmlinuz root=UUID=1 ro\ninitrd /boot/early.img /initrd.img\n}\n",
		"boot/vmlinuz-6.1":   "kernel", "vmlinuz": "-> boot/vmlinuz-6.1", "boot/initrd-6.1": "initrd", "initrd.img": "-> boot/initrd-6.1", "boot/early.img": "microcode",
	}
)

func TestPrepare(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			m := newMachine(t, kind, loaders, debian)
			var loaded []string
			m.kexec = func(s bootcfg.Start) error {
				for _, files := range [][]bootcfg.File{{s.Kernel}, s.Initrds} {
					room := int64(mib)
					f, err := inMemory("x", files, &room)
					try(t, err)
					b, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
					try(t, err, f.Close())
					loaded = append(loaded, string(b))
				}
				loaded = append(loaded, s.Cmdline)
				return nil
			}
			before := digest(t, m.image)
			leave, err := m.Prepare(t.Context(), m.disk, core.Kexec)
			if err != nil || leave == nil {
				t.Fatalf("%v\n%s", err, m.said)
			}
			want := []string{"kernel\x00\x00", "microcode\x00\x00\x00initrd\x00\x00", "BOOT_IMAGE=/vmlinuz root=UUID=1 ro"}
			if fmt.Sprintf("%q", loaded) != fmt.Sprintf("%q", want) {
				t.Errorf("loaded is %q, want %q", loaded, want)
			}
			if digest(t, m.image) != before {
				t.Error("the disk has changed")
			}
			if left, err := os.ReadDir(m.path("run")); err != nil || len(left) > 0 {
				t.Errorf("of the mounts %v are left (%v)", left, err)
			}
			b, err := os.ReadFile(filepath.Join(m.vars, "Boot0000-8be4df61-93ca-11d2-aa0d-00e098032b8c"))
			try(t, err)
			o, err := efi.ParseLoadOption(b[4:])
			try(t, err)
			parts := o.Partitions()
			if o.Description != "metalpool" || len(parts) != 1 || parts[0].Number != 1 || parts[0].First != 2048 || parts[0].Size != 32768 ||
				parts[0].String() != "3e9cbe84-a2e1-42e0-b11d-9cb3d42bd1b3" || !bytes.Contains(o.Path, []byte("s\x00h\x00i\x00m\x00")) {
				t.Errorf("the boot entry is %+v, of %+v", o, parts)
			}
		})
	}
}

// TestAJournalStaysOpen boots what was not unmounted: reading must not replay it.
func TestAJournalStaysOpen(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			m := newMachine(t, kind, loaders, debian)
			dir := t.TempDir()
			try(t, unix.Mount(m.path("dev/sda2"), dir, kind, 0, ""))
			fill(t, dir, map[string]string{"var/log/new": strings.Repeat("x", 100000)})
			mounted, err := os.Open(dir)
			try(t, err)
			try(t, unix.Syncfs(int(mounted.Fd())), mounted.Close())
			crashed := filepath.Join(t.TempDir(), "crashed")
			out, err := exec.CommandContext(t.Context(), "cp", "--sparse=always", m.image, crashed).CombinedOutput()
			if err != nil {
				t.Errorf("cp: %s", out)
			}
			try(t, err, unix.Unmount(dir, 0))

			m = boot(t, crashed, kind)
			loaded := false
			m.kexec = func(bootcfg.Start) error { loaded = true; return nil }
			before := digest(t, crashed)
			if _, err := m.Prepare(t.Context(), m.disk, core.Kexec); err != nil || !loaded {
				t.Fatalf("%v\n%s", err, m.said)
			}
			if digest(t, crashed) != before {
				t.Error("the disk has changed")
			}
		})
	}
}

func TestWhatKeepsFromBooting(t *testing.T) {
	noFirmware := func() (*efi.Variables, error) { return nil, efi.ErrNone }
	full := func() (*efi.Variables, error) { return nil, errors.New("the firmware is full") }
	grub := func(text string) map[string]string { return map[string]string{"boot/grub/grub.cfg": text} }
	for _, test := range []struct {
		name      string
		esp, root map[string]string
		mode      core.BootMode
		change    func(m *machine)
		err       string // "" is none
		said      string
	}{
		{"reboot", loaders, nil, core.Reboot, nil, "", `entry="Boot0000 EFI/debian/shim`},
		{"reboot of a BIOS", nil, nil, core.Reboot, func(m *machine) { m.firmware = noFirmware }, "", "legacy BIOS"},
		{"reboot without a loader", nil, debian, core.Reboot, nil, "the firmware would not start the OS: sda1: the EFI system partition has no boot loader", ""},
		{"reboot with firmware that is full", loaders, nil, core.Reboot, func(m *machine) { m.firmware = full }, "the firmware is full", ""},
		{"kexec with firmware that is full", loaders, debian, core.Kexec, func(m *machine) { m.firmware = full }, "", "the firmware is full"},
		{"kexec without a kernel", loaders, nil, core.Kexec, nil, "no kernel for kexec was found: there is no grub.cfg; there is no boot loader entry", "Boot0000"},
		{"kexec of a link that leads out", loaders, map[string]string{"boot/grub/grub.cfg": "linux /k\n", "k": "-> /proc/version"}, core.Kexec, nil, "there is no /k", ""},
		{"kexec of a kernel that is refused", loaders, debian, core.Kexec, func(m *machine) { m.kexec = func(bootcfg.Start) error { return explain(unix.EKEYREJECTED) } }, `"Debian" is not started by kexec: its kernel's signature is refused`, ""},
		{"kexec with a script of errors", loaders, grub("if then"), core.Kexec, nil, "boot/grub/grub.cfg of sda2", ""},
		{"an unknown mode", nil, nil, "", nil, `the boot mode is ""`, ""},
		{"a partition that is damaged", loaders, debian, core.Kexec, func(m *machine) { zero(m.image, rootAt, 128<<10) }, "sda2 is of an unknown kind", ""},
		{"an encrypted disk", loaders, debian, core.Kexec, func(m *machine) {
			zero(m.image, rootAt, 128<<10)
			write(m.image, rootAt, "LUKS\xba\xbe")
		}, "sda2 is an encrypted volume (LUKS)", ""},
		{"a device that is gone", loaders, debian, core.Kexec, func(m *machine) { m.reread = func(string) error { return unix.ENXIO } }, "no such device", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMachine(t, "ext4", test.esp, test.root)
			m.kexec = func(bootcfg.Start) error { return nil }
			if test.change != nil {
				test.change(m)
			}
			leave, err := m.Prepare(t.Context(), m.disk, test.mode)
			if test.err == "" && (err != nil || leave == nil) || test.err != "" && (err == nil || leave != nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("%v, want %q", err, test.err)
			}
			want := core.Backend
			if test.mode == "" || strings.Contains(test.err, "has no boot loader") {
				want = core.Invalid // whatever the machine
			}
			if kind := core.KindOf(err); err != nil && kind != want {
				t.Errorf("%v is %s, want %s", err, kind, want)
			}
			if !strings.Contains(m.said.String(), test.said) {
				t.Errorf("it says %s", m.said)
			}
		})
	}
	t.Run("its time is up", func(t *testing.T) {
		m := newMachine(t, "ext4", loaders, debian)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := m.Prepare(ctx, m.disk, core.Kexec); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestARebootLooksIntoNoOtherFileSystem: the kernel is to read as little as it can of
// what others made.
func TestARebootLooksIntoNoOtherFileSystem(t *testing.T) {
	parts := []partition{{number: 1}, {number: 2, kind: espType}, {number: 3}}
	if got := needed(parts, core.Reboot); len(got) != 1 || got[0].number != 2 {
		t.Errorf("%+v", got)
	}
	if got := needed(parts, core.Kexec); len(got) != 3 || got[2].number != 3 {
		t.Errorf("%+v", got)
	}
}

// TestWhatDoesNotFitIntoMemory: the file is a hole, which takes nothing of its disk.
func TestWhatDoesNotFitIntoMemory(t *testing.T) {
	dir := t.TempDir()
	try(t, os.WriteFile(filepath.Join(dir, "k"), []byte("kernel"), 0o600), os.WriteFile(filepath.Join(dir, "i"), nil, 0o600), os.Truncate(filepath.Join(dir, "i"), 1<<40))
	try(t, os.MkdirAll(filepath.Join(dir, "loader/entries"), 0o700), os.WriteFile(filepath.Join(dir, "loader/entries/a.conf"), []byte("linux /k\ninitrd /i\n"), 0o600))
	root, err := os.OpenRoot(dir)
	try(t, err)
	defer func() { _ = root.Close() }()
	start, err := bootcfg.Choose([]bootcfg.Volume{{Files: root.FS()}})
	try(t, err)
	room := int64(mib)
	f, err := inMemory("kernel", []bootcfg.File{start.Kernel}, &room)
	try(t, err, f.Close())
	if room != mib-int64(len("kernel")) {
		t.Errorf("there are %d bytes left", room)
	}
	if f, err := inMemory("initrd", start.Initrds, &room); !errors.Is(err, unix.ENOMEM) || f != nil || !strings.Contains(err.Error(), "/i: it is larger than") {
		t.Errorf("%v, %v", f, err)
	}
	if free, err := freeMemory(); err != nil || free < mib {
		t.Errorf("%d bytes are free, %v", free, err)
	}
}

func zero(image string, at, size int64) { write(image, at, string(make([]byte, size))) }

func write(image string, at int64, text string) {
	f, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte(text), at)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		panic(err)
	}
}
