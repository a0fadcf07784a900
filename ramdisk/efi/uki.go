// Package efi makes what UEFI firmware starts: a program that holds a kernel with
// all it needs, and the file system that the program lies in.
package efi

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
)

// Section is one part that the stub looks for in its own program.
type Section struct {
	Name string // at most eight bytes, such as .linux
	Data []byte
}

// Where a PE file has what changes when sections are added; see Microsoft's
// "PE Format". Offsets are in bytes.
const (
	headerAt    = 0x3c // in the file: where the PE header is
	countAt     = 6    // in the PE header
	optionalAt  = 24   // in the PE header
	sizeAt      = 56   // in the optional header, as all below
	checksumAt  = 64
	sectionSize = 40

	readableData = 0x40000040 // initialized data, to be read
)

// page is what sections are aligned to in memory, whatever the stub's own alignment:
// firmware protects pages.
const page = 4096

// Append returns the stub, a program for UEFI, with sections added, as objcopy
// --add-section does. The kernel comes last: some stubs unpack it where it lies.
func Append(stub []byte, sections []Section) ([]byte, error) {
	parsed, err := pe.NewFile(bytes.NewReader(stub))
	if err != nil {
		return nil, fmt.Errorf("the stub is no program for UEFI: %w", err)
	}
	optional, ok := parsed.OptionalHeader.(*pe.OptionalHeader64)
	if !ok {
		return nil, errors.New("the stub is no program for a 64 bit processor")
	}
	le := binary.LittleEndian
	header := int(le.Uint32(stub[headerAt:]))
	tableEnd := header + optionalAt + int(parsed.SizeOfOptionalHeader) + sectionSize*len(parsed.Sections)
	if room := (int(optional.SizeOfHeaders) - tableEnd) / sectionSize; room < len(sections) {
		return nil, fmt.Errorf("the stub has room for %d sections, and it takes %d", room, len(sections))
	}
	memory := optional.SizeOfImage
	for _, s := range parsed.Sections {
		memory = max(memory, s.VirtualAddress+s.VirtualSize)
	}

	file := bytes.Clone(stub)
	var added []byte
	for _, s := range sections {
		if len(s.Name) > 8 || len(s.Data) == 0 {
			return nil, fmt.Errorf("section %q of %d bytes", s.Name, len(s.Data))
		}
		memory = align(memory, page)
		file = append(file, make([]byte, int(align(uint32(len(file)), optional.FileAlignment))-len(file))...)
		h := make([]byte, sectionSize)
		copy(h, s.Name)
		le.PutUint32(h[8:], uint32(len(s.Data)))
		le.PutUint32(h[12:], memory)
		le.PutUint32(h[16:], align(uint32(len(s.Data)), optional.FileAlignment))
		le.PutUint32(h[20:], uint32(len(file)))
		le.PutUint32(h[36:], readableData)
		added = append(added, h...)
		file = append(file, s.Data...)
		memory += uint32(len(s.Data))
	}
	file = append(file, make([]byte, int(align(uint32(len(file)), optional.FileAlignment))-len(file))...)
	copy(file[tableEnd:], added)
	le.PutUint16(file[header+countAt:], uint16(len(parsed.Sections)+len(sections)))
	le.PutUint32(file[header+optionalAt+sizeAt:], align(memory, page))
	le.PutUint32(file[header+optionalAt+checksumAt:], 0) // UEFI does not look at it
	return file, nil
}

func align(n, to uint32) uint32 { return (n + to - 1) / to * to }
