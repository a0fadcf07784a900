package hardware

import (
	"cmp"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// Inspect describes the machine below root, "/" but in tests, without its disks.
// addressOf tells the address of a network interface by the kernel's name for it, ""
// where it has none; AddressOf is the kernel's answer.
func Inspect(root string, addressOf func(name string) string) core.Inventory {
	dmi := filepath.Join(root, "sys", "class", "dmi", "id")
	tree := filepath.Join(root, "sys", "firmware", "devicetree", "base") // where there is no DMI
	found := core.Inventory{
		Identity: core.Identity{
			UUID:   strings.ToLower(text(dmi, "product_uuid")),
			Serial: cmp.Or(text(dmi, "product_serial"), text(tree, "serial-number")),
		},
		Hardware: core.Hardware{
			Manufacturer: text(dmi, "sys_vendor"),
			Model:        cmp.Or(text(dmi, "product_name"), text(tree, "model")),
			Arch:         runtime.GOARCH,
			CPUs:         cpus(text(filepath.Join(root, "sys", "devices", "system", "cpu"), "present")),
			Memory:       memory(root),
			NICs:         nics(root, addressOf),
			GPUs:         gpus(root),
			BIOS:         text(dmi, "bios_version"),
		},
	}
	for _, n := range found.Hardware.NICs {
		found.Identity.MACs = append(found.Identity.MACs, n.MAC)
	}
	slices.Sort(found.Identity.MACs)
	return found
}

// maxText bounds what is read of one file, in bytes.
const maxText = 4096

// text is what a small file says, "" where it says nothing readable.
func text(dir, name string) string {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, maxText)
	n, _ := f.Read(b)
	clean := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(b[:n]), ""))
	return strings.TrimSpace(clean)
}

func number(dir, name string) int {
	n, err := strconv.Atoi(text(dir, name))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// cpus counts a list such as 0-31,64-95. What is malformed counts nothing.
func cpus(list string) int {
	const most = 1 << 20
	count := 0
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.Atoi(from)
		last, errLast := strconv.Atoi(to)
		if err != nil || errLast != nil || first < 0 || last < first || last > most {
			return 0
		}
		count += last - first + 1
	}
	return count
}
