//go:build vm

package ramdisk_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/internal/needs"
)

// TestVMHandover starts an installed OS by kexec, has the firmware start it by the
// entry that was written, and leaves for a reboot.
func TestVMHandover(t *testing.T) {
	s := newServer(t)
	install(t, needs.TinyOS(t), s.disk)

	a, vm := s.fromMedia(t)
	before := time.Now()
	if err := a.Boot(t.Context(), "k", core.BootOrder{Disk: "NVME1", Mode: core.Kexec}); err != nil {
		t.Fatalf("%v\n%s", err, agentLog(t, a))
	}
	vm.await(t, regexp.MustCompile(`tiny OS.*by_kexec=true`))
	t.Logf("from the order to the OS by kexec took %s", time.Since(before).Round(time.Millisecond))
	vm.stop(t)

	vm = s.start(t)
	vm.await(t, regexp.MustCompile(`Boot[0-9A-F]{4} "metalpool" from HD\(1,GPT`))
	vm.await(t, regexp.MustCompile(`tiny OS.*by_kexec=false`))
	vm.stop(t)

	a, vm = s.fromMedia(t)
	if err := a.Boot(t.Context(), "r", core.BootOrder{Disk: "NVME1", Mode: core.Reboot}); err != nil {
		t.Fatalf("%v\n%s", err, agentLog(t, a))
	}
	vm.ended(t) // QEMU is told not to restart
}

// TestVMNoKernelForKexec leaves the agent where it is, with a boot entry that the
// firmware could try; an erase takes that away. (Across starts QEMU's firmware forgets
// by itself whatever is not in the order that QEMU gives.)
func TestVMNoKernelForKexec(t *testing.T) {
	s := newServer(t)
	image, err := os.ReadFile(needs.TinyOS(t))
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.raw")
	if err := os.WriteFile(broken, bytes.Replace(image, []byte("linux /tinyos/linux\n"), []byte("linux /tinyos/l1nux\n"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	install(t, broken, s.disk)

	a, vm := s.fromMedia(t, tpm(t)...)
	err = a.Boot(t.Context(), "k", core.BootOrder{Disk: "NVME1", Mode: core.Kexec})
	if !core.Is(err, core.Backend) || !strings.Contains(err.Error(), `"Tiny OS" needs /tinyos/l1nux, which cannot be read`) {
		t.Errorf("kexec: %v\n%s", err, agentLog(t, a))
	}
	report, err := a.Erase(t.Context(), "e", core.EraseOrder{Disks: []string{"NVME1"}}, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, agentLog(t, a))
	}
	if said := strings.Join(report.Reset, "\n"); !strings.Contains(said, `"metalpool" removed`) || !strings.Contains(said, "the TPM is cleared") {
		t.Errorf("the reset says\n%s\nthe agent\n%s", said, agentLog(t, a))
	}
	vm.stop(t)
}

func agentLog(t *testing.T, a core.Agent) string {
	t.Helper()
	text, err := a.Log(t.Context())
	if err != nil {
		return err.Error()
	}
	return text
}

func install(t *testing.T, image, disk string) {
	t.Helper()
	text, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(text, 0); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
}

// server is a machine that keeps its disk and its firmware's memory.
type server struct {
	disk, nvram string
	engine      *deploy.Deployer
}

func newServer(t *testing.T) *server {
	t.Helper()
	variables, err := os.ReadFile(needs.QEMU(t).Vars)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &server{disk: filepath.Join(dir, "disk.img"), nvram: filepath.Join(dir, "vars.fd")}
	if err := os.WriteFile(s.nvram, variables, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.disk, 1<<30); err != nil {
		t.Fatal(err)
	}
	s.engine, err = deploy.New(deploy.Config{
		CacheDir: t.TempDir(), Bind: "127.0.0.1", Ramdisk: needs.Ramdisk(t), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.engine.Close() })
	return s
}

// tpm returns QEMU's arguments for a TPM.
func tpm(t *testing.T) []string {
	t.Helper()
	socket := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"}
	l, err := net.ListenUnix("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	l.SetUnlinkOnClose(false)
	server, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	cmd := exec.CommandContext(t.Context(), needs.Program(t, "swtpm", "swtpm"), "socket", "--tpm2", "--tpmstate", "dir=.", "--ctrl", "type=unixio,fd=3", "--terminate")
	cmd.Dir = t.TempDir()
	cmd.ExtraFiles = []*os.File{server}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended with QEMU
		_ = cmd.Wait()
	})
	return []string{"-chardev", "socket,id=tpm,path=" + socket.Name, "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm0"}
}

// fromMedia starts the machine from the ramdisk, and returns its agent.
func (s *server) fromMedia(t *testing.T, more ...string) (core.Agent, *running) {
	t.Helper()
	boot, secret, err := s.engine.NewBoot(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	at := freeAddress(t)
	url, err := s.engine.Offer(t.Context(), boot, secret, core.BootParams{
		Node: "vm-1", Generation: 1, BMCHost: "127.0.0.1", Silence: 10 * time.Minute, Agent: core.AgentRoute{Advertise: "10.0.2.2", Address: at},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	iso := filepath.Join(t.TempDir(), "media.iso")
	download(t, url, iso)
	vm := s.start(t, append(more, "-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=cd,bootindex=0", "-drive", "id=cd,if=none,format=raw,readonly=on,file="+iso,
		"-netdev", "user,id=net,hostfwd=tcp:"+at+"-:"+port, "-device", "e1000e,netdev=net")...)
	ctx, cancel := whileOn(t, vm.done)
	defer cancel()
	endpoint, err := s.engine.AwaitCheckIn(ctx, boot.ID)
	if err != nil {
		t.Fatal(errors.Join(err, context.Cause(ctx)))
	}
	boot.Agent = &endpoint
	a, err := s.engine.Dial(boot, secret, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a, vm
}

// running is a machine that is on.
type running struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when its power is off

	mu   sync.Mutex
	said bytes.Buffer
	more chan struct{} // closed with each change of what it said
}

// Write takes what the console says.
func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.more)
	r.more = make(chan struct{})
	return r.said.Write(p)
}

func (s *server) start(t *testing.T, more ...string) *running {
	t.Helper()
	qemu := needs.QEMU(t)
	r := &running{done: make(chan struct{}), more: make(chan struct{})}
	r.cmd = exec.CommandContext(t.Context(), qemu.Program, append([]string{
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024", "-nographic", "-monitor", "none", "-no-reboot",
		"-drive", "if=pflash,format=raw,readonly=on,file=" + qemu.Code, "-drive", "if=pflash,format=raw,file=" + s.nvram,
		"-drive", "id=disk,if=none,format=raw,file=" + s.disk, "-device", "nvme,drive=disk,serial=NVME1",
	}, more...)...)
	r.cmd.Stdout, r.cmd.Stderr = r, r
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait()
		close(r.done)
	}()
	t.Cleanup(func() {
		r.stop(t)
		if t.Failed() || os.Getenv("METALPOOL_TEST_CONSOLE") != "" {
			t.Logf("the console:\n%s", strings.ToValidUTF8(r.said.String(), "?"))
		}
	})
	return r
}

// stop takes the power away.
func (r *running) stop(t *testing.T) {
	t.Helper()
	_ = r.cmd.Process.Kill()
	<-r.done
}

func (r *running) ended(t *testing.T) {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(5 * time.Minute):
		t.Fatal("the machine stays on")
	}
}

// await returns once the console has said it.
func (r *running) await(t *testing.T, what *regexp.Regexp) {
	t.Helper()
	limit := time.After(5 * time.Minute)
	for {
		r.mu.Lock()
		found, more := what.Match(r.said.Bytes()), r.more
		r.mu.Unlock()
		if found {
			return
		}
		select {
		case <-more:
		case <-r.done:
			t.Fatalf("the machine is off, and never said %s", what)
		case <-limit:
			t.Fatalf("the machine never said %s", what)
		}
	}
}
