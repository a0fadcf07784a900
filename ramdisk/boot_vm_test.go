//go:build vm

package ramdisk_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
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
	for name, drive := range map[string]func(iso string) []string{"CD on SCSI": cdOnSCSI, "CD on USB": cdOnUSB} {
		t.Run(name, func(t *testing.T) {
			const mac = "52:54:00:12:34:56"
			r := newRig(t, nil)
			vm := startVM(t, append(drive(r.iso),
				"-netdev", "user,id=net,hostfwd=tcp:"+r.agentAt+"-:"+r.agentPort, "-device", "e1000e,netdev=net,mac="+mac))
			r.meet(t, vm)
			vm.press(t)
			inventory, log := r.ask(t) // it goes on as if nothing were
			if id := inventory.Identity; id.UUID != systemUUID || len(id.MACs) != 1 || id.MACs[0] != mac {
				t.Errorf("it says that it is %+v", id)
			}
			if h := inventory.Hardware; h.Arch != "amd64" || h.CPUs != 2 {
				t.Errorf("it says that it has %+v", h)
			}
			if d := inventory.Hardware.Disks; len(d) != 1 || d[0].Serial != "NVME1" || d[0].Size != 1<<30 || d[0].Kind != core.NVMe {
				t.Errorf("it says that it has the disks %+v", d)
			}
			for _, want := range []string{"Linux version", "metalpool: checked in", "metalpool: the clock is set to=20"} {
				if !strings.Contains(log, want) {
					t.Errorf("its log does not say %q:\n%s", want, log)
				}
			}
		})
	}
}

func cdOnSCSI(iso string) []string {
	return []string{"-device", "virtio-scsi-pci,id=hba", "-device", "scsi-cd,bus=hba.0,drive=cd,bootindex=0", "-drive", "id=cd,if=none,format=raw,readonly=on,file=" + iso}
}

// An agent that its engine refuses touches nothing and turns the machine off.
func TestVMRamdiskRefusedTurnsOff(t *testing.T) {
	r := newRig(t, nil)
	r.deployer.Withdraw(r.boot.ID)
	vm := startVM(t, append(cdOnSCSI(r.iso), "-netdev", "user,id=net", "-device", "vmxnet3,netdev=net"))
	select {
	case <-vm.off:
	case <-time.After(5 * time.Minute):
		t.Fatal("it is still on")
	}
	if err := vm.end; err != nil {
		t.Errorf("QEMU ended otherwise than by the power: %v", err)
	}
	for _, want := range []string{"the engine refuses this agent", "reboot: Power down"} {
		if !strings.Contains(vm.console.String(), want) {
			t.Errorf("the console does not say %q", want)
		}
	}
}

// cdOnUSB is how the media of a real BMC looks.
func cdOnUSB(iso string) []string {
	return []string{"-device", "qemu-xhci", "-device", "usb-bot,id=bmc", "-device", "scsi-cd,bus=bmc.0,drive=cd,bootindex=0", "-drive", "id=cd,if=none,format=raw,readonly=on,file=" + iso}
}

const systemUUID = "0a1b2c3d-1111-4222-8333-444455556666"

// rig is an engine that offers one boot.
type rig struct {
	deployer           *deploy.Deployer
	boot               core.Boot
	secret             core.BootSecret
	iso                string // as the node gets it
	agentAt, agentPort string // where the agent is reached, and its port
}

func newRig(t *testing.T, network *core.Network) *rig {
	d, err := deploy.New(deploy.Config{
		CacheDir: t.TempDir(), Bind: "127.0.0.1", Ramdisk: needs.Ramdisk(t),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	r := &rig{deployer: d, iso: filepath.Join(t.TempDir(), "media.iso"), agentAt: freeAddress(t)}
	if _, r.agentPort, err = net.SplitHostPort(r.agentAt); err != nil {
		t.Fatal(err)
	}
	if r.boot, r.secret, err = d.NewBoot(time.Hour); err != nil {
		t.Fatal(err)
	}
	url, err := d.Offer(t.Context(), r.boot, r.secret, core.BootParams{
		Node: "vm-1", Generation: 1, BMCHost: "127.0.0.1", Silence: 10 * time.Minute, Network: network,
		Agent: core.AgentRoute{Advertise: "10.0.2.2", Address: r.agentAt},
	})
	if err != nil {
		t.Fatal(err)
	}
	download(t, url, r.iso)
	return r
}

// meet waits for the node, and asks it what it is and what it did.
func (r *rig) meet(t *testing.T, node *vm) (core.Inventory, string) {
	ctx, cancel := whileOn(t, node.off)
	defer cancel()
	endpoint, err := r.deployer.AwaitCheckIn(ctx, r.boot.ID)
	if err != nil {
		t.Fatal(errors.Join(err, context.Cause(ctx)))
	}
	r.boot.Agent = &endpoint
	return r.ask(t)
}

// whileOn is for what is to come from a machine: it ends when the machine turns off.
func whileOn(t *testing.T, off <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	ctx, turnedOff := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-off:
			turnedOff(errors.New("the machine has turned off"))
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (r *rig) ask(t *testing.T) (core.Inventory, string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	agent, err := r.deployer.Dial(r.boot, r.secret, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = agent.Close() }()
	inventory, err := agent.Inventory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	log, err := agent.Log(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return inventory, log
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

type vm struct {
	off     chan struct{} // closed when it is off
	end     error         // of QEMU, once it is off
	console bytes.Buffer  // whole once it is off
	qmp     string        // where QEMU takes orders
}

// press presses the power button, shortly, as a BMC does for a graceful shutdown.
func (v *vm) press(t *testing.T) {
	c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", v.qmp)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	answers := bufio.NewScanner(c)
	for _, order := range []string{"qmp_capabilities", "system_powerdown"} {
		if _, err := fmt.Fprintf(c, `{"execute":%q}`, order); err != nil {
			t.Fatal(err)
		}
		for answers.Scan() && !strings.Contains(answers.Text(), `"return"`) { // greetings and events
		}
	}
	if err := answers.Err(); err != nil {
		t.Fatal(err)
	}
}

// startVM runs a machine until the test ends; its console is shown where the test
// fails.
func startVM(t *testing.T, more []string) *vm {
	qemu := needs.QEMU(t)
	variables, err := os.ReadFile(qemu.Vars)
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
	v := &vm{off: make(chan struct{}), qmp: filepath.Join(dir, "qmp")}
	cmd := exec.CommandContext(t.Context(), qemu.Program, append([]string{
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024", "-uuid", systemUUID,
		"-nographic", "-monitor", "none", "-no-reboot", "-qmp", "unix:" + v.qmp + ",server=on,wait=off",
		"-rtc", "base=2001-02-03T04:05:06", // a board whose battery is empty
		"-drive", "if=pflash,format=raw,readonly=on,file=" + qemu.Code, "-drive", "if=pflash,format=raw,file=" + nvram,
		"-drive", "id=disk,if=none,format=raw,file=" + disk, "-device", "nvme,drive=disk,serial=NVME1",
	}, more...)...)
	cmd.Stdout, cmd.Stderr = &v.console, &v.console
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		v.end = cmd.Wait()
		close(v.off)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-v.off
		if t.Failed() || os.Getenv("METALPOOL_TEST_CONSOLE") != "" {
			t.Logf("the console:\n%s", strings.ToValidUTF8(v.console.String(), "?"))
		}
	})
	return v
}
