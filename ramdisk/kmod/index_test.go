package kmod

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func names(modules []Module) string {
	var list []string
	for _, m := range modules {
		list = append(list, m.Name)
	}
	return strings.Join(list, " ")
}

func TestFor(t *testing.T) {
	i := NewIndex([]Module{
		{Name: "ahci", Aliases: []string{"pci:v*d*sv*sd*bc01sc06i01*", "pci:v00008086d00002922sv*sd*bc*sc*i*"}},
		{Name: "e1000e", Aliases: []string{"pci:v00008086d000010D3sv*sd*bc*sc*i*"}},
		{Name: "usb_storage", Aliases: []string{"usb:v*p*d*dc*dsc*dp*ic08isc0[256]ip50in*"}},
		{Name: "tpm_crb", Aliases: []string{"acpi*:MSFT0101:*"}},
		{Name: "sr_mod", Aliases: []string{"scsi:t-0x05*", "scsi:t-0x04*"}},
		{Name: "other_sr", Aliases: []string{"scsi:t-0x05*"}},
		{Name: "broken", Aliases: []string{"pci:["}},
	})
	for modalias, want := range map[string]string{
		"pci:v00008086d000010D3sv00008086sd00000000bc02sc00i00": "e1000e",
		"pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01": "ahci",
		"pci:v00001B21d00000612sv00001849sd00000612bc01sc06i01": "ahci",
		"usb:v0525pA4A5d0000dc00dsc00dp00ic08isc06ip50in00":     "usb_storage",
		"usb:v0525pA4A5d0000dc00dsc00dp00ic08isc01ip50in00":     "",
		"acpi:MSFT0101:": "tpm_crb",
		"scsi:t-0x05":    "other_sr sr_mod",
		"pci:v00001234d00001111sv00001AF4sd00001100bc03sc00i00": "",
		"":      "",
		"pci:[": "",
	} {
		if got := strings.Join(i.For(modalias), " "); got != want {
			t.Errorf("%s is driven by %q, want %q", modalias, got, want)
		}
	}
}

func TestOrder(t *testing.T) {
	i := NewIndex([]Module{
		{Name: "sd_mod", Needs: []string{"scsi_mod", "t10_pi"}},
		{Name: "t10_pi", Needs: []string{"crc_t10dif"}},
		{Name: "scsi_mod", Needs: []string{"scsi_common"}},
		{Name: "scsi_common"},
		{Name: "crc_t10dif"},
		{Name: "btrfs", Needs: []string{"raid6_pq", "built_in"}, Before: []string{"crc32c", "missing"}},
		{Name: "raid6_pq"},
		{Name: "crc32c", Before: []string{"crc32c_intel"}},
		{Name: "crc32c_intel", Before: []string{"crc32c"}}, // as the kernel's own do
		{Name: "mlx5", After: []string{"mlx5_ib"}},
		{Name: "mlx5_ib", Needs: []string{"mlx5"}},
	})
	for name, want := range map[string]string{
		"sd_mod":       "scsi_common scsi_mod crc_t10dif t10_pi sd_mod",
		"btrfs":        "crc32c_intel crc32c raid6_pq btrfs",
		"crc32c_intel": "crc32c crc32c_intel",
		"mlx5":         "mlx5 mlx5_ib",
		"built_in":     "",
	} {
		if got := names(i.Order(name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	closure := i.Closure(func(m Module) bool { return m.Name == "btrfs" || m.Name == "scsi_mod" })
	if got, want := names(closure.Modules()), "btrfs crc32c crc32c_intel raid6_pq scsi_common scsi_mod"; got != want {
		t.Errorf("the closure is %q, want %q", got, want)
	}
}

// What build writes, init reads; in whatever order the modules came, the bytes are
// the same.
func TestTheIndexIsWrittenAndRead(t *testing.T) {
	modules := []Module{
		{Name: "b", Path: "lib/b.ko", Aliases: []string{"pci:*"}, Needs: []string{"a"}},
		{Name: "a", Path: "lib/a.ko"}, {Name: "c", Path: "lib/c.ko", Before: []string{"a"}, After: []string{"b"}},
	}
	var first, second bytes.Buffer
	if err := NewIndex(modules).Write(&first); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(modules)
	if err := NewIndex(modules).Write(&second); err != nil || first.String() != second.String() {
		t.Errorf("%v: %s\n%s", err, &first, &second)
	}
	read, err := ReadIndex(&first)
	if err != nil {
		t.Fatal(err)
	}
	if want := NewIndex(modules); !reflect.DeepEqual(read, want) {
		t.Errorf("%+v, want %+v", read, want)
	}
	if _, err := ReadIndex(strings.NewReader("[{")); err == nil {
		t.Error("half an index was read")
	}
}
