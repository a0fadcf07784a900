package hardware

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/systree"
)

func TestInspect(t *testing.T) {
	root := systree.Unpack(t, "testdata/server.tree")
	addresses := map[string]string{"bond0.100": "192.0.2.7", "idrac": "169.254.0.2", "eno1v0": "192.0.2.9"}
	got := Inspect(root, func(name string) string { return addresses[name] })
	want := core.Inventory{
		Identity: core.Identity{
			UUID: "4c4c4544-0042-4310-8031-c1c04f333233", Serial: "ABC1234",
			MACs: []string{"b0:7b:25:00:00:01", "b0:7b:25:00:00:02", "b0:7b:25:00:00:03"},
		},
		Hardware: core.Hardware{
			Manufacturer: "Dell Inc.", Model: "PowerEdge R650", Arch: runtime.GOARCH, CPUs: 64, Memory: 256 * core.GiB, BIOS: "1.9.2",
			NICs: []core.NIC{
				{MAC: "b0:7b:25:00:00:01", Mbps: 25000, Address: "192.0.2.7", LinkUp: true},
				{MAC: "b0:7b:25:00:00:02", Mbps: 25000, Address: "192.0.2.7", LinkUp: true},
				{MAC: "b0:7b:25:00:00:03"},
			},
			GPUs: []core.GPU{
				{Model: "NVIDIA A100 PCIe 80GB"}, {Model: "NVIDIA GPU 10de:ffff"}, {Model: "Habana Gaudi2"},
				{Model: "Intel Data Center GPU Flex 170"}, {Model: "NVIDIA RTX A6000"},
			},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
}

// TestNothingIsThere has a machine that tells nothing of itself.
func TestNothingIsThere(t *testing.T) {
	got := Inspect(t.TempDir(), AddressOf)
	if want := (core.Inventory{Hardware: core.Hardware{Arch: runtime.GOARCH}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestABoardWithADeviceTree(t *testing.T) {
	root := t.TempDir()
	base := filepath.Join(root, "sys", "firmware", "devicetree", "base")
	if err := os.MkdirAll(base, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"model": "Ampere Altra\x00", "serial-number": "A1\xff2\x00"} {
		if err := os.WriteFile(filepath.Join(base, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := Inspect(root, AddressOf)
	if got.Hardware.Model != "Ampere Altra" || got.Identity.Serial != "A12" {
		t.Errorf("got %+v", got)
	}
}

func TestCPUs(t *testing.T) {
	for list, want := range map[string]int{"0": 1, "0-3": 4, "0-31,64-95": 64, "0,2,4": 3, "": 0, "3-1": 0, "x": 0, "0-": 0, "-1": 0, "0-99999999999": 0} {
		if got := cpus(list); got != want {
			t.Errorf("%q: %d, want %d", list, got, want)
		}
	}
}

// TestMemoryMeetsItsNeed has what kernels reported of machines with that much.
func TestMemoryMeetsItsNeed(t *testing.T) {
	for kib, want := range map[core.Bytes]core.Bytes{
		0:               0,
		1004548:         1 * core.GiB,
		2030612:         2 * core.GiB,
		3995092:         4 * core.GiB,
		16308996:        16 * core.GiB,
		65703044:        64 * core.GiB,
		131898252:       128 * core.GiB,
		197614932:       192 * core.GiB,
		263849432:       256 * core.GiB,
		394845628:       384 * core.GiB,
		1056523012:      1024 * core.GiB,
		1 << 20:         1 * core.GiB,
		128 * (1 << 20): 128 * core.GiB,
	} {
		if got := roundUp(kib * core.KiB); got != want {
			t.Errorf("%d KiB are %s, want %s", int64(kib), got, want)
		}
	}
}

func TestModules(t *testing.T) {
	device := func(length int, size uint16, set ...byte) []byte {
		d := make([]byte, length+2) // and an empty list of texts
		d[0], d[1] = 17, byte(length)
		binary.LittleEndian.PutUint16(d[0x0c:], size)
		for i := 0; i+1 < len(set); i += 2 {
			d[set[i]] = set[i+1]
		}
		return d
	}
	for _, test := range []struct {
		name  string
		table []byte
		want  core.Bytes
	}{
		{"one of 8 GiB", device(0x28, 8192), 8 * core.GiB},
		{"in KiB", device(0x28, 0x8000|512), 512 * core.KiB},
		{"of an old table", device(0x15, 1024), core.GiB},
		{"empty", device(0x28, 0), 0},
		{"unknown", device(0x28, 0xffff), 0},
		{"flash", device(0x28, 16, 0x12, 9), 0},
		{"persistent", device(0x5c, 8192, 0x28, 7), 0},
		{"volatile, and said so", device(0x5c, 8192, 0x28, 3), 8 * core.GiB},
		{"cut off", device(0x28, 8192)[:0x20], 0},
		{"shorter than its head", []byte{17, 2, 0, 0, 0, 0}, 0},
		{"without an end", device(0x28, 8192)[:0x28], 8 * core.GiB},
	} {
		if got := modules(test.table); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func FuzzModules(f *testing.F) {
	f.Add([]byte{17, 6, 0, 0, 1, 2, 0, 0, 127, 4, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, table []byte) {
		if got := modules(table); got < 0 {
			t.Errorf("%s of memory", got)
		}
	})
}
