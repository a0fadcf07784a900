package efi

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/metalpool/metalpool/agent/gpt"
)

// Dir is where Linux shows the firmware's variables.
const Dir = "/sys/firmware/efi/efivars"

// Attributes of variables.
const (
	NonVolatile = 1
	atBoot      = 2 // readable before the OS runs
	atRuntime   = 4 // and while it runs
)

// Name is a variable's.
type Name struct {
	Name   string
	Vendor gpt.GUID
}

func (n Name) String() string { return n.Name + "-" + n.Vendor.String() }

// global is the vendor of the specification's own variables.
var global = gpt.GUID{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}

// Variables is a directory of variables: a file each, its first four bytes the
// attributes.
type Variables struct {
	dir string
	// put replaces a file's content in one write, which efivarfs makes one call of the
	// firmware.
	put func(path string, content []byte) error
}

// ErrNone is Open's error where the machine was not started by UEFI firmware.
var ErrNone = errors.New("the machine was started by a legacy BIOS")

// List names all variables, sorted.
func (v *Variables) List() ([]Name, error) {
	files, err := os.ReadDir(v.dir)
	if err != nil {
		return nil, err
	}
	var names []Name
	for _, f := range files {
		if n, ok := parseName(f.Name()); ok {
			names = append(names, n)
		}
	}
	return names, nil
}

const guidLength = 36

func parseName(file string) (Name, bool) {
	at := len(file) - guidLength - 1
	if at < 1 || file[at] != '-' {
		return Name{}, false
	}
	vendor, ok := parseGUID(file[at+1:])
	return Name{file[:at], vendor}, ok
}

func parseGUID(text string) (gpt.GUID, bool) {
	var g gpt.GUID
	raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(raw) != len(g) {
		return g, false
	}
	slices.Reverse(raw[0:4])
	slices.Reverse(raw[4:6])
	slices.Reverse(raw[6:8])
	copy(g[:], raw)
	return g, strings.EqualFold(g.String(), text)
}

// Get returns fs.ErrNotExist where there is no such variable.
func (v *Variables) Get(n Name) (attributes uint32, data []byte, err error) {
	b, err := os.ReadFile(filepath.Join(v.dir, n.String()))
	if err != nil {
		return 0, nil, err
	}
	if len(b) < 4 {
		return 0, nil, fmt.Errorf("%s: %w", n.Name, fs.ErrNotExist) // a file without a variable
	}
	return binary.LittleEndian.Uint32(b), b[4:], nil
}

// Set writes a variable unless it is so already: the firmware's memory wears. It
// fails where the firmware then tells something else.
func (v *Variables) Set(n Name, attributes uint32, data []byte) error {
	same := func() bool {
		a, d, err := v.Get(n)
		return err == nil && a == attributes && bytes.Equal(d, data)
	}
	if same() {
		return nil
	}
	path := filepath.Join(v.dir, n.String())
	if err := release(path); err != nil {
		return err
	}
	if err := v.put(path, append(binary.LittleEndian.AppendUint32(nil, attributes), data...)); err != nil {
		return fmt.Errorf("the firmware refuses %s: %w", n.Name, err)
	}
	if !same() {
		return fmt.Errorf("the firmware does not keep %s", n.Name)
	}
	return nil
}

// Delete removes a variable; one that is not there is well.
func (v *Variables) Delete(n Name) error {
	path := filepath.Join(v.dir, n.String())
	if err := release(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the firmware does not remove %s: %w", n.Name, err)
	}
	if _, _, err := v.Get(n); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the firmware says that %s is removed, and it is there", n.Name)
	}
	return nil
}
