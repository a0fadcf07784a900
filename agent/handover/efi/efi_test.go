//go:build linux

package efi

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/agent/gpt"
)

// written is an option field by field, as the specification has it.
const written = "01000000" + "6200" + "640065006200690061006e000000" +
	"04012a00" + "01000000" + "0008000000000000" + "00000c0000000000" + "84be9c3ee1a2e042b11d9cb3d42bd1b3" + "0202" +
	"04043400" + "5c004500460049005c00640065006200690061006e005c007300680069006d007800360034002e006500660069000000" + "7fff0400"

var esp = HardDrive{Number: 1, First: 2048, Size: 0xc0000, Signature: gpt.GUID{0x84, 0xbe, 0x9c, 0x3e, 0xe1, 0xa2, 0xe0, 0x42, 0xb1, 0x1d, 0x9c, 0xb3, 0xd4, 0x2b, 0xd1, 0xb3}}

func raw(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func debian() LoadOption {
	return LoadOption{Attributes: Active, Description: "debian", Path: FileOn(esp, "EFI/debian/shimx64.efi")}
}

func TestALoadOptionIsWrittenAsOthersDo(t *testing.T) {
	if got := debian().Bytes(); !bytes.Equal(got, raw(t, written)) {
		t.Errorf("encoded as\n%x, want\n%s", got, written)
	}
	o, err := ParseLoadOption(raw(t, written+"aabb"))
	if err != nil {
		t.Fatal(err)
	}
	if o.Attributes != Active || o.Description != "debian" || !bytes.Equal(o.Data, []byte{0xaa, 0xbb}) {
		t.Errorf("read as %+v", o)
	}
	if got := o.Partitions(); !slices.Equal(got, []HardDrive{esp}) || got[0].String() != "3e9cbe84-a2e1-42e0-b11d-9cb3d42bd1b3" {
		t.Errorf("it points at %+v", got)
	}
	if url := o.URL(); url != "" {
		t.Errorf("it boots from %s", url)
	}
}

func TestDamagedLoadOptions(t *testing.T) {
	whole := raw(t, written)
	for n := range len(whole) {
		if _, err := ParseLoadOption(whole[:n]); err == nil {
			t.Errorf("%d bytes of %d are read", n, len(whole))
		}
	}
}

func FuzzLoadOption(f *testing.F) {
	f.Add(raw(f, written))
	f.Fuzz(func(_ *testing.T, b []byte) {
		o, err := ParseLoadOption(b)
		if err == nil {
			o.Partitions()
			o.URL()
		}
	})
}

// fake is a directory of variables with firmware that may have a mind of its own.
func fake(t *testing.T, options map[string]LoadOption, order ...byte) *Variables {
	t.Helper()
	v := Plain(t.TempDir())
	for name, o := range options {
		put(t, v, Name{name, global}, kept, o.Bytes())
	}
	if order != nil {
		put(t, v, Name{"BootOrder", global}, kept, order)
	}
	return v
}

func put(t *testing.T, v *Variables, n Name, attributes byte, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(v.dir, n.String()), append([]byte{attributes, 0, 0, 0}, data...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, v *Variables) []string {
	t.Helper()
	all, err := v.List()
	if err != nil {
		t.Fatal(err)
	}
	var short []string
	for _, n := range all {
		short = append(short, n.Name)
	}
	return short
}

func order(t *testing.T, v *Variables) []uint16 {
	t.Helper()
	o, err := v.order("Boot")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func ours(path string) LoadOption {
	return LoadOption{Attributes: Active, Description: "metalpool", Path: FileOn(esp, path)}
}

func TestInstall(t *testing.T) {
	for _, test := range []struct {
		name   string
		there  map[string]LoadOption
		order  []byte
		want   string
		orders []uint16
		names  []string
	}{
		{"nothing is there", nil, nil, "Boot0000", []uint16{0}, []string{"Boot0000", "BootOrder"}},
		{"beside others", map[string]LoadOption{"Boot0000": debian(), "Boot0002": {}}, []byte{2, 0, 0, 0}, "Boot0001", []uint16{1, 2, 0}, []string{"Boot0000", "Boot0001", "Boot0002", "BootOrder"}},
		{"instead of ours", map[string]LoadOption{"Boot0000": debian(), "Boot0003": ours("old"), "Boot000A": ours("older")}, []byte{0, 0, 10, 0, 3, 0}, "Boot0003", []uint16{3, 0}, []string{"Boot0000", "Boot0003", "BootOrder"}},
		{"again", map[string]LoadOption{"Boot0003": ours("EFI/BOOT/BOOTX64.EFI")}, []byte{3, 0}, "Boot0003", []uint16{3}, []string{"Boot0003", "BootOrder"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := fake(t, test.there, test.order...)
			want := ours("EFI/BOOT/BOOTX64.EFI")
			for range 2 {
				got, err := v.Install(want)
				if err != nil || got != test.want {
					t.Fatalf("installed as %s, %v, want %s", got, err, test.want)
				}
			}
			if got := order(t, v); !slices.Equal(got, test.orders) {
				t.Errorf("the order is %v, want %v", got, test.orders)
			}
			if got := names(t, v); !slices.Equal(got, test.names) {
				t.Errorf("there are %v, want %v", got, test.names)
			}
			attributes, b, err := v.Get(Name{test.want, global})
			if err != nil || attributes != kept || !bytes.Equal(b, want.Bytes()) {
				t.Errorf("it is %x (%v), want %x", b, err, want.Bytes())
			}
		})
	}
}

func TestInstallOnBadFirmware(t *testing.T) {
	full := errors.New("no space left")
	for _, test := range []struct {
		name string
		put  func(path string, b []byte) error
		want string
	}{
		{"full", func(string, []byte) error { return full }, "refuses Boot0000: no space left"},
		{"forgetful", func(string, []byte) error { return nil }, "does not keep Boot0000"},
		{"reorders", func(path string, b []byte) error {
			if strings.Contains(path, "BootOrder") {
				b = append(b[:4:4], 9, 0, 0, 0)
			}
			return os.WriteFile(path, b, 0o600)
		}, "does not keep BootOrder"},
	} {
		v := fake(t, nil)
		v.put = test.put
		if _, err := v.Install(ours("x")); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
}

// TestNoWriteWithoutChange: the firmware's memory wears.
func TestNoWriteWithoutChange(t *testing.T) {
	v := fake(t, map[string]LoadOption{"Boot0003": ours("x")}, 3, 0)
	v.put = func(path string, _ []byte) error { t.Errorf("%s was written", path); return nil }
	if _, err := v.Install(ours("x")); err != nil {
		t.Error(err)
	}
}

func TestForget(t *testing.T) {
	other := esp
	other.Signature[0]++
	mbr := HardDrive{Number: 2, Signature: gpt.GUID{0x78, 0x56, 0x34, 0x12}, MBR: true}
	onMBR := FileOn(mbr, "bootmgr")
	onMBR[4+37], onMBR[4+36] = signatureMBR, 1
	v := fake(t, map[string]LoadOption{
		"Boot0000":    {Description: "UiApp", Path: []byte{4, 7, 20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0x7f, 0xff, 4, 0}},
		"Boot0001":    debian(),
		"Boot0002":    {Description: "rescue", Path: FileOn(other, "EFI/BOOT/BOOTX64.EFI")},
		"Boot0003":    {Description: "metalpool", Path: FileOn(other, "x")},
		"Boot0004":    {Description: "net", Path: appendNode(nil, typeMessage, messageURI, []byte("http://192.0.2.1/x.efi"))},
		"Boot0005":    {Description: "old", Path: onMBR},
		"Boot0007":    {Description: "hidden", Path: append(debian().Path, 1, 2, 3)},
		"Driver0001":  {Description: "implant", Path: FileOn(esp, "driver.efi")},
		"SysPrep0000": {Description: "bootkit", Path: appendNode(nil, typeMessage, messageURI, []byte("http://192.0.2.1/x.efi"))},
		"SysPrep0001": {Description: "vendor", Path: appendNode(nil, typeMedia, 6, make([]byte, 16))},
	}, 3, 0, 1, 0, 0, 0, 2, 0, 4, 0, 5, 0)
	put(t, v, Name{"DriverOrder", global}, kept, []byte{1, 0})
	put(t, v, Name{"Boot0006", global}, kept, []byte{1})
	put(t, v, Name{"BootNext", global}, kept, []byte{1, 0})
	put(t, v, Name{"BootCurrent", global}, 6, []byte{0, 0})
	put(t, v, Name{"SecureBoot", global}, 6, []byte{1})
	put(t, v, Name{"LoaderEntryDefault", systemd}, kept, []byte("x"))
	put(t, v, Name{"LoaderInfo", systemd}, 6, []byte("of this boot"))
	put(t, v, Name{"dump-type0-1-1-1700000000-C", crash}, kept, []byte("panic"))
	put(t, v, Name{"MokNew", shim}, kept, []byte("key"))
	put(t, v, Name{"MokList", shim}, kept, []byte("keys"))
	put(t, v, Name{"Setup", gpt.GUID{1}}, kept, []byte("the firmware's own"))

	lines := strings.Join(v.Forget("metalpool", func(d HardDrive) bool { return d == other }), "\n")
	want := strings.Join([]string{
		`boot entry Boot0004 "net" boots from http://192.0.2.1/x.efi: it stays, look whether it is yours`,
		`boot entry Boot0001 "debian" removed: partition 3e9cbe84-a2e1-42e0-b11d-9cb3d42bd1b3 is gone`,
		`boot entry Boot0003 "metalpool" removed: it is ours`,
		`boot entry Boot0005 "old" removed: partition 12345678-02 is gone`,
		`boot entry Boot0006 "" removed: it is damaged: a load option of 1 bytes`,
		`boot entry Boot0007 "hidden" removed: partition 3e9cbe84-a2e1-42e0-b11d-9cb3d42bd1b3 is gone`,
		`boot entry Driver0001 "implant" removed: partition 3e9cbe84-a2e1-42e0-b11d-9cb3d42bd1b3 is gone`,
		`boot entry SysPrep0000 "bootkit" removed: it would be fetched from the network and run before every start`,
		`variables that an OS left, removed: BootNext, LoaderEntryDefault, MokNew, dump-type0-1-1-1700000000-C`,
		`keys that an owner enrolled in shim (MokList) stay: only shim itself can remove them, at the console`,
	}, "\n")
	if lines != want {
		t.Errorf("it says\n%s\nwant\n%s", lines, want)
	}
	if got, want := order(t, v), []uint16{0, 2, 4}; !slices.Equal(got, want) {
		t.Errorf("the order is %v, want %v", got, want)
	}
	if got, want := names(t, v), []string{"Boot0000", "Boot0002", "Boot0004", "BootCurrent", "BootOrder", "LoaderInfo", "MokList", "SecureBoot", "Setup", "SysPrep0001"}; !reflect.DeepEqual(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	again := v.Forget("metalpool", func(d HardDrive) bool { return d == other })
	if len(again) != 2 {
		t.Errorf("a second time it says %q", again)
	}
}

// TestForgetOnBadFirmware: what cannot be removed is told, and the rest is removed.
func TestForgetOnBadFirmware(t *testing.T) {
	v := fake(t, map[string]LoadOption{"Boot0001": debian()}, 1, 0)
	put(t, v, Name{"LoaderEntryDefault", systemd}, kept, []byte("x"))
	if err := os.Mkdir(filepath.Join(v.dir, Name{"LoaderEntryOneShot", systemd}.String()), 0o700); err != nil {
		t.Fatal(err)
	}
	lines := strings.Join(v.Forget("metalpool", func(HardDrive) bool { return false }), "\n")
	for _, want := range []string{`Boot0001 "debian" removed`, "removed: LoaderEntryDefault", "LoaderEntryOneShot", "cannot be reset"} {
		if !strings.Contains(lines, want) {
			t.Errorf("it does not say %q but\n%s", want, lines)
		}
	}
}

func TestOpen(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "efivars")); !errors.Is(err, ErrNone) {
		t.Errorf("without firmware variables: %v", err)
	}
}

func TestParseName(t *testing.T) {
	for file, want := range map[string]string{
		"Boot0001-8be4df61-93ca-11d2-aa0d-00e098032b8c":           "Boot0001",
		"dump-type0-1-1-1-C-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0": "dump-type0-1-1-1-C",
		"-8be4df61-93ca-11d2-aa0d-00e098032b8c":                   "",
		"Boot0001-8be4df6193-ca-11d2-aa0d-00e098032b8c":           "",
		"Boot0001": "",
	} {
		n, ok := parseName(file)
		if ok != (want != "") || ok && (n.Name != want || n.String() != file) {
			t.Errorf("%s is %+v, %v", file, n, ok)
		}
	}
}
