package disk

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernel is commands by ioctl.
type kernel struct{ file *os.File }

// passthruCommand is struct nvme_passthru_cmd of linux/nvme_ioctl.h.
type passthruCommand struct {
	opcode, flags              uint8
	_                          uint16
	nsid                       uint32
	cdw2, cdw3                 uint32
	metadata, addr             uint64
	metadataLength, length     uint32
	cdw10, cdw11               uint32
	cdw12, cdw13, cdw14, cdw15 uint32
	timeout                    uint32 // ms
	result                     uint32
}

// ioctlAdmin is NVME_IOCTL_ADMIN_CMD: _IOWR('N', 0x41, struct nvme_passthru_cmd).
const ioctlAdmin = 3<<30 | uint(unsafe.Sizeof(passthruCommand{}))<<16 | 'N'<<8 | 0x41

// admin implements commands. data lies on the heap, which does not move.
func (k kernel) admin(c adminCommand, data []byte) error {
	p := &passthruCommand{
		opcode: c.opcode, nsid: c.namespace, cdw10: c.dw10, cdw11: c.dw11,
		timeout: uint32(c.timeout.Milliseconds()), length: uint32(len(data)),
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	if len(data) > 0 {
		pin.Pin(&data[0])
		p.addr = uint64(uintptr(unsafe.Pointer(&data[0])))
	}
	var status uintptr
	err := control(k.file, func(fd int) error {
		r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(ioctlAdmin), uintptr(unsafe.Pointer(p)))
		status = r
		if errno != 0 {
			return errno
		}
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("NVMe command %#02x: %w", c.opcode, err)
	case status != 0:
		return nvmeError(status)
	}
	return nil
}

// sgHeader is struct sg_io_hdr of scsi/sg.h.
type sgHeader struct {
	kind, direction           int32
	cdbLength, senseSize      uint8
	_                         uint16
	length                    uint32
	data, cdb, sense          unsafe.Pointer
	timeout                   uint32 // ms
	flags                     uint32
	_                         int32
	_                         unsafe.Pointer
	status, _, _, senseLength uint8
	hostStatus, driverStatus  uint16
	residual                  int32
	duration, info            uint32
}

const (
	ioctlSG                      = 0x2285
	sgNone, sgToDevice, sgToHost = -1, -2, -3
)

var errNotSent = errors.New("the command did not reach the disk")

// scsi implements commands.
func (k kernel) scsi(c scsiCommand, data []byte) (scsiAnswer, error) {
	sense := make([]byte, 96)
	h := &sgHeader{
		kind: 'S', direction: sgNone, cdbLength: uint8(len(c.cdb)), senseSize: uint8(len(sense)),
		cdb: unsafe.Pointer(&c.cdb[0]), sense: unsafe.Pointer(&sense[0]), timeout: uint32(c.timeout.Milliseconds()),
	}
	if len(data) > 0 {
		h.direction, h.length, h.data = sgToHost, uint32(len(data)), unsafe.Pointer(&data[0])
		if c.out {
			h.direction = sgToDevice
		}
	}
	err := control(k.file, func(fd int) error { return ioctl(fd, ioctlSG, unsafe.Pointer(h)) })
	// A driver status of 8 says that there is sense.
	const hasSense = 8
	switch {
	case err != nil:
		return scsiAnswer{}, fmt.Errorf("SCSI command %#02x: %w", c.cdb[0], err)
	case h.hostStatus != 0 || h.driverStatus&^hasSense != 0:
		return scsiAnswer{}, fmt.Errorf("SCSI command %#02x: %w (host status %#x, driver status %#x)", c.cdb[0], errNotSent, h.hostStatus, h.driverStatus)
	}
	return scsiAnswer{status: h.status, sense: sense[:min(int(h.senseLength), len(sense))]}, nil
}
