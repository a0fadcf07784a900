package efi

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/metalpool/metalpool/agent/gpt"
)

// Node is one element of a device path, without its header.
type Node struct {
	Type, SubType byte
	Data          []byte
}

// Types of nodes, of the UEFI specification's chapter on device paths.
const (
	typeMedia    = 0x04
	mediaDrive   = 0x01
	mediaFile    = 0x04
	typeMessage  = 0x03
	messageMAC   = 0x0b
	messageIPv4  = 0x0c
	messageIPv6  = 0x0d
	messageISCSI = 0x13
	messageURI   = 0x18
	typeEnd      = 0x7f
	endOfPath    = 0xff
	nodeHeader   = 4
	driveSize    = 38
	formatGPT    = 2
	signatureID  = 2
	signatureMBR = 1
)

// HardDrive names a partition: the firmware looks for it on every disk.
type HardDrive struct {
	Number      uint32 // from 1
	First, Size uint64 // sectors
	// Signature is the partition's GUID; where MBR is set, its first four bytes are the
	// disk's signature in the MBR.
	Signature gpt.GUID
	MBR       bool
}

// String is what a report calls the partition.
func (d HardDrive) String() string {
	if d.MBR {
		return fmt.Sprintf("%08x-%02x", binary.LittleEndian.Uint32(d.Signature[:]), d.Number)
	}
	return d.Signature.String()
}

// FileOn is the short device path of a file on a partition with a GUID. Firmware has
// to look for the partition itself, so that a disk may move to another slot. path has
// slashes, as on Linux.
func FileOn(d HardDrive, path string) []byte {
	data := make([]byte, driveSize)
	binary.LittleEndian.PutUint32(data, d.Number)
	binary.LittleEndian.PutUint64(data[4:], d.First)
	binary.LittleEndian.PutUint64(data[12:], d.Size)
	copy(data[20:], d.Signature[:])
	data[36], data[37] = formatGPT, signatureID
	b := appendNode(nil, typeMedia, mediaDrive, data)
	b = appendNode(b, typeMedia, mediaFile, appendText(nil, `\`+strings.ReplaceAll(strings.Trim(path, "/"), "/", `\`)))
	return appendNode(b, typeEnd, endOfPath, nil)
}

func appendNode(b []byte, kind, sub byte, data []byte) []byte {
	b = append(b, kind, sub)
	b = binary.LittleEndian.AppendUint16(b, uint16(nodeHeader+len(data)))
	return append(b, data...)
}

// appendText adds UTF-16 with its end.
func appendText(b []byte, text string) []byte {
	for _, unit := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return append(b, 0, 0)
}

// nodes splits a device path, which may hold several paths one after the other. It
// goes as far as it can be read, as firmware does, which looks at the first path alone.
func nodes(path []byte) []Node {
	var found []Node
	for len(path) >= nodeHeader {
		size := int(binary.LittleEndian.Uint16(path[2:]))
		if size < nodeHeader || size > len(path) {
			break
		}
		found = append(found, Node{path[0], path[1], path[nodeHeader:size]})
		path = path[size:]
	}
	return found
}

// drive reads a node that names a partition.
func (n Node) drive() (HardDrive, bool) {
	if n.Type != typeMedia || n.SubType != mediaDrive || len(n.Data) != driveSize {
		return HardDrive{}, false
	}
	d := HardDrive{
		Number: binary.LittleEndian.Uint32(n.Data), First: binary.LittleEndian.Uint64(n.Data[4:]), Size: binary.LittleEndian.Uint64(n.Data[12:]),
		MBR: n.Data[37] == signatureMBR,
	}
	copy(d.Signature[:], n.Data[20:36])
	return d, true
}

// isNetwork says whether the node leads out of the machine: a network card, an address,
// a URL, or a disk of iSCSI.
func (n Node) isNetwork() bool {
	return n.Type == typeMessage && slices.Contains([]byte{messageMAC, messageIPv4, messageIPv6, messageISCSI, messageURI}, n.SubType)
}

// uri reads a node that names where to boot from over the network.
func (n Node) uri() string {
	if n.Type != typeMessage || n.SubType != messageURI {
		return ""
	}
	return string(n.Data)
}
