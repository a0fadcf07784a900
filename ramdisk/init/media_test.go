package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core/deploy/bootmedia"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// TestParametersComeFromDiscs: sdb is a stick, on which an owner may have left some, and
// mmcblk0 a card.
func TestParametersComeFromDiscs(t *testing.T) {
	block := t.TempDir()
	for name, kind := range map[string]string{"sda": "0\n", "sr1": "5\n", "sr0": "5\n", "sdb": "0\n", "mmcblk0": "SD\n", "nvme0n1": "", "dm-0": ""} {
		dir := filepath.Join(block, name, "device")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(block, name, "removable"), []byte("1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if kind == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "type"), []byte(kind), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := discDrives(block); err != nil || !slices.Equal(got, []string{"sr0", "sr1"}) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := discDrives(filepath.Join(block, "none")); err == nil {
		t.Error("without a list of drives there is no error")
	}
}

func TestReadParams(t *testing.T) {
	var iso bytes.Buffer
	if err := bootmedia.Write(&iso, bootmedia.Contents{}); err != nil {
		t.Fatal(err)
	}
	params := wire.Params{
		Version: wire.ParamsVersion, Boot: "b1", Node: "n1", CheckIn: []string{"https://192.0.2.1:1"}, Token: "token",
		Engine: strings.Repeat("0", 64), Silence: time.Minute,
	}
	area, err := wire.EncodeParams(params)
	if err != nil {
		t.Fatal(err)
	}
	patched := bytes.Clone(iso.Bytes())
	copy(patched[bytes.LastIndex(patched, []byte(wire.AreaMagic)):], area)
	for name, test := range map[string]struct {
		medium []byte
		want   string // of the error
	}{
		"ours":               {patched, ""},
		"made for no node":   {iso.Bytes(), "blank"},
		"another's":          {make([]byte, 1<<20), "no boot ISO"},
		"damaged on its way": {patched[:len(patched)-40<<10], "unexpected EOF"},
	} {
		path := filepath.Join(t.TempDir(), "sr0")
		if err := os.WriteFile(path, test.medium, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readParams(path)
		if test.want == "" && (err != nil || got.Boot != "b1") || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
