package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// commands are what a device takes below reads and writes. It is all that the erase
// methods need of the kernel, so that tests can answer from records for drives that
// nobody has at hand.
type commands interface {
	// admin sends an NVMe admin command. data is written to, where there is any. What
	// the controller refuses is an nvmeError.
	admin(c adminCommand, data []byte) error
	// scsi sends a SCSI command. Only one that did not reach the device is an error.
	scsi(c scsiCommand, data []byte) (scsiAnswer, error)
}

// adminCommand is one NVMe admin command, by the names of the NVMe Base
// Specification 2.0.
type adminCommand struct {
	opcode     byte
	namespace  uint32
	dw10, dw11 uint32
	timeout    time.Duration
}

// scsiCommand is one SCSI command.
type scsiCommand struct {
	cdb     []byte
	out     bool // data goes to the device
	timeout time.Duration
}

// scsiAnswer is what a device says of a command.
type scsiAnswer struct {
	status byte
	sense  []byte
}

const (
	brief = time.Minute    // for commands that only ask
	long  = 24 * time.Hour // for those that return when all is erased
)

// nvmeError is a controller's refusal: its status field without the phase bit.
type nvmeError uint16

func (s nvmeError) Error() string {
	const codes, retry = 0x7ff, 0x4000
	names := map[nvmeError]string{
		0x001: "invalid opcode", 0x002: "invalid field", 0x004: "data transfer error", 0x006: "internal error",
		0x007: "aborted", 0x00b: "invalid namespace or format", 0x01c: "sanitize failed", 0x01d: "sanitize in progress",
		0x020: "namespace is write-protected", 0x084: "format in progress", 0x10a: "invalid format", 0x10f: "sanitize requires a firmware reset",
	}
	if name := names[s&codes]; name != "" {
		return fmt.Sprintf("NVMe status %#x: %s", uint16(s), name)
	}
	return fmt.Sprintf("NVMe status %#x", uint16(s&^retry))
}

// sense is a SCSI device's reason, from either of its formats.
type sense struct {
	key       byte
	code      uint16 // additional code and qualifier
	progress  int    // of 65536, where it tells
	registers *registers
}

// Sense keys, and codes with their qualifiers, that mean something here.
const (
	noSense, recovered, illegalRequest, unitAttention = 0, 1, 5, 6

	invalidCommand = 0x2000
	becomingReady  = 0x0401
	sanitizing     = 0x041b
	sanitizeFailed = 0x3103
)

func (s sense) Error() string {
	names := map[uint16]string{
		invalidCommand: "invalid command", 0x2400: "invalid field", 0x2700: "write-protected",
		sanitizing: "sanitize in progress", sanitizeFailed: "sanitize failed",
	}
	text := fmt.Sprintf("SCSI sense %x/%02x/%02x", s.key, s.code>>8, s.code&0xff)
	if name := names[s.code]; name != "" {
		text += ": " + name
	}
	return text
}

// errNoSense is a check condition about which the device says nothing.
var errNoSense = errors.New("the device refuses and gives no reason")

// parseSense never reads past what there is.
func parseSense(b []byte) (s sense, ok bool) {
	if len(b) < 8 {
		return sense{}, false
	}
	switch b[0] & 0x7f {
	case 0x70, 0x71:
		s.key = b[2] & 0x0f
		if len(b) >= 14 {
			s.code = binary.BigEndian.Uint16(b[12:])
		}
		if len(b) >= 18 && b[15]&0x80 != 0 {
			s.progress = int(binary.BigEndian.Uint16(b[16:]))
		}
		return s, true
	case 0x72, 0x73:
		s.key, s.code = b[1]&0x0f, binary.BigEndian.Uint16(b[2:])
		for rest := b[8:min(len(b), 8+int(b[7]))]; len(rest) >= 2 && len(rest) >= 2+int(rest[1]); rest = rest[2+int(rest[1]):] {
			s.descriptor(rest[0], rest[:2+int(rest[1])])
		}
		return s, true
	}
	return sense{}, false
}

func (s *sense) descriptor(kind byte, d []byte) {
	const specific, ataReturn = 2, 9
	switch {
	case kind == specific && len(d) >= 7 && d[4]&0x80 != 0:
		s.progress = int(binary.BigEndian.Uint16(d[5:]))
	case kind == ataReturn && len(d) >= 14:
		s.registers = parseRegisters(d)
	}
}

// check is the answer as an error: nil where the command did what it should.
func (a scsiAnswer) check() error {
	const good, checkCondition = 0, 2
	if a.status == good {
		return nil
	}
	s, ok := parseSense(a.sense)
	switch {
	case a.status != checkCondition:
		return fmt.Errorf("SCSI status %#x", a.status)
	case !ok:
		return errNoSense
	case s.key == noSense || s.key == recovered:
		return nil
	}
	return s
}
