package lab

import (
	"fmt"
	"slices"
	"strings"
)

// printed is what a simulated node prints on its way into a phase, as a real one would.
// The phase itself follows.
var printed = map[string][]string{
	"firmware": {
		"\x1b[2J\x1b[1;1HLab firmware 1.0, UEFI 2.7",
		"Serial console on ttyS0, 115200 8N1",
	},
	"ramdisk starts": {
		`BdsDxe: starting Boot0001 "UEFI Virtual CD-ROM"`,
		"Linux version 6.1.0-lab-amd64 (ramdisk)",
		"Command line: console=ttyS0,115200",
		"Run /init as init process",
	},
	"system starts": {
		`BdsDxe: starting Boot0002 "UEFI Hard Disk"`,
		"Linux version 6.1.0-lab-amd64 (Debian 12)",
		"Command line: root=LABEL=root ro console=ttyS0,115200",
		"systemd[1]: Detected architecture x86-64.",
	},
	"system runs": {
		"cloud-init[412]: Cloud-init running 'modules:final'",
		"systemd[1]: Reached target multi-user.target - Multi-User System.",
	},
}

// prints writes one line to the console of a simulated node.
func (n *Node) prints(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, _ = n.console.Write([]byte(line + "\r\n")) // to memory, which takes all
}

// print writes a phase to the console of a simulated node, with the time since its
// power came on. The caller holds mu.
func (n *Node) print(phase string) {
	if phase == "powers on" {
		n.since = n.now()
	}
	at := max(0, n.now().Sub(n.since)).Seconds()
	if n.since.IsZero() { // it was never on
		at = 0
	}
	var b strings.Builder
	for _, line := range append(slices.Clone(printed[phase]), phase) {
		fmt.Fprintf(&b, "[%12.6f] %s\r\n", at, line)
	}
	_, _ = n.console.Write([]byte(b.String())) // to memory, which takes all
}
