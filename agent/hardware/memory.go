package hardware

import (
	"encoding/binary"
	"math/bits"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// memory is what is plugged in, as a BMC counts it, and not the smaller part that
// firmware leaves the kernel: a need of 128 GiB is met by 128 GiB of modules.
func memory(root string) core.Bytes {
	left := memTotal(filepath.Join(root, "proc", "meminfo"))
	table, _ := os.ReadFile(filepath.Join(root, "sys", "firmware", "dmi", "tables", "DMI"))
	if modules := modules(table); modules >= left {
		return modules
	}
	return roundUp(left) // no table, or one that cannot be right
}

// memTotal is what the kernel has of it.
func memTotal(path string) core.Bytes {
	b, _ := os.ReadFile(path)
	for line := range strings.Lines(string(b)) {
		rest, is := strings.CutPrefix(line, "MemTotal:")
		if !is {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil || n < 0 || n > 1<<42 {
			return 0
		}
		return core.Bytes(n) * core.KiB
	}
	return 0
}

// roundUp goes to the next multiple of a sixteenth of the power of two above n:
// firmware and kernel keep less than that, and modules come in no finer steps.
func roundUp(n core.Bytes) core.Bytes {
	if n <= 0 {
		return 0
	}
	step := core.Bytes(1) << max(0, bits.Len64(uint64(n-1))-4)
	return (n + step - 1) / step * step
}

// modules adds up the memory devices of an SMBIOS table (DSP0134, type 17). A table
// that breaks off counts as far as it goes.
func modules(table []byte) core.Bytes {
	var total core.Bytes
	for len(table) >= 4 {
		kind, length := table[0], int(table[1])
		if length < 4 || length > len(table) {
			break
		}
		const memoryDevice, end = 17, 127
		if kind == memoryDevice {
			total += module(table[:length])
		}
		if kind == end {
			break
		}
		texts := strings.Index(string(table[length:]), "\x00\x00")
		if texts < 0 {
			break
		}
		table = table[length+texts+2:]
	}
	return total
}

// module is the size of one memory device, 0 where it is empty or no main memory.
func module(d []byte) core.Bytes {
	const (
		atSize, atType, atExtended, atTechnology = 0x0c, 0x12, 0x1c, 0x28
		unknown, extended, inKiB                 = 0xffff, 0x7fff, 0x8000
		rom, eprom                               = 0x08, 0x0c // the firmware's flash, between them
		nvdimmF, optane                          = 0x05, 0x07 // not volatile, between them
	)
	if len(d) <= atType || d[atType] >= rom && d[atType] <= eprom {
		return 0
	}
	if len(d) > atTechnology && d[atTechnology] >= nvdimmF && d[atTechnology] <= optane {
		return 0
	}
	switch size := binary.LittleEndian.Uint16(d[atSize:]); {
	case size == unknown:
		return 0
	case size == extended && len(d) >= atExtended+4:
		return core.Bytes(binary.LittleEndian.Uint32(d[atExtended:])&0x7fffffff) * core.MiB
	case size&inKiB != 0:
		return core.Bytes(size&^inKiB) * core.KiB
	default:
		return core.Bytes(size) * core.MiB
	}
}
