package kmod

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
)

// object makes an ELF file with one section of that name, and the section of names.
func object(t *testing.T, name, content string) []byte {
	t.Helper()
	names := "\x00" + name + "\x00.shstrtab\x00"
	var file bytes.Buffer
	write := func(v any) {
		if err := binary.Write(&file, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	const headerSize, sectionSize = 64, 64
	header := elf.Header64{Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: headerSize,
		Shoff: uint64(headerSize + len(content) + len(names)), Shentsize: sectionSize, Shnum: 3, Shstrndx: 2}
	copy(header.Ident[:], "\x7fELF\x02\x01\x01")
	write(header)
	file.WriteString(content)
	file.WriteString(names)
	write(elf.Section64{})
	write(elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: headerSize, Size: uint64(len(content))})
	write(elf.Section64{Name: uint32(len(name)) + 2, Type: uint32(elf.SHT_STRTAB), Off: uint64(headerSize + len(content)), Size: uint64(len(names))})
	return file.Bytes()
}

func TestRead(t *testing.T) {
	info := strings.Join([]string{
		"license=GPL", "alias=pci:v00008086d*", "alias=pci:v00008087d*", "depends=ptp,i2c-algo-bit",
		"softdep=pre: crc32c aead2 post: dm-zoned", "firmware=intel/ice/ddp/ice.pkg", "parm=debug:a=b", "",
	}, "\x00")
	got, err := Read("lib/modules/6.1/kernel/drivers/net/big-nic.ko", object(t, ".modinfo", info))
	want := Module{
		Name: "big_nic", Path: "lib/modules/6.1/kernel/drivers/net/big-nic.ko",
		Aliases: []string{"pci:v00008086d*", "pci:v00008087d*"},
		Needs:   []string{"ptp", "i2c_algo_bit"},
		Before:  []string{"crc32c", "aead2"}, After: []string{"dm_zoned"},
		Firmware: []string{"intel/ice/ddp/ice.pkg"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, data := range map[string][]byte{
		"nothing":                nil,
		"text":                   []byte("#!/bin/sh\n"),
		"an object of its own":   object(t, ".text", "x"),
		"a file that is cut off": object(t, ".modinfo", "license=GPL\x00")[:70],
	} {
		if m, err := Read("lib/x.ko", data); err == nil || !strings.Contains(err.Error(), "lib/x.ko") {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}
