// Package kmod knows kernel modules: what each says of itself, which of them a
// device asks for, and in which order they are loaded.
//
// Debian makes the index of modules where a kernel is installed, with depmod. The
// ramdisk's kernel is installed nowhere, so the index is made of the modules
// themselves, by the program that builds the ramdisk, and read by its init.
package kmod

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"path"
	"strings"
)

// Module is what a module says of itself.
type Module struct {
	// Name has underscores, never dashes, as the kernel lists it.
	Name string `json:"name"`
	// Path is the file's, from the root of the file system, without a suffix that
	// names a compression.
	Path string `json:"path"`
	// Aliases are patterns of the devices that it drives.
	Aliases []string `json:"aliases,omitempty"`
	// Needs are the modules whose symbols it uses.
	Needs []string `json:"needs,omitempty"`
	// Before are modules that it works better or only with; they may be missing.
	Before []string `json:"before,omitempty"`
	// After are modules to load once it is there; they may be missing, too.
	After []string `json:"after,omitempty"`
	// Firmware are the files that it may ask for, below /lib/firmware.
	Firmware []string `json:"-"`
}

// Read takes a module's file, uncompressed.
func Read(file string, data []byte) (Module, error) {
	m := Module{Name: NameOf(file), Path: file}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return m, fmt.Errorf("%s is no module: %w", file, err)
	}
	section := f.Section(".modinfo")
	if section == nil {
		return m, errors.New(file + " is no module: it says nothing of itself")
	}
	info, err := section.Data()
	if err != nil {
		return m, fmt.Errorf("%s: %w", file, err)
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		key, value, _ := strings.Cut(entry, "=")
		switch key {
		case "alias":
			m.Aliases = append(m.Aliases, value)
		case "depends":
			for name := range strings.SplitSeq(value, ",") {
				if name != "" {
					m.Needs = append(m.Needs, NameOf(name))
				}
			}
		case "softdep":
			m.soften(value)
		case "firmware":
			m.Firmware = append(m.Firmware, value)
		}
	}
	return m, nil
}

// soften reads "pre: a b post: c".
func (m *Module) soften(text string) {
	to := &m.Before
	for word := range strings.FieldsSeq(text) {
		switch word {
		case "pre:":
			to = &m.Before
		case "post:":
			to = &m.After
		default:
			*to = append(*to, NameOf(word))
		}
	}
}

// NameOf is the name of the module in that file.
func NameOf(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}
