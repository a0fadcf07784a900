//go:build vm

package ramdisk_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/internal/needs"
)

// A server starts from the ISO as a BMC's virtual media shows it, checks in, and says
// what it is.
func TestVMRamdiskChecksIn(t *testing.T) {
	for name, drive := range map[string][]string{
		"CD on SCSI": {"-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=cd,bootindex=0"},
		"CD on USB":  {"-device", "qemu-xhci", "-device", "usb-storage,drive=cd,removable=on,bootindex=0"},
	} {
		t.Run(name, func(t *testing.T) { checkIn(t, drive) })
	}
}

const (
	macAddress = "52:54:00:12:34:56"
	systemUUID = "0a1b2c3d-1111-4222-8333-444455556666"
)

func checkIn(t *testing.T, drive []string) {
	d, err := deploy.New(deploy.Config{
		CacheDir: t.TempDir(), Bind: "127.0.0.1", Ramdisk: needs.Ramdisk(t),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	boot, secret, err := d.NewBoot(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	agentAt := freeAddress(t)
	url, err := d.Offer(t.Context(), boot, secret, core.BootParams{
		Node: "vm-1", Generation: 1, BMCHost: "127.0.0.1", Silence: 10 * time.Minute,
		Agent: core.AgentRoute{Advertise: "10.0.2.2", Address: agentAt},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(agentAt)
	if err != nil {
		t.Fatal(err)
	}
	iso := filepath.Join(t.TempDir(), "media.iso")
	download(t, url, iso)
	startVM(t, append(drive, "-drive", "id=cd,if=none,format=raw,readonly=on,file="+iso,
		"-netdev", "user,id=net,hostfwd=tcp:"+agentAt+"-:"+port, "-device", "e1000e,netdev=net,mac="+macAddress))

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	endpoint, err := d.AwaitCheckIn(ctx, boot.ID)
	if err != nil {
		t.Fatal(err)
	}
	boot.Agent = &endpoint
	agent, err := d.Dial(boot, secret, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = agent.Close() }()
	inventory, err := agent.Inventory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if id := inventory.Identity; id.UUID != systemUUID || len(id.MACs) != 1 || id.MACs[0] != macAddress {
		t.Errorf("it says that it is %+v", id)
	}
	if d := inventory.Hardware.Disks; len(d) != 1 || d[0].Serial != "NVME1" || d[0].Size != 1<<30 || d[0].Kind != core.NVMe {
		t.Errorf("it says that it has the disks %+v", d)
	}
	log, err := agent.Log(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Linux version", "metalpool: checked in"} {
		if !strings.Contains(log, want) {
			t.Errorf("its log does not say %q", want)
		}
	}
	if inventory.Hardware.Arch != "amd64" || inventory.Hardware.CPUs != 2 {
		t.Errorf("it says that it has %+v", inventory.Hardware)
	}
}

// freeAddress is where nothing listens now.
func freeAddress(t *testing.T) string {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func download(t *testing.T, url, path string) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := io.Copy(f, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", answer.Status, err)
	}
}

// startVM runs a machine until the test ends; its console is shown where the test
// fails.
func startVM(t *testing.T, more []string) {
	qemu := needs.Program(t, "qemu-system-x86_64", "qemu-system-x86")
	firmware := needs.File(t, "/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf")
	variables, err := os.ReadFile("/usr/share/OVMF/OVMF_VARS_4M.fd")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	nvram := filepath.Join(dir, "vars.fd")
	if err := os.WriteFile(nvram, variables, 0o600); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 1<<30); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), qemu, append([]string{
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024", "-uuid", systemUUID,
		"-nographic", "-monitor", "none", "-no-reboot",
		"-drive", "if=pflash,format=raw,readonly=on,file=" + firmware, "-drive", "if=pflash,format=raw,file=" + nvram,
		"-drive", "id=disk,if=none,format=raw,file=" + disk, "-device", "nvme,drive=disk,serial=NVME1",
	}, more...)...)
	var console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &console
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() || os.Getenv("METALPOOL_TEST_CONSOLE") != "" {
			t.Logf("the console:\n%s", strings.ToValidUTF8(console.String(), "?"))
		}
	})
}
