package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

func someManifest() core.Manifest {
	return core.Manifest{Size: 10, ChunkSize: 4, Chunks: []string{Fingerprint(nil), "", Fingerprint([]byte{1})}, Port: 80, Path: "/x"}
}

func TestCommandValidate(t *testing.T) {
	write := func(spoil func(*core.Manifest)) Command {
		m := someManifest()
		spoil(&m)
		return Command{Write: &WriteOrder{WriteOrder: core.WriteOrder{Disk: "S1", Manifest: m}}}
	}
	for _, test := range []struct {
		name    string
		command Command
		want    string // "" is valid
	}{
		{"write", write(func(*core.Manifest) {}), ""},
		{"erase", Command{Erase: &core.EraseOrder{}}, ""},
		{"seed", Command{Seed: &SeedOrder{}}, ""},
		{"reboot", Command{Boot: &core.BootOrder{Mode: core.Reboot}}, ""},
		{"nothing", Command{}, "0 orders"},
		{"two", Command{Erase: &core.EraseOrder{}, Seed: &SeedOrder{}}, "2 orders"},
		{"no mode", Command{Boot: &core.BootOrder{}}, "neither kexec nor reboot"},
		{"no size", write(func(m *core.Manifest) { m.Size = 0 }), "0 bytes"},
		{"negative size", write(func(m *core.Manifest) { m.Size = -1 }), "-1 bytes"},
		{"no chunk size", write(func(m *core.Manifest) { m.ChunkSize = 0 }), "chunks of 0"},
		{"huge chunks", write(func(m *core.Manifest) { m.ChunkSize = MaxChunk + 1 }), "in chunks of"},
		{"a chunk missing", write(func(m *core.Manifest) { m.Chunks = m.Chunks[1:] }), "2 chunks for an image that has 3"},
		{"a chunk too many", write(func(m *core.Manifest) { m.Size = 8 }), "3 chunks for an image that has 2"},
		{"no digest", write(func(m *core.Manifest) { m.Chunks[0] = "beef" }), "chunk 0"},
		{"no hex", write(func(m *core.Manifest) { m.Chunks[2] = "zz" }), "chunk 2"},
		{"no port", write(func(m *core.Manifest) { m.Port = 0 }), "port 0"},
	} {
		err := test.command.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestCheckInValidate(t *testing.T) {
	good := CheckIn{Version: ParamsVersion, Boot: "b", Token: "secret", Port: 1}
	for _, test := range []struct {
		name  string
		spoil func(*CheckIn)
		want  string
	}{
		{"good", func(*CheckIn) {}, ""},
		{"an address", func(c *CheckIn) { c.Port, c.Address = 0, "[::1]:7" }, ""},
		{"another version", func(c *CheckIn) { c.Version = 1 }, "version 1"},
		{"no token", func(c *CheckIn) { c.Token = "" }, "no token"},
		{"no boot", func(c *CheckIn) { c.Boot = "" }, "no boot ID"},
		{"no port", func(c *CheckIn) { c.Port = 0 }, "0 is not a port"},
		{"port too high", func(c *CheckIn) { c.Port = 65536 }, "65536"},
		{"address without a port", func(c *CheckIn) { c.Address = "host" }, "with a port"},
		{"address without a host", func(c *CheckIn) { c.Address = ":1" }, "with a port"},
		{"address with a name for a port", func(c *CheckIn) { c.Address = "host:http" }, "with a port"},
	} {
		c := good
		test.spoil(&c)
		err := c.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), good.Token) {
			t.Errorf("%s: the error shows the token: %v", test.name, err)
		}
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	inner := &core.Error{Op: "write disk", Node: "n1", Kind: core.Backend, Err: errors.New("sector 7"), Hint: "replace it"}
	for _, test := range []struct {
		err  error
		kind core.Kind
		text string
	}{
		{inner, core.Backend, "write disk (node n2): backend: sector 7; replace it"},
		{fmt.Errorf("outer: %w", inner), core.Backend, "write disk (node n2): backend: sector 7; replace it"},
		{errors.New("what"), core.Internal, "agent (node n2): internal: what"},
	} {
		text, err := json.Marshal(ToWire(test.err))
		if err != nil {
			t.Fatal(err)
		}
		var w *Error
		if err := json.Unmarshal(text, &w); err != nil {
			t.Fatal(err)
		}
		got := w.Core("n2")
		if core.KindOf(got) != test.kind || got.Error() != test.text {
			t.Errorf("%v arrived as %q of kind %q", test.err, got, core.KindOf(got))
		}
	}
	if got := (*Error)(nil).Core("n"); got != nil {
		t.Errorf("no error arrived as %v", got)
	}
	if ToWire(nil) != nil {
		t.Error("nil became an error")
	}
	if got := (&Error{Kind: "new"}).Core("n"); !core.Is(got, core.Internal) {
		t.Errorf("an unknown kind arrived as %v", got)
	}
	for kind, status := range statuses {
		if HTTPStatus(kind) != status || status < 400 {
			t.Errorf("%s is answered with %d", kind, status)
		}
	}
}

func FuzzCommand(f *testing.F) {
	for _, c := range []Command{
		{Write: &WriteOrder{WriteOrder: core.WriteOrder{Disk: "S1", Manifest: someManifest()}, Hosts: []string{"192.0.2.1"}}},
		{Seed: &SeedOrder{Disk: "S1", Zstd: []byte("x")}},
		{Erase: &core.EraseOrder{Disks: []string{"S1"}}},
		{Boot: &core.BootOrder{Disk: "S1", Mode: core.Kexec}},
		{Run: &RunOrder{Text: "true", Env: map[string]string{"A": "b"}, Limit: time.Minute}},
	} {
		text, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c Command
		if json.Unmarshal(text, &c) != nil || c.Validate() != nil {
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var d Command
		if err := json.Unmarshal(again, &d); err != nil || d.Validate() != nil || d.Name() != c.Name() {
			t.Fatalf("%s became %s: %v", text, again, err)
		}
		if third, err := json.Marshal(d); err != nil || !reflect.DeepEqual(again, third) {
			t.Fatalf("%s became %s: %v", again, third, err)
		}
	})
}

func FuzzCheckIn(f *testing.F) {
	f.Add([]byte(`{"version":2,"boot":"b","token":"t","port":7,"address":"[::1]:9"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var c CheckIn
		if json.Unmarshal(text, &c) == nil && c.Validate() == nil && c.Token == "" {
			t.Fatal("valid without a token")
		}
	})
}
