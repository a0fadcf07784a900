//go:build vm

package lab

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/metalpool/metalpool/core/deploy/bootmedia"
	"github.com/metalpool/metalpool/core/deploy/iso9660"
)

// What a tiny program does once it has said its line on the serial port, as machine
// code for QEMU's q35.
var (
	halts = []byte{0xf4, 0xeb, 0xfd} // hlt, for ever
	// Enables the power button and polls it, then enters S5.
	obeys = append([]byte{
		0x66, 0xba, 0x02, 0x06, 0x66, 0xb8, 0x00, 0x01, 0x66, 0xef, // out 0x602, 0x100
		0x66, 0xba, 0x00, 0x06, // mov dx, 0x600
		0xf3, 0x90, 0x66, 0xed, 0xf6, 0xc4, 0x01, 0x74, 0xf7, // until the button's bit is set
	}, turnsItselfOff...)
	turnsItselfOff = append([]byte{0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x20, 0x66, 0xef}, halts...) // out 0x604, 0x2000
	// Answers each letter from the serial port with the one after it. Without interrupts:
	// by its timer's, the firmware would take letters for its own keyboard.
	answers = []byte{
		0xfa,
		0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf7, // until a bit of in 0x3fd tells of a letter
		0x66, 0xba, 0xf8, 0x03, 0xec, 0xfe, 0xc0, 0xee, 0xeb, 0xed, // in 0x3f8, inc, out 0x3f8, again
	}
	resets = append([]byte{0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee}, halts...) // out 0xcf9, 6
)

// tinyEFI is a UEFI application that writes a line to the first serial port.
func tinyEFI(line string, then []byte) []byte {
	code := []byte{
		0x48, 0x8d, 0x35, 0, 0, 0, 0, // lea rsi, [the line]
		0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
		0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8, // until a zero: out dx, the next byte
	}
	binary.LittleEndian.PutUint32(code[3:], uint32(len(code)+len(then)-7))
	code = append(append(append(code, then...), "\r\n"+line+"\r\n"...), 0)

	const headers, align = 0x200, 0x1000
	le := binary.LittleEndian
	pe := make([]byte, headers)
	copy(pe, "MZ")
	le.PutUint32(pe[0x3c:], 0x40)
	copy(pe[0x40:], "PE\x00\x00")
	coff := pe[0x44:]
	le.PutUint16(coff, 0x8664) // x86-64
	le.PutUint16(coff[2:], 1)  // sections
	le.PutUint16(coff[16:], 0xf0)
	le.PutUint16(coff[18:], 0x22) // executable, large addresses
	optional := coff[20:]
	le.PutUint16(optional, 0x20b) // PE32+
	le.PutUint32(optional[4:], headers)
	le.PutUint32(optional[16:], align) // entry
	le.PutUint32(optional[20:], align) // code
	le.PutUint32(optional[32:], align)
	le.PutUint32(optional[36:], headers) // alignment in the file
	le.PutUint32(optional[56:], 2*align)
	le.PutUint32(optional[60:], headers)
	le.PutUint16(optional[68:], 10) // EFI application
	le.PutUint32(optional[108:], 16)
	section := optional[0xf0:]
	copy(section, ".text")
	le.PutUint32(section[8:], headers)
	le.PutUint32(section[12:], align)
	le.PutUint32(section[16:], headers)
	le.PutUint32(section[20:], headers)
	le.PutUint32(section[36:], 0x60000020) // code, to be read and run
	return slices.Concat(pe, code, make([]byte, headers-len(code)))
}

// tinyISO boots a tiny program.
func tinyISO(t *testing.T, line string, then []byte) []byte {
	t.Helper()
	esp := newESP(tinyEFI(line, then))
	var b bytes.Buffer
	if err := bootmedia.Write(&b, bootmedia.Contents{System: &iso9660.File{Size: int64(len(esp)), Data: bytes.NewReader(esp)}}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tinyDisk writes a partition table with a tiny program to a disk.
func tinyDisk(t *testing.T, path, line string, then []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := WriteImage(f); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.NewOffsetWriter(f, espStart*imageSector), bytes.NewReader(newESP(tinyEFI(line, then)))); err != nil {
		t.Fatal(err)
	}
}
