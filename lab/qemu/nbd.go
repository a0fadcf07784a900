package qemu

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The network block device protocol: fixed newstyle negotiation, simple replies. It is
// how QEMU reads virtual media from this process, on demand, as a BMC fetches them:
// a copy in a file would be there whole before the first read, and outlive an eject.
const (
	nbdMagic       = 0x4e42444d41474943 // NBDMAGIC
	nbdOptionMagic = 0x49484156454f5054 // IHAVEOPT
	nbdReplyMagic  = 0x0003e889045565a9
	nbdRequest     = 0x25609513
	nbdSimpleReply = 0x67446698

	nbdFixedNewstyle = 1 << 0
	nbdNoZeroes      = 1 << 1

	nbdHasFlags = 1 << 0
	nbdReadOnly = 1 << 1

	nbdOptExport = 1
	nbdOptAbort  = 2
	nbdOptInfo   = 6
	nbdOptGo     = 7

	nbdAck         = 1
	nbdInfo        = 3
	nbdUnsupported = 1<<31 + 1
	nbdInfoExport  = 0

	nbdRead       = 0
	nbdDisconnect = 2
	nbdFlush      = 3

	nbdEIO    = 5
	nbdEINVAL = 22

	nbdMostOption = 4096     // bytes of one
	nbdMostRead   = 32 << 20 // bytes of one; QEMU keeps to it
)

// serveNBD answers one client until it disconnects. Reads that fail are told to the
// client as I/O errors; what makes the connection itself useless is returned.
func serveNBD(conn io.ReadWriter, image io.ReaderAt, size int64) error {
	s := &nbdServer{r: bufio.NewReader(conn), w: conn, image: image, size: size}
	ready, err := s.negotiate()
	if err == nil && ready {
		err = s.transmit()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil // a client that ends need not say so
	}
	if err != nil {
		return fmt.Errorf("serve virtual media: %w", err)
	}
	return nil
}

type nbdServer struct {
	r     *bufio.Reader
	w     io.Writer
	image io.ReaderAt
	size  int64
}

// send writes integers and bytes in network order, at once.
func (s *nbdServer) send(parts ...any) error {
	var b []byte
	for _, p := range parts {
		var err error
		if b, err = binary.Append(b, binary.BigEndian, p); err != nil {
			return err
		}
	}
	_, err := s.w.Write(b)
	return err
}

func (s *nbdServer) read(parts ...any) error {
	for _, p := range parts {
		if err := binary.Read(s.r, binary.BigEndian, p); err != nil {
			return err
		}
	}
	return nil
}

// negotiate goes through the options until the client wants to read.
func (s *nbdServer) negotiate() (ready bool, err error) {
	if err := s.send(uint64(nbdMagic), uint64(nbdOptionMagic), uint16(nbdFixedNewstyle|nbdNoZeroes)); err != nil {
		return false, err
	}
	var flags uint32
	if err := s.read(&flags); err != nil {
		return false, err
	}
	for {
		var magic uint64
		var option, length uint32
		if err := s.read(&magic, &option, &length); err != nil {
			return false, err
		}
		if magic != nbdOptionMagic || length > nbdMostOption {
			return false, fmt.Errorf("option %d of %d bytes is not understood", option, length)
		}
		if _, err := s.r.Discard(int(length)); err != nil { // the export's name: there is one
			return false, err
		}
		reply := func(kind uint32, data ...any) error {
			size := 0
			for _, d := range data {
				size += binary.Size(d)
			}
			return s.send(append([]any{uint64(nbdReplyMagic), option, kind, uint32(size)}, data...)...)
		}
		switch option {
		case nbdOptExport:
			padding := make([]byte, 124)
			if flags&nbdNoZeroes != 0 {
				padding = nil
			}
			return true, s.send(uint64(s.size), uint16(nbdHasFlags|nbdReadOnly), padding)
		case nbdOptInfo, nbdOptGo:
			err = reply(nbdInfo, uint16(nbdInfoExport), uint64(s.size), uint16(nbdHasFlags|nbdReadOnly))
			if err == nil {
				err = reply(nbdAck)
			}
			if err != nil || option == nbdOptGo {
				return true, err
			}
		case nbdOptAbort:
			return false, reply(nbdAck)
		default:
			err = reply(nbdUnsupported)
		}
		if err != nil {
			return false, err
		}
	}
}

func (s *nbdServer) transmit() error {
	for {
		var magic, length uint32
		var flags, command uint16
		var cookie, offset uint64
		if err := s.read(&magic, &flags, &command, &cookie, &offset, &length); err != nil {
			return err
		}
		if magic != nbdRequest {
			return errors.New("a request has the wrong magic number")
		}
		failed, data := uint32(0), []byte(nil)
		switch {
		case command == nbdDisconnect:
			return nil
		case command == nbdFlush: // nothing is ever written
		case command != nbdRead:
			// What it would write follows it, and the client was told not to.
			return fmt.Errorf("command %d to a read-only device", command)
		case length > nbdMostRead || offset > uint64(s.size) || uint64(length) > uint64(s.size)-offset:
			failed = nbdEINVAL
		default:
			data = make([]byte, length)
			if n, err := s.image.ReadAt(data, int64(offset)); n < len(data) && err != nil {
				failed, data = nbdEIO, nil
			}
		}
		if err := s.send(uint32(nbdSimpleReply), failed, cookie, data); err != nil {
			return err
		}
	}
}
