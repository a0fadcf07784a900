package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/metalpool/metalpool/core"
)

// ataIdentity is what IDENTIFY DEVICE tells of erasing.
type ataIdentity struct {
	cryptoSanitize, blockSanitize, overwriteSanitize bool
	security, enabled, locked, frozen, expired       bool
	enhanced                                         bool
	hpa                                              bool // it may hide sectors at its end
	sectors                                          int64
}

// word returns a word of the identify data, 0 beyond it.
func word(b []byte, n int) uint16 {
	if len(b) < 2*n+2 {
		return 0
	}
	return binary.LittleEndian.Uint16(b[2*n:])
}

func parseATA(b []byte) ataIdentity {
	bit := func(w, n int) bool { return word(b, w)>>n&1 != 0 }
	id := ataIdentity{
		security: bit(128, 0), enabled: bit(128, 1), locked: bit(128, 2), frozen: bit(128, 3), expired: bit(128, 4), enhanced: bit(128, 5),
		hpa: bit(82, 10),
	}
	if bit(59, 12) {
		id.cryptoSanitize, id.overwriteSanitize, id.blockSanitize = bit(59, 13), bit(59, 14), bit(59, 15)
	}
	for i := range 4 {
		id.sectors |= int64(word(b, 100+i)) << (16 * i)
	}
	return id
}

func (id ataIdentity) sanitizes() bool {
	return id.cryptoSanitize || id.blockSanitize || id.overwriteSanitize
}

// ataMethods are what a drive can do, the most thorough first. The security erase
// counts as a clear, also the enhanced one: what it reaches is each vendor's affair.
func ataMethods(id ataIdentity) (list []method, without []string) {
	for _, m := range []struct {
		name    string
		can     bool
		feature uint16
		lba     uint64
		count   uint16
	}{
		// The signatures keep a drive from erasing itself by mistake; the drive leaves a
		// failure behind when it is told to (count's bit 4).
		{"ATA sanitize (crypto scramble)", id.cryptoSanitize, 0x0011, 0x43727970, 0x10},
		{"ATA sanitize (block erase)", id.blockSanitize, 0x0012, 0x426b4572, 0x10},
		{"ATA sanitize (overwrite)", id.overwriteSanitize, 0x0014, 0x4f57_00000000, 0x11}, // one pass of zeros
	} {
		if m.can {
			list = append(list, method{name: m.name, class: core.Purge, run: func(ctx context.Context, e *eraser) error {
				return e.sanitizeATA(ctx, ataCommand{command: ataSanitize, feature: m.feature, lba: m.lba, count: m.count, answers: true})
			}})
		}
	}
	switch {
	case !id.security:
	case id.frozen:
		without = append(without, "ATA security erase: the firmware froze it; to thaw it, look for such a setting in the firmware, or plug the drive in while the power is on")
	default:
		if id.enhanced {
			list = append(list, securityErase("ATA security erase (enhanced)", true))
		}
		list = append(list, securityErase("ATA security erase", false))
	}
	return list, without
}

func securityErase(name string, enhanced bool) method {
	return method{name: name, class: core.Clear, run: func(_ context.Context, e *eraser) error { return e.securityErase(enhanced) }}
}

// Commands (ACS-4).
const (
	ataNativeMax       = 0x27
	ataGetNativeMax    = 0x78
	ataSanitize        = 0xb4
	ataIdentify        = 0xec
	ataSetPassword     = 0xf1
	ataUnlock          = 0xf2
	ataErasePrepare    = 0xf3
	ataEraseUnit       = 0xf4
	ataDisablePassword = 0xf6
)

// ataCommand is one ATA command; data goes in or out by direction.
type ataCommand struct {
	command byte
	feature uint16
	count   uint16
	lba     uint64
	out     bool
	answers bool // its registers are wanted
	timeout time.Duration
}

// registers are what an ATA command ends with.
type registers struct {
	failed byte // the error register
	status byte
	count  uint16
	lba    uint64
}

// parseRegisters reads an ATA Status Return descriptor.
func parseRegisters(d []byte) *registers {
	r := &registers{failed: d[3], status: d[13], count: uint16(d[5]), lba: uint64(d[7]) | uint64(d[9])<<8 | uint64(d[11])<<16}
	if d[2]&1 != 0 { // the upper halves are there
		r.count |= uint16(d[4]) << 8
		r.lba |= uint64(d[6])<<24 | uint64(d[8])<<32 | uint64(d[10])<<40
	}
	return r
}

// passThrough is ATA PASS-THROUGH (16) for the command.
func passThrough(c ataCommand, blocks int) scsiCommand {
	const noData, pioIn, pioOut, extended, wantRegisters, fromDevice, inBlocks, byCount = 3 << 1, 4 << 1, 5 << 1, 1, 0x20, 0x08, 0x04, 0x02
	protocol, flags := byte(noData), byte(0)
	switch {
	case blocks > 0 && c.out:
		protocol, flags = pioOut, inBlocks|byCount
	case blocks > 0:
		protocol, flags = pioIn, fromDevice|inBlocks|byCount
	}
	switch c.command {
	case ataNativeMax, ataGetNativeMax, ataSanitize: // of 48 bits
		protocol |= extended
	}
	if c.answers {
		flags |= wantRegisters
	}
	if blocks > 0 {
		c.count = uint16(blocks)
	}
	const lbaMode = 0x40
	lba := func(n int) byte { return byte(c.lba >> (8 * n)) }
	return scsiCommand{out: c.out, timeout: c.timeout, cdb: []byte{
		0x85, protocol, flags, byte(c.feature >> 8), byte(c.feature), byte(c.count >> 8), byte(c.count),
		lba(3), lba(0), lba(4), lba(1), lba(5), lba(2), lbaMode, c.command, 0,
	}}
}

// ata sends a command. What the drive refuses is an error that says so.
func (e *eraser) ata(c ataCommand, data []byte) (registers, error) {
	const block, failed, aborted = 512, 0x21, 0x04 // device fault or error
	if c.timeout == 0 {
		c.timeout = brief
	}
	answer, err := e.commands.scsi(passThrough(c, len(data)/block), data)
	if err != nil {
		return registers{}, err
	}
	s, _ := parseSense(answer.sense)
	switch r := s.registers; {
	case r != nil && r.status&failed != 0 && r.failed&aborted != 0:
		return *r, fmt.Errorf("the drive refuses command %#02x", c.command)
	case r != nil && r.status&failed != 0:
		return *r, fmt.Errorf("command %#02x ends with status %#02x, error %#02x", c.command, r.status, r.failed)
	case answer.check() != nil:
		return registers{}, fmt.Errorf("command %#02x: %w", c.command, answer.check())
	case r != nil:
		return *r, nil
	case c.answers:
		return registers{}, fmt.Errorf("command %#02x: the controller does not pass on what the drive answers", c.command)
	}
	return registers{}, nil
}

func (e *eraser) ataIdentity() (ataIdentity, error) {
	b := make([]byte, 512)
	_, err := e.ata(ataCommand{command: ataIdentify}, b)
	return parseATA(b), err
}

// hiddenBytes is how much of the disk's end no read or write reaches, and a setting of
// the firmware, or of an owner's OS, brings back. unknown is of a drive that knows such
// areas, and whose answer does not get here.
func (e *eraser) hiddenBytes(id ataIdentity) (hidden core.Bytes, unknown string) {
	const readNative, getNative = byte(ataNativeMax), byte(ataGetNativeMax)
	command := getNative
	if id.hpa {
		command = readNative
	}
	r, err := e.ata(ataCommand{command: command, answers: true}, nil)
	switch {
	case err != nil && id.hpa:
		return 0, "whether a host protected area hides a part of it is not known: " + err.Error()
	case err != nil || id.sectors == 0:
		return 0, "" // a drive without such a thing
	}
	return core.Bytes(max(0, int64(r.lba)+1-id.sectors)) * core.Bytes(e.facts.sector), ""
}

// sanitizeATA starts a sanitize and waits for its end. Whether the controller passes on
// how far it is must be known before.
func (e *eraser) sanitizeATA(ctx context.Context, c ataCommand) error {
	if _, err := e.ata(statusOfSanitize(0), nil); err != nil {
		return err
	}
	if _, err := e.ata(c, nil); err != nil {
		return err
	}
	return e.awaitATA(ctx)
}

// statusOfSanitize is SANITIZE STATUS EXT, which is feature 0.
func statusOfSanitize(count uint16) ataCommand {
	return ataCommand{command: ataSanitize, count: count, answers: true}
}

// awaitATA returns when no sanitize is under way, with an error where
// the last one failed.
func (e *eraser) awaitATA(ctx context.Context) error {
	const clearFailure = 1
	const succeeded, underWay, frozen = 1 << 15, 1 << 14, 1 << 13
	for {
		r, err := e.ata(statusOfSanitize(0), nil)
		switch {
		case err != nil: // that is how it tells of a failure
			_, left := e.ata(statusOfSanitize(clearFailure), nil)
			return errors.Join(err, left)
		case r.count&underWay != 0:
			if err := e.tellAndPause(ctx, int(r.lba&0xffff)); err != nil {
				return err
			}
		case r.count&frozen != 0:
			return errors.New("the firmware froze it")
		case r.count&succeeded == 0:
			return errors.New("the drive does not say that it succeeded")
		default:
			return nil
		}
	}
}

// password locks a drive while it erases itself: the security erase demands one. It
// is known to every agent, so that the next can open what a power cut left locked.
const password = "metalpool erases this disk"

// withPassword is the data block of the security commands, as the user.
func withPassword(enhanced bool) []byte {
	b := make([]byte, 512)
	if enhanced {
		b[0] = 2
	}
	copy(b[2:34], password)
	return b
}

// securityErase sets a password, which the erase takes away again. The drive answers
// nothing else until it has ended.
func (e *eraser) securityErase(enhanced bool) error {
	if _, err := e.ata(ataCommand{command: ataSetPassword, out: true}, withPassword(false)); err != nil {
		return fmt.Errorf("its password: %w", err)
	}
	_, err := e.ata(ataCommand{command: ataErasePrepare}, nil)
	if err == nil {
		_, err = e.ata(ataCommand{command: ataEraseUnit, out: true, timeout: long}, withPassword(enhanced))
	}
	id, asked := e.ataIdentity()
	switch {
	case err == nil && asked != nil:
		return asked
	case err == nil && !id.enabled:
		return nil
	case err == nil:
		err = errors.New("the drive is still locked by its password")
	}
	_, opened := e.ata(ataCommand{command: ataDisablePassword, out: true}, withPassword(false))
	return errors.Join(err, opened)
}

// resumeATA waits for the sanitize of an earlier boot, which goes on after a power
// cut; and opens the lock of a security erase, which does not.
func (e *eraser) resumeATA(ctx context.Context) error {
	id, _ := e.ataIdentity() // a drive that does not even answer this shows it soon enough
	if id.sanitizes() {
		if err := e.awaitATA(ctx); err != nil && ctx.Err() != nil {
			return err // else it failed, which does not matter any more
		}
	}
	if !id.locked {
		return nil
	}
	const how = "by a password that an owner or the firmware set; remove it there, or revert the drive with the PSID on its label"
	if id.frozen || id.expired {
		return errors.New("the drive is locked, and takes no password before it is powered off and on: " + how)
	}
	if _, err := e.ata(ataCommand{command: ataUnlock, out: true}, withPassword(false)); err != nil {
		return fmt.Errorf("the drive is locked %s: %w", how, err)
	}
	_, err := e.ata(ataCommand{command: ataDisablePassword, out: true}, withPassword(false))
	return err
}
