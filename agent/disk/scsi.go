package disk

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/metalpool/metalpool/core"
)

// Operation codes (SPC-6, SBC-5), and the service actions of SANITIZE.
const (
	scsiRequestSense = 0x03
	scsiSanitize     = 0x48
	scsiMaintenance  = 0xa3

	sanitizeOverwrite = 0x01
	sanitizeBlock     = 0x02
	sanitizeCrypto    = 0x03
	sanitizeLeave     = 0x1f
)

// support is what REPORT SUPPORTED OPERATION CODES says of a command. A disk that
// does not know that command may still know SANITIZE.
type support byte

const (
	mayBe       support = 0
	isNot       support = 1
	isSupported support = 3
)

// scsiMethods are the rungs of a SAS disk that it does not rule out.
func scsiMethods(knows func(action byte) support) []method {
	var list []method
	for _, m := range []struct {
		name   string
		action byte
	}{
		{"SCSI sanitize (crypto erase)", sanitizeCrypto},
		{"SCSI sanitize (block erase)", sanitizeBlock},
		{"SCSI sanitize (overwrite)", sanitizeOverwrite},
	} {
		if knows(m.action) != isNot {
			list = append(list, method{name: m.name, class: core.Purge, run: func(ctx context.Context, e *eraser) error {
				return e.sanitizeSCSI(ctx, m.action)
			}})
		}
	}
	return list
}

// knows asks whether the disk has that SANITIZE.
func (e *eraser) knows(action byte) support {
	const reportCodes, oneWithAction = 0x0c, 3
	answer := make([]byte, 32)
	cdb := []byte{scsiMaintenance, reportCodes, oneWithAction, scsiSanitize, 0, action, 0, 0, 0, byte(len(answer)), 0, 0}
	if err := e.send(scsiCommand{cdb: cdb, timeout: brief}, answer); err != nil {
		return mayBe
	}
	return support(answer[1] & 7)
}

func (e *eraser) send(c scsiCommand, data []byte) error {
	answer, err := e.commands.scsi(c, data)
	if err != nil {
		return err
	}
	return answer.check()
}

// sanitizeSCSI returns at once (IMMED) and asks how far it is; it allows itself to
// leave a failure behind (AUSE), after which the disk would else refuse everything.
func (e *eraser) sanitizeSCSI(ctx context.Context, action byte) error {
	const immediately, allowExit = 0x80, 0x20
	cdb := make([]byte, 10)
	cdb[0], cdb[1] = scsiSanitize, immediately|allowExit|action
	var list []byte
	if action == sanitizeOverwrite {
		const once = 1
		list = []byte{once, 0, 0, 4, 0, 0, 0, 0} // a pattern of four zeros
		binary.BigEndian.PutUint16(cdb[7:], uint16(len(list)))
	}
	err := e.send(scsiCommand{cdb: cdb, out: true, timeout: brief}, list)
	if s := (sense{}); errors.As(err, &s) && s.key == illegalRequest && s.code == invalidCommand {
		return errUnknown
	}
	if err != nil {
		return err
	}
	return e.awaitSCSI(ctx)
}

// awaitSCSI returns when no sanitize is under way, with an error where it failed, or
// where the disk tells of something else: only a disk that has nothing to say is done.
func (e *eraser) awaitSCSI(ctx context.Context) error {
	const patience = 30 // looks at a disk that is on its way back from a reset
	for unsettled := 0; ; {
		s, err := e.requestSense()
		switch {
		case err != nil:
			return err
		case s.code == sanitizing:
			if err := e.tellAndPause(ctx, s.progress); err != nil {
				return err
			}
		case s.code == sanitizeFailed:
			leave := make([]byte, 10)
			leave[0], leave[1] = scsiSanitize, sanitizeLeave
			return errors.Join(s, e.send(scsiCommand{cdb: leave, timeout: brief}, nil))
		case (s.key == unitAttention || s.code == becomingReady) && unsettled < patience:
			unsettled++ // what the disk is at comes after it
			if err := e.pause(ctx, pollEvery); err != nil {
				return err
			}
		case s.key != noSense && s.key != recovered:
			return s
		default:
			return nil
		}
	}
}

var errMute = errors.New("the disk does not say what it is at")

// requestSense asks the disk what it is at. The answer to that is the sense itself.
func (e *eraser) requestSense() (sense, error) {
	b := make([]byte, 96)
	cdb := []byte{scsiRequestSense, 0, 0, 0, byte(len(b)), 0}
	if err := e.send(scsiCommand{cdb: cdb, timeout: brief}, b); err != nil {
		return sense{}, err
	}
	s, ok := parseSense(b)
	if !ok {
		return sense{}, errMute
	}
	return s, nil
}

// resumeSCSI waits for the sanitize of an earlier boot, which goes on through resets
// and power cuts. Whether that one failed does not matter any more, nor what else the
// disk says: a controller's volume may know none of this.
func (e *eraser) resumeSCSI(ctx context.Context) error {
	err := e.awaitSCSI(ctx)
	if s := (sense{}); (errors.As(err, &s) || errors.Is(err, errMute)) && ctx.Err() == nil {
		return nil
	}
	return err
}
