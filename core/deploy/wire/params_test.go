package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

func someParams() Params {
	return Params{
		Version:    ParamsVersion,
		Boot:       "b1",
		Node:       "rack1-7",
		CheckIn:    []string{"https://192.0.2.1:30001", "https://[2001:db8::1]:30001"},
		Token:      "t0ken",
		Engine:     Fingerprint([]byte("certificate")),
		Generation: 7,
		Silence:    10 * time.Minute,
		Address:    "192.0.2.7:7443",
		Network: &core.Network{
			Ports:   []string{"52:54:00:00:00:07"},
			Address: netip.MustParsePrefix("192.0.2.7/24"),
			Gateway: netip.MustParseAddr("192.0.2.254"),
			DNS:     []netip.Addr{netip.MustParseAddr("192.0.2.53")},
		},
	}
}

func TestParamsSurviveTheirArea(t *testing.T) {
	want := someParams()
	area, err := EncodeParams(want)
	if err != nil {
		t.Fatal(err)
	}
	if len(area) != AreaSize || !bytes.HasPrefix(area, []byte(AreaMagic)) {
		t.Fatalf("an area of %d bytes that begins %q", len(area), area[:len(AreaMagic)])
	}
	got, err := DecodeParams(area)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
}

func TestEncodeParamsRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Params){
		"another version":    func(p *Params) { p.Version++ },
		"no boot ID":         func(p *Params) { p.Boot = "" },
		"no token":           func(p *Params) { p.Token = "" },
		"no fingerprint":     func(p *Params) { p.Engine = "" },
		"half a fingerprint": func(p *Params) { p.Engine = p.Engine[:32] },
		"no silence":         func(p *Params) { p.Silence = 0 },
		"no URL":             func(p *Params) { p.CheckIn = nil },
		"a plain URL":        func(p *Params) { p.CheckIn = []string{"http://192.0.2.1"} },
		"no port":            func(p *Params) { p.Network.Ports = nil },
		"half an address":    func(p *Params) { p.Address = "192.0.2.7" },
		"too much":           func(p *Params) { p.Token = strings.Repeat("x", AreaSize) },
	} {
		p := someParams()
		spoil(&p)
		if _, err := EncodeParams(p); !core.Is(err, core.Invalid) {
			t.Errorf("%s: %v, want an invalid error", name, err)
		} else if strings.Contains(err.Error(), "t0ken") {
			t.Errorf("%s: the error shows the token: %v", name, err)
		}
	}
}

func TestDecodeParamsRefuses(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(area []byte) []byte
		want  string
	}{
		{"nothing", func([]byte) []byte { return nil }, "0 bytes"},
		{"cut", func(a []byte) []byte { return a[:AreaSize-1] }, "of the area's"},
		{"other data", func(a []byte) []byte { a[0] ^= 1; return a }, "do not begin"},
		{"blank", func([]byte) []byte { return BlankArea() }, "made for no node"},
		{"too long", func(a []byte) []byte { binary.BigEndian.PutUint32(a[lengthAt:], 1<<31); return a }, "the area holds"},
		{"length past the end", func(a []byte) []byte {
			binary.BigEndian.PutUint32(a[lengthAt:], uint32(maxParams+1))
			return a
		}, "the area holds"},
		{"one bit", func(a []byte) []byte { a[jsonAt+9] ^= 4; return a }, "checksum"},
		{"another version", func([]byte) []byte { return areaOf(`{"version":1,"boot":7}`) }, "version 1"},
		{"not JSON", func([]byte) []byte { return areaOf(`{"version"`) }, "JSON"},
		{"no token", func([]byte) []byte { return areaOf(`{"version":2,"boot":"b"}`) }, "no token"},
	} {
		area, err := EncodeParams(someParams())
		if err != nil {
			t.Fatal(err)
		}
		p, err := DecodeParams(test.spoil(area))
		if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an invalid error that says %q", test.name, err, test.want)
		}
		if !reflect.DeepEqual(p, Params{}) {
			t.Errorf("%s: something was decoded: %+v", test.name, p)
		}
	}
}

func FuzzDecodeParams(f *testing.F) {
	area, err := EncodeParams(someParams())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(area[jsonAt : jsonAt+200])
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = DecodeParams(text) // must not panic
		if len(text) > maxParams {
			return
		}
		p, err := DecodeParams(areaOf(string(text)))
		if err != nil {
			return
		}
		again, err := EncodeParams(p)
		if err != nil {
			t.Fatalf("decoded, but cannot be encoded: %v", err)
		}
		q, err := DecodeParams(again)
		if err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%+v became %+v: %v", p, q, err)
		}
	})
}

// areaOf makes an area around any text, with the right checksum.
func areaOf(text string) []byte {
	area := BlankArea()
	binary.BigEndian.PutUint32(area[lengthAt:], uint32(len(text)))
	sum := sha256.Sum256([]byte(text))
	copy(area[sumAt:], sum[:])
	copy(area[jsonAt:], text)
	return area
}
