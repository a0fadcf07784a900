// Package efi reads and writes what the firmware boots: load options, their order,
// and the variables that hold them, through Linux's efivarfs.
//
// It is small for a reason: what of the format we need is a page of the
// specification, and the libraries that know all of it bring more than the rest of
// the ramdisk's program together.
package efi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"
)

// LoadOption is one entry of the firmware's boot menu.
type LoadOption struct {
	Attributes  uint32
	Description string
	Path        []byte // the device path, as it is stored
	Data        []byte // given to what is started
}

// Active is the attribute of an option that the firmware tries by itself.
const Active = 1

// Bytes is the option as a variable holds it.
func (o LoadOption) Bytes() []byte {
	b := binary.LittleEndian.AppendUint32(nil, o.Attributes)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(o.Path)))
	b = appendText(b, o.Description)
	b = append(b, o.Path...)
	return append(b, o.Data...)
}

// ParseLoadOption reads what a variable holds. An owner may have written anything.
func ParseLoadOption(b []byte) (LoadOption, error) {
	if len(b) < 6 {
		return LoadOption{}, fmt.Errorf("a load option of %d bytes", len(b))
	}
	o := LoadOption{Attributes: binary.LittleEndian.Uint32(b)}
	paths := int(binary.LittleEndian.Uint16(b[4:]))
	b = b[6:]
	var text []uint16
	for {
		if len(b) < 2 {
			return LoadOption{}, errors.New("the name of a load option has no end")
		}
		unit := binary.LittleEndian.Uint16(b)
		b = b[2:]
		if unit == 0 {
			break
		}
		text = append(text, unit)
	}
	if paths > len(b) {
		return LoadOption{}, fmt.Errorf("a load option claims a device path of %d bytes and has %d", paths, len(b))
	}
	o.Description, o.Path, o.Data = string(utf16.Decode(text)), b[:paths], b[paths:]
	return o, nil
}

// Partitions are those that the option's device path names.
func (o LoadOption) Partitions() []HardDrive {
	var found []HardDrive
	for _, n := range nodes(o.Path) {
		if d, ok := n.drive(); ok {
			found = append(found, d)
		}
	}
	return found
}

// URL is where on the network the option boots from, if that is written in it.
func (o LoadOption) URL() string {
	for _, n := range nodes(o.Path) {
		if u := n.uri(); u != "" {
			return u
		}
	}
	return ""
}

// fromNetwork says whether the option is fetched from outside of the machine.
func (o LoadOption) fromNetwork() bool { return slices.ContainsFunc(nodes(o.Path), Node.isNetwork) }
