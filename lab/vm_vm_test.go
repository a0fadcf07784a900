//go:build vm

package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab/bmc"
	"github.com/metalpool/metalpool/lab/qemu"
)

// vmRig is one virtual machine and its BMC, as a client of Redfish sees it.
type vmRig struct {
	t    *testing.T
	lab  *Lab
	node *Node
	bmc  core.BMC
}

func vmUp(t *testing.T, dir string, v VM) *vmRig {
	t.Helper()
	needs.QEMU(t)
	l, err := Up(t.Context(), Config{Dir: dir, Nodes: 1, Vendors: []string{"openbmc"}, VM: &v})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &vmRig{t: t, lab: l, node: l.Nodes()[0]}
	e := l.Rack().Nodes[0].BMC
	r.bmc, err = redfish.New(redfish.Options{}).Connect(t.Context(), core.Endpoint{Backend: "redfish", URL: e.URL, User: e.User, TLS: core.TLSCheck{Fingerprint: e.Fingerprint}}, e.Password, nil)
	r.try(err)
	t.Cleanup(func() { _ = r.bmc.Close() })
	return r
}

func (r *vmRig) try(errs ...error) {
	r.t.Helper()
	for _, err := range errs {
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// serve serves an ISO as an engine would.
func (r *vmRig) serve(iso []byte) (url string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		http.ServeContent(w, q, "boot.iso", time.Time{}, bytes.NewReader(iso))
	}))
	r.t.Cleanup(s.Close)
	return s.URL
}

// console waits for a text on the console, from now on; begun tells what to do first.
func (r *vmRig) console(want string, begun func()) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Minute)
	defer cancel()
	_, live, stop := r.node.Console()
	defer stop()
	begun()
	var got strings.Builder
	for {
		select {
		case chunk := <-live:
			got.Write(chunk)
			if strings.Contains(got.String(), want) {
				return got.String()
			}
		case <-ctx.Done():
			r.t.Fatalf("the console never showed %q; status %+v, console:\n%q", want, r.node.Status(), got.String())
		}
	}
}

func (r *vmRig) await(want bmc.PowerState) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	for r.node.Power() != want {
		if !wait(ctx, 20*time.Millisecond) {
			r.t.Fatalf("the power is %s, not %s", r.node.Power(), want)
		}
	}
}

// boots waits until a boot from the media has said its line.
func (r *vmRig) boots(line string, then []byte) {
	r.t.Helper()
	ctx := r.t.Context()
	r.try(r.bmc.InsertMedia(ctx, r.serve(tinyISO(r.t, line, then))), r.bmc.BootMediaOnce(ctx))
	r.console(line, func() { r.try(r.bmc.SetPower(ctx, core.TurnOn)) })
}

func TestVMBootsMediaOnceThenItsDisk(t *testing.T) {
	for _, c := range []struct {
		name string
		vm   VM
	}{
		{"NVMe", VM{}},
		{"SATA and USB", VM{CD: qemu.USB, Disks: []VMDisk{{Bus: qemu.SATA, Size: 128 * core.MiB}, {Bus: qemu.SATA, Size: 128 * core.MiB}}}},
		{"VirtIO", VM{Disks: []VMDisk{{Bus: qemu.VirtIO, Size: 128 * core.MiB}}}},
		{"SCSI", VM{Disks: []VMDisk{{Bus: qemu.SCSI, Size: 128 * core.MiB}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := vmUp(t, t.TempDir(), c.vm)
			disks := r.node.Disks()
			tinyDisk(t, disks[len(disks)-1].Path, "from the disk", obeys)
			ctx := t.Context()
			r.try(r.bmc.InsertMedia(ctx, r.serve(tinyISO(t, "from the media", resets))), r.bmc.BootMediaOnce(ctx))
			// The media stay in, and are not booted again.
			shown := r.console("from the disk", func() { r.try(r.bmc.SetPower(ctx, core.TurnOn)) })
			if n := strings.Count(shown, "from the media"); n != 1 {
				t.Errorf("the media booted %d times:\n%q", n, shown)
			}
			if got := r.node.Status().Phase; got != "boots from the disk" {
				t.Errorf("phase %q", got)
			}
			// Nor where they are gone, also before anybody wrote a boot entry; and what listens to the power button turns off.
			r.try(r.bmc.EjectMedia(ctx))
			r.console("from the disk", func() { r.node.Restart(true) })
			r.node.PowerOff(true)
			r.await(bmc.Off)
		})
	}
}

func TestVMPower(t *testing.T) {
	dir := t.TempDir()
	r := vmUp(t, dir, VM{CPUs: 1, Memory: 512 * core.MiB})
	ctx := t.Context()
	r.boots("deaf", halts)
	r.node.PowerOff(true)
	r.node.Restart(true)
	r.try(r.bmc.EjectMedia(ctx))
	if r.node.Power() != bmc.On {
		t.Error("what does not listen to the power button was turned off")
	}
	r.console("Shell>", func() { r.node.Restart(false) })
	if got := r.node.Status().Phase; got != "no bootable device" {
		t.Errorf("phase %q", got)
	}
	r.try(r.bmc.SetPower(ctx, core.TurnOff))
	if r.node.machine.(*vm).current() != nil {
		t.Error("QEMU runs with its power off")
	}
	r.boots("goes", turnsItselfOff)
	r.await(bmc.Off)

	// What was on comes back on, with the firmware that it had.
	r.try(r.node.AddFault(NewFault{Machine: &Fault{Kind: DiskHang}}))
	r.try(r.bmc.SetPower(ctx, core.TurnOn))
	r.await(bmc.On)
	r.try(r.bmc.Close(), r.lab.Close())
	again := vmUp(t, dir, VM{})
	again.await(bmc.On)
	if got := again.node.card.VM.Memory; got != 512*core.MiB {
		t.Errorf("it has %s", got)
	}
	recent, _, stop := again.node.Console()
	stop()
	if !strings.Contains(string(recent), "deaf") {
		t.Error("the console has forgotten")
	}
	again.try(again.node.Unplug())
	if again.node.Power() != bmc.Off || again.node.machine.(*vm).current() != nil {
		t.Error("it runs without its cord")
	}
}

func TestVMHangsByFault(t *testing.T) {
	r := vmUp(t, t.TempDir(), VM{})
	for _, k := range []FaultKind{DiskHang, OtherMachine, DiskMissing, DHCPSilent, DHCPMoves, WriteError} {
		r.try(r.node.AddFault(NewFault{Machine: &Fault{Kind: k}}))
	}
	r.try(r.node.UnplugNetwork())
	r.node.PowerOn()
	r.await(bmc.On)
	if got := r.node.Status().Phase; !strings.HasPrefix(got, "hangs while it boots from the disk") {
		t.Errorf("phase %q", got)
	}
	r.try(r.node.PlugNetwork())
	r.node.ClearFaults()
	r.node.PowerOff(false)
	r.await(bmc.Off)
}

// asLab makes the test's program run a lab in the folder that it names.
const asLab = "METALPOOL_TEST_LAB"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asLab); dir != "" {
		l, err := Up(context.Background(), Config{Dir: dir, Vendors: []string{"openbmc"}, VM: &VM{Memory: 512 * core.MiB}})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		n := l.Nodes()[0]
		_, _ = n.faults.Add(Fault{Kind: DiskHang, Count: Forever})
		n.PowerOn()
		for n.machine.(*vm).current() == nil {
			wait(context.Background(), time.Millisecond)
		}
		fmt.Println("on")
		select {} // until it is killed
	}
	os.Exit(m.Run())
}

func TestVMEndsWithItsLab(t *testing.T) {
	needs.QEMU(t)
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asLab+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "on\n" {
		t.Fatalf("the lab says %q, %v", line, err)
	}
	lock, err := os.Open(filepath.Join(dir, "nodes", "n001", lockName))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		t.Fatal("a running machine holds no lock")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for {          // until QEMU has ended
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err == nil {
			break
		} else if !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	r := vmUp(t, dir, VM{})
	r.await(bmc.On)
}
