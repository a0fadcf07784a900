package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestLabOfVMsIsRefused(t *testing.T) {
	t.Setenv("METALPOOL_LAB", filepath.Join(t.TempDir(), "lab"))
	t.Setenv("PATH", t.TempDir())
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--memory", "1GiB"}, exitUsage, "--memory is for virtual machines; add --vm"},
		{[]string{"--disk", "nvme:8GiB"}, exitUsage, "--disk is for virtual machines"},
		{[]string{"--vm", "--disk", "floppy:8GiB"}, exitUsage, "there are nvme, sata, virtio and scsi"},
		{[]string{"--vm", "--memory", "lots"}, exitUsage, "not a size"},
		{[]string{"--vm", "--memory", "1MiB"}, exitFailed, "at least 512 MiB"},
		{[]string{"--vm", "--cd", "ide"}, exitFailed, "there are scsi and usb"},
		{[]string{"--vm"}, exitFailed, "apt-get install qemu-system-x86 ovmf"},
	} {
		got := command(t, append([]string{"lab", "up"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.stderr, c.want) {
			t.Errorf("lab up %s: %d, %s; want %d, %s", strings.Join(c.args, " "), got.code, got.stderr, c.code, c.want)
		}
	}
}

func TestSimulatedNodesHaveNoCable(t *testing.T) {
	t.Setenv("METALPOOL_LAB", filepath.Join(t.TempDir(), "lab"))
	rack := follow(t, "lab", "up", "--nodes", "1", "-o", "json")
	rack.until(`"rack"`)
	if got := command(t, "lab", "unplug", "--network", "n001"); got.code != exitFailed || !strings.Contains(got.stderr, "only virtual machines have one") {
		t.Errorf("a cable of a simulated node: %+v", got)
	}
	if got := command(t, "lab", "fault", "add", "n001", "dhcp-silent"); got.code != exitFailed || !strings.Contains(got.stderr, "a fault of virtual machines") {
		t.Errorf("a fault of another kind: %+v", got)
	}
	rack.end()
}
