package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/metalpool/metalpool/core"
)

// Opcodes of admin commands, and the namespace that means all (NVMe
// Base Specification 2.0).
const (
	nvmeGetLog   = 0x02
	nvmeIdentify = 0x06
	nvmeFormat   = 0x80
	nvmeSanitize = 0x84

	everyNamespace = 0xffffffff
)

// nvmeController is what Identify Controller tells of erasing.
type nvmeController struct {
	cryptoSanitize, blockSanitize, overwriteSanitize bool // SANICAP
	format, manages                                  bool // OACS: Format NVM, Namespace Management
	erasesAll, cryptoFormat                          bool // FNA: secure erase reaches all namespaces; its crypto kind
}

func parseController(b []byte) nvmeController {
	const atOACS, atSANICAP, atFNA, end = 256, 328, 524, 525
	if len(b) < end {
		return nvmeController{}
	}
	oacs, sanicap, fna := binary.LittleEndian.Uint16(b[atOACS:]), binary.LittleEndian.Uint32(b[atSANICAP:]), b[atFNA]
	return nvmeController{
		cryptoSanitize: sanicap&1 != 0, blockSanitize: sanicap&2 != 0, overwriteSanitize: sanicap&4 != 0,
		format: oacs&2 != 0, manages: oacs&8 != 0,
		// Bit 0 is another thing: a format reaches all, and its secure erase one of them.
		erasesAll: fna&2 != 0, cryptoFormat: fna&4 != 0,
	}
}

func (c nvmeController) sanitizes() bool {
	return c.cryptoSanitize || c.blockSanitize || c.overwriteSanitize
}

// formatOf is the part of Format NVM's double word 10 that keeps a namespace's sectors
// and protection as they are, from Identify Namespace.
func formatOf(b []byte) uint32 {
	const atFLBAS, atDPS, end = 26, 29, 30
	if len(b) < end {
		return 0
	}
	flbas, dps := uint32(b[atFLBAS]), uint32(b[atDPS])
	dw := flbas & 0x0f         // the format's index
	dw |= flbas >> 5 & 3 << 12 // and its upper bits
	dw |= flbas >> 4 & 1 << 4  // metadata with the data, or apart
	dw |= dps & 7 << 5         // kind of protection
	dw |= dps >> 3 & 1 << 8    // and its place
	return dw
}

// sanitizeAction is double word 10's lowest three bits.
type sanitizeAction uint32

const (
	leaveFailure      sanitizeAction = 1
	blockSanitize     sanitizeAction = 2
	overwriteSanitize sanitizeAction = 3
	cryptoSanitize    sanitizeAction = 4
)

// eraseSetting is Format NVM's SES.
type eraseSetting uint32

const (
	userDataErase eraseSetting = 1
	cryptoErase   eraseSetting = 2
)

// nvmeMethods are what a controller can do, the most thorough first; of those that
// purge, overwriting wears the drive and takes hours, so it comes last. Where not all
// namespaces can be got at, only what takes the whole drive is left.
func nvmeMethods(c nvmeController, whole bool) []method {
	var list []method
	add := func(can bool, m method) {
		if can {
			list = append(list, m)
		}
	}
	add(c.cryptoSanitize, sanitizeBy("NVMe sanitize (crypto erase)", cryptoSanitize))
	add(c.blockSanitize, sanitizeBy("NVMe sanitize (block erase)", blockSanitize))
	add(c.format && c.cryptoFormat && !whole, formatBy("NVMe format (crypto erase)", core.Purge, cryptoErase, c))
	add(c.overwriteSanitize, sanitizeBy("NVMe sanitize (overwrite)", overwriteSanitize))
	add(c.format && !whole, formatBy("NVMe format (user data erase)", core.Clear, userDataErase, c))
	return list
}

func sanitizeBy(name string, action sanitizeAction) method {
	return method{name: name, class: core.Purge, shared: true, run: func(ctx context.Context, e *eraser) error {
		return e.sanitizeNVMe(ctx, action)
	}}
}

func formatBy(name string, class core.EraseClass, setting eraseSetting, c nvmeController) method {
	return method{name: name, class: class, shared: c.erasesAll, run: func(_ context.Context, e *eraser) error {
		return e.formatNVMe(setting)
	}}
}

func (e *eraser) identify(namespace, structure uint32) ([]byte, error) {
	b := make([]byte, 4096)
	err := e.commands.admin(adminCommand{opcode: nvmeIdentify, namespace: namespace, dw10: structure, timeout: brief}, b)
	return b, err
}

// The structures of Identify that are asked for.
const (
	ofNamespace, ofController, activeNamespaces, allocatedNamespaces = 0x00, 0x01, 0x02, 0x10
)

func (e *eraser) controller() (nvmeController, error) {
	b, err := e.identify(0, ofController)
	return parseController(b), err
}

// formatNVMe erases this namespace, or all where the controller knows no less.
func (e *eraser) formatNVMe(setting eraseSetting) error {
	own := uint32(e.facts.namespace)
	b, err := e.identify(own, ofNamespace)
	if err != nil {
		return err
	}
	return e.commands.admin(adminCommand{opcode: nvmeFormat, namespace: own, dw10: formatOf(b) | uint32(setting)<<9, timeout: long}, nil)
}

// allAttached fails where a namespace is attached to no controller. No format and no
// write reaches that: its data would stay, and be there again for the next owner, who
// attaches it with one command.
func (e *eraser) allAttached() error {
	active, err := e.identify(0, activeNamespaces)
	if err != nil {
		return fmt.Errorf("the drive does not say which namespaces are attached: %w", err)
	}
	allocated, err := e.identify(0, allocatedNamespaces)
	if err != nil {
		return fmt.Errorf("the drive does not say which namespaces it has: %w", err)
	}
	seen := namespaces(active)
	for _, n := range namespaces(allocated) {
		if !slices.Contains(seen, n) {
			return fmt.Errorf("namespace %d is not attached to this controller and would stay as it is; attach or delete it", n)
		}
	}
	return nil
}

// namespaces reads a list of Identify, which ends with a zero.
func namespaces(b []byte) (list []uint32) {
	for ; len(b) >= 4; b = b[4:] {
		n := binary.LittleEndian.Uint32(b)
		if n == 0 {
			break
		}
		list = append(list, n)
	}
	return list
}

// sanitizeLog is the controller's account of its last sanitize.
type sanitizeLog struct {
	done   int // of 65536
	state  int
	action sanitizeAction
}

const (
	neverSanitized, sanitized, isSanitizing, hasFailed, sanitizedDeallocated = 0, 1, 2, 3, 4
)

func parseSanitizeLog(b []byte) sanitizeLog {
	if len(b) < 8 {
		return sanitizeLog{}
	}
	return sanitizeLog{
		done:   int(binary.LittleEndian.Uint16(b)),
		state:  int(binary.LittleEndian.Uint16(b[2:]) & 7),
		action: sanitizeAction(binary.LittleEndian.Uint32(b[4:]) & 7),
	}
}

func (e *eraser) sanitizeLog() (sanitizeLog, error) {
	const id, size = 0x81, 512
	b := make([]byte, size)
	err := e.commands.admin(adminCommand{opcode: nvmeGetLog, namespace: everyNamespace, dw10: id | (size/4-1)<<16, timeout: brief}, b)
	return parseSanitizeLog(b), err
}

// sanitizeNVMe allows itself to leave a failure behind (AUSE): a drive that could not
// be sanitized would else answer nothing until it is.
func (e *eraser) sanitizeNVMe(ctx context.Context, action sanitizeAction) error {
	const allowExit, onePass = 1 << 3, 1 << 4
	dw := uint32(action) | allowExit
	if action == overwriteSanitize {
		dw |= onePass
	}
	if err := e.sendSanitize(dw); err != nil {
		return err
	}
	log, err := e.awaitNVMe(ctx)
	switch {
	case err != nil:
		return err
	case log.state == hasFailed:
		return errors.Join(errors.New("the drive says that it failed"), e.sendSanitize(uint32(leaveFailure)))
	case log.state != sanitized && log.state != sanitizedDeallocated || log.action != action:
		return fmt.Errorf("the drive's log tells of another one: state %d of action %d", log.state, log.action)
	}
	return nil
}

func (e *eraser) sendSanitize(dw10 uint32) error {
	return e.commands.admin(adminCommand{opcode: nvmeSanitize, dw10: dw10, timeout: brief}, nil)
}

// awaitNVMe returns the log once no sanitize is under way.
func (e *eraser) awaitNVMe(ctx context.Context) (sanitizeLog, error) {
	for {
		log, err := e.sanitizeLog()
		if err != nil || log.state != isSanitizing {
			return log, err
		}
		if err := e.tellAndPause(ctx, log.done); err != nil {
			return log, err
		}
	}
}

// resumeNVMe waits for a sanitize that an earlier boot began: it goes on through resets
// and power cuts, and no read or write is answered before its end.
func (e *eraser) resumeNVMe(ctx context.Context) error {
	c, _ := e.controller() // a drive that does not even answer this shows it soon enough
	if !c.sanitizes() {
		return nil
	}
	log, err := e.awaitNVMe(ctx)
	if err == nil && log.state == hasFailed {
		err = e.sendSanitize(uint32(leaveFailure))
	}
	return err
}
