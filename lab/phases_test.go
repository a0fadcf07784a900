package lab

import (
	"slices"
	"strings"
	"testing"
)

func TestPhasesOfAConsole(t *testing.T) {
	const console = "\x1b[2J\x1b[01;01HBdsDxe: loading Boot0001 \"UEFI QEMU QEMU CD-ROM \" from PciRoot(0x0)\r\n" +
		"BdsDxe: starting Boot0001 \"UEFI QEMU QEMU CD-ROM \" from PciRoot(0x0)\r\n" +
		"[    0.000000] Linux version 6.1.0\r\n[    0.100000] Linux version again\r\n[    3.1] metalpool: looking for the boot media\r\n[    5.1] metalpool: checked in url=https://127.0.0.1\r\n" +
		"[    9.1] metalpool: the OS starts by kexec entry=debian.conf kernel=/vmlinuz\r\n" +
		"BdsDxe: starting Boot0002 \"UEFI PXEv4 (MAC:020000000001)\" from PciRoot(0x0)\r\n" +
		"BdsDxe: starting Boot0003 \"EFI Internal Shell\" from Fv(7CB8)\r\n" +
		"BdsDxe: starting Boot0004 \"debian\" from HD(1,GPT)\r\n" +
		"web-1 login: "
	want := []string{"boots from virtual media", "kernel starts", "ramdisk starts", "agent runs", "system starts", "firmware tries the network", "no bootable device", "boots from the disk", "system runs"}
	for _, size := range []int{1, 7, len(console)} {
		var got []string
		started := 0
		p := newPhases(func(phase string) { got = append(got, phase) }, func() { started++ })
		for part := range slices.Chunk([]byte(console), size) {
			if n, err := p.Write(part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		if started != 1 {
			t.Errorf("in pieces of %d: started %d times", size, started)
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: %q; want %q", size, got, want)
		}
	}
	p := newPhases(func(phase string) { t.Errorf("noise says %q", phase) }, func() { t.Error("noise was started") })
	_, _ = p.Write([]byte(strings.Repeat("x", 1<<20)))
	if len(p.line) > 2*longestLine {
		t.Errorf("%d bytes of a line are kept", len(p.line))
	}
}
