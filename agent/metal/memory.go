package metal

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// Memory is what the agent may take, in bytes, before it collects harder: a machine of
// 1 GiB is enough for it and the kernel.
const Memory = 192 << 20

// PeakMemory is the most that a process ever had in memory, as the kernel counts it:
// the program itself included, what the kernel caches of disks not. proc is the
// process in /proc: its ID, or self.
func PeakMemory(proc string) (core.Bytes, error) {
	text, err := os.ReadFile("/proc/" + proc + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return core.Bytes(kib) * core.KiB, err
		}
	}
	return 0, fmt.Errorf("/proc/%s/status has no VmHWM", proc)
}
