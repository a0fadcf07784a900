//go:build vm

// Package images has the proof that the images of this folder's recipes run.
package images

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/internal/installed"
	"github.com/metalpool/metalpool/internal/needs"
)

// The machine answers with the keys of its seed, runs containers, takes an update of
// what it boots from, turns off at its button and comes back as it was.
func TestVMDebianDocker(t *testing.T) {
	m := installed.New(t, needs.DebianDocker(t), "nvme")
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()

	m.Start(installed.Firmware)
	c := m.SSH(ctx)
	run := func(command string) string { return installed.Run(t, c, command, nil) }
	if state := run("cloud-init status --wait; systemctl is-system-running --wait"); !strings.Contains(state, "status: done") || !strings.HasSuffix(state, "running") {
		t.Errorf("%s\n%s", state, run("systemctl --failed; sudo grep -h WARN /var/log/cloud-init.log || true"))
	}
	if again := run("sudo journalctl -b -u ssh -o cat | grep -c ^Stopped || true"); again != "0" {
		t.Errorf("sshd was stopped %s times, which whoever logged in as soon as it answered may have felt", again)
	}
	if name := run("hostname"); name != installed.Hostname {
		t.Errorf("it calls itself %q", name)
	}
	// 4 GiB but for the EFI system partition, the seed, and what the file system needs.
	if size, err := strconv.Atoi(run("df --output=size -BM / | tail -n +2 | tr -dc 0-9")); err != nil || size < 3500 {
		t.Errorf("the root file system has %d MiB: %v", size, err)
	}
	if driver := run("sudo docker info --format '{{.Driver}} {{.CgroupDriver}}'"); driver != "overlay2 systemd" {
		t.Errorf("Docker Engine works with %s", driver)
	}
	netplanTakes(t, func(command string, input io.Reader) string { return installed.Run(t, c, command, input) })
	runContainer(t, func(command string, input io.Reader) string { return installed.Run(t, c, command, input) })
	if got := run("ls /usr/bin/dockerd; sudo sh -c 'ls /etc/ssh/ssh_host_*_key'; sudo passwd --status root"); !strings.HasPrefix(got, "/usr/bin/dockerd\n/etc/ssh/ssh_host_ed25519_key\nroot L ") {
		t.Errorf("it has %s", got)
	}
	// What a new kernel's package does: the initramfs, and through it the boot loader.
	run("sudo update-initramfs -u")
	if got := run("sudo sh -c 'cat /boot/initrd.img-* | cmp - /boot/efi/debian/*/initrd.img-*'; grep -h ^linux /boot/efi/loader/entries/*.conf 2>/dev/null || sudo sh -c 'grep -h ^linux /boot/efi/loader/entries/*.conf'"); !strings.HasPrefix(got, "linux") || !strings.Contains(got, " /debian/") {
		t.Errorf("the boot loader's files after an update: %s", got)
	}
	id := run("cat /etc/machine-id")

	m.PressPower()
	select {
	case <-m.Off():
	case <-ctx.Done():
		t.Fatal("it ignores its power button")
	}
	m.Start(installed.Firmware)
	c = m.SSH(ctx)
	if again := run("cat /etc/machine-id"); again != id || len(id) != 32 {
		t.Errorf("its machine ID was %q and is %q", id, again)
	}
	if images := run("sudo docker images --format '{{.Repository}}'"); images != "box" {
		t.Errorf("its Docker images are %q", images)
	}
}

// netplanTakes sees that bonds, VLANs and the MAC as DHCP's identifier arrive at
// systemd-networkd, as the seeds of nodes with a network of their own say them.
func netplanTakes(t *testing.T, run func(command string, input io.Reader) string) {
	for name, wants := range map[string][]string{
		"full":   {"ClientIdentifier=mac"},
		"tagged": {"VLAN=net0.7", "Kind=vlan", "Id=7", "ClientIdentifier=mac"},
		"backup": {"Bond=bond0", "Kind=bond", "Mode=active-backup", "MACAddress=52:54:00:12:34:56", "ClientIdentifier=mac"},
		"static": {"Address=10.1.0.7/24", "Gateway=10.1.0.1", "DNS=10.1.0.2"},
		"bond":   {"Bond=bond0", "Mode=802.3ad", "VLAN=bond0.100", "MTUBytes=9000", "Address=10.1.0.7/24"},
	} {
		seed, err := os.ReadFile("../../core/deploy/seed/testdata/" + name + "/network-config")
		if err != nil {
			t.Fatal(err)
		}
		// As cloud-init's renderer writes it.
		got := run("rm -rf np; mkdir -p np/etc/netplan; { echo network:; sed 's/^/  /'; } >np/etc/netplan/50-cloud-init.yaml; /usr/lib/netplan/generate --root-dir np 2>&1; cat np/run/systemd/network/*", bytes.NewReader(seed))
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("of the seed %q netplan makes no %s:\n%s", name, want, got)
			}
		}
	}
}

// runContainer runs a container of a root file system with one program: there is no
// registry.
func runContainer(t *testing.T, run func(command string, input io.Reader) string) {
	program, err := os.ReadFile(needs.Program(t, "busybox", "busybox-static"))
	if err != nil {
		t.Fatal(err)
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	if err := w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run("sudo docker import - box", &files)
	if said := run("sudo docker run --rm box /bin/busybox echo from a container", nil); said != "from a container" {
		t.Errorf("the container said %q", said)
	}
}
