package efi

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/fat32"
)

// newStub makes a program with one section, of which the headers take some bytes.
func newStub(t *testing.T, headers uint32) []byte {
	t.Helper()
	const at = 0x80
	stub := make([]byte, headers)
	copy(stub, "MZ")
	binary.LittleEndian.PutUint32(stub[headerAt:], at)
	var head bytes.Buffer
	head.WriteString("PE\x00\x00")
	optional := pe.OptionalHeader64{
		Magic: 0x20b, AddressOfEntryPoint: 0x1000, SectionAlignment: 512, FileAlignment: 512,
		SizeOfImage: 0x1200, SizeOfHeaders: headers, CheckSum: 42, Subsystem: 10, NumberOfRvaAndSizes: 16,
	}
	for _, part := range []any{
		pe.FileHeader{Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: 1, SizeOfOptionalHeader: uint16(binary.Size(optional))},
		optional,
		pe.SectionHeader32{Name: [8]uint8([]byte(".text\x00\x00\x00")), VirtualSize: 0x1ff, VirtualAddress: 0x1000, SizeOfRawData: 512, PointerToRawData: headers},
	} {
		if err := binary.Write(&head, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	copy(stub[at:], head.Bytes())
	return slices.Concat(stub, bytes.Repeat([]byte{0xc3}, 512))
}

// Another reader of such programs finds all sections, none over another.
func TestAppend(t *testing.T) {
	stub := newStub(t, 1024)
	sections := []Section{{".cmdline", []byte("console=ttyS0")}, {".initrd", bytes.Repeat([]byte("initrd"), 5000)}, {".linux", bytes.Repeat([]byte("kernel"), 1000)}}
	image, err := Append(stub, sections)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := pe.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Sections) != 4 {
		t.Fatalf("%d sections", len(parsed.Sections))
	}
	end := uint32(0)
	for i, s := range parsed.Sections {
		if s.VirtualAddress < end || s.Offset%512 != 0 {
			t.Errorf("section %s is at %#x in memory and %#x in the file; the one before ends at %#x", s.Name, s.VirtualAddress, s.Offset, end)
		}
		end = s.VirtualAddress + s.VirtualSize
		if i == 0 {
			continue
		}
		want := sections[i-1]
		data, err := s.Data()
		if err != nil || s.Name != want.Name || !bytes.Equal(data[:s.VirtualSize], want.Data) || s.VirtualAddress%page != 0 {
			t.Errorf("section %s at %#x differs: %v", s.Name, s.VirtualAddress, err)
		}
	}
	optional := parsed.OptionalHeader.(*pe.OptionalHeader64)
	if optional.SizeOfImage < end || optional.CheckSum != 0 || optional.AddressOfEntryPoint != 0x1000 {
		t.Errorf("the header says %+v", optional)
	}
	if !bytes.Equal(image[1024:1536], stub[1024:]) {
		t.Error("the stub itself has changed")
	}
	if again, err := Append(stub, sections); err != nil || !bytes.Equal(again, image) {
		t.Errorf("the second time it differs (%v)", err)
	}
}

func TestAppendRefuses(t *testing.T) {
	fits := []Section{{".a", []byte("a")}}
	for name, test := range map[string]struct {
		stub     []byte
		sections []Section
		want     string
	}{
		"nothing":             {nil, fits, "no program"},
		"text":                {[]byte("#!/bin/sh"), fits, "no program"},
		"no room in the head": {newStub(t, 512), append(fits, fits[0], fits[0]), "room for"},
		"a long name":         {newStub(t, 1024), []Section{{".muchlonger", []byte("a")}}, ".muchlonger"},
		"an empty section":    {newStub(t, 1024), []Section{{".a", nil}}, "0 bytes"},
	} {
		if _, err := Append(test.stub, test.sections); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPartition(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if _, err := Partition(t.TempDir(), nil); err == nil {
		t.Error("it was made with the time of day in it")
	}
	t.Setenv("SOURCE_DATE_EPOCH", "0")
	var twice [2][]byte
	for i := range twice {
		path, err := Partition(t.TempDir(), []byte("program"))
		if err != nil {
			t.Fatal(err)
		}
		twice[i] = readFile(t, path)
	}
	if !bytes.Equal(twice[0], twice[1]) {
		t.Error("the same program gave other bytes")
	}
	for name, image := range map[string][]byte{
		"small": []byte("program"),
		"large": bytes.Repeat([]byte("program "), 36<<20/8),
	} {
		t.Run(name, func(t *testing.T) {
			path, err := Partition(t.TempDir(), image)
			if err != nil {
				t.Fatal(err)
			}
			first := readFile(t, path)
			storage, err := file.OpenFromPath(path, true)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = storage.Close() }()
			fs, err := fat32.Read(storage, int64(len(first)), 0, 512)
			if err != nil {
				t.Fatal(err)
			}
			f, err := fs.OpenFile(program, os.O_RDONLY)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, image) {
				t.Errorf("%d bytes of %d are in it (%v)", len(got), len(image), err)
			}
			clusters := (len(first) - 32*512) / (512 + 8)
			if clusters < 65525 {
				t.Errorf("with %d clusters it is no FAT32", clusters)
			}
		})
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
