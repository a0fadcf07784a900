package lab

import (
	"bytes"
	"strings"
)

// phases tells from a VM's console what it is doing, as far as that shows there.
type phases struct {
	say     func(phase string)
	started func() // called once, when the firmware has started something; then nil
	line    []byte
	last    string
}

func newPhases(say func(phase string), started func()) *phases {
	return &phases{say: say, started: started}
}

// longestLine bounds what is kept of one, in bytes.
const longestLine = 1 << 10

// Write implements io.Writer. It looks at lines before they end, too: a prompt for a
// login does not.
func (p *phases) Write(b []byte) (int, error) {
	for part := range bytes.SplitAfterSeq(b, []byte{'\n'}) {
		p.line = append(p.line, part...)
		if phase := phaseOf(string(p.line)); phase != "" && phase != p.last {
			p.last = phase
			p.say(phase)
			if p.started != nil {
				p.started()
				p.started = nil
			}
		}
		if bytes.HasSuffix(part, []byte{'\n'}) || len(p.line) > longestLine {
			p.line = p.line[:0]
		}
	}
	return len(b), nil
}

// phaseOf is what a line on the console says of a machine; empty if nothing.
func phaseOf(line string) string {
	_, option, starts := strings.Cut(line, "BdsDxe: starting Boot")
	option, _, whole := strings.Cut(option, "\" from ")
	starts = starts && whole
	switch {
	case starts && strings.Contains(option, "Shell"):
		return "no bootable device"
	case starts && strings.Contains(option, "CD-ROM"):
		return "boots from virtual media"
	case starts && (strings.Contains(option, "PXE") || strings.Contains(option, "HTTP")):
		return "firmware tries the network"
	case starts:
		return "boots from the disk"
	case strings.Contains(line, "Linux version "):
		return "kernel starts"
	case strings.Contains(line, "metalpool: checked in"):
		return "agent runs"
	case strings.Contains(line, "metalpool: looking for the boot media"):
		return "ramdisk starts"
	case strings.Contains(line, "metalpool: the OS starts by kexec"):
		return "system starts" // which need not write to this console until it runs
	case strings.Contains(line, " login: "):
		return "system runs"
	}
	return ""
}
