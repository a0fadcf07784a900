package qemu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
)

// client is the other side of the protocol, as its specification has it.
type client struct {
	t    *testing.T
	conn net.Conn
	done chan error // of the server
}

func dialNBD(t *testing.T, image io.ReaderAt, size int64) *client {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- errors.Join(serveNBD(theirs, image, size), theirs.Close()) }()
	t.Cleanup(func() { _ = ours.Close() })
	return greet(t, ours, done)
}

// greet begins the conversation.
func greet(t *testing.T, conn net.Conn, done chan error) *client {
	t.Helper()
	c := &client{t, conn, done}
	var magic, option uint64
	var flags uint16
	c.read(&magic, &option, &flags)
	if magic != nbdMagic || option != nbdOptionMagic || flags != 3 {
		t.Fatalf("the server says %x %x %x", magic, option, flags)
	}
	c.write(uint32(3))
	return c
}

func (c *client) read(parts ...any) {
	c.t.Helper()
	for _, p := range parts {
		if err := binary.Read(c.conn, binary.BigEndian, p); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *client) write(parts ...any) {
	c.t.Helper()
	var b []byte
	for _, p := range parts {
		b, _ = binary.Append(b, binary.BigEndian, p)
	}
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// option asks for one and returns the answer's kind and data.
func (c *client) option(n uint32, data string) (kind uint32, answer []byte) {
	c.t.Helper()
	c.write(uint64(nbdOptionMagic), n, uint32(len(data)), []byte(data))
	return c.reply(n)
}

func (c *client) reply(n uint32) (kind uint32, answer []byte) {
	c.t.Helper()
	var magic uint64
	var option, length uint32
	c.read(&magic, &option, &kind, &length)
	if magic != nbdReplyMagic || option != n {
		c.t.Fatalf("a reply %x to option %d", magic, option)
	}
	answer = make([]byte, length)
	c.read(answer)
	return kind, answer
}

func (c *client) request(command uint16, offset uint64, length uint32) (failed uint32, data []byte) {
	c.t.Helper()
	c.write(uint32(nbdRequest), uint16(0), command, uint64(0xc00c1e), offset, length)
	var magic uint32
	var cookie uint64
	c.read(&magic, &failed, &cookie)
	if magic != nbdSimpleReply || cookie != 0xc00c1e {
		c.t.Fatalf("the answer begins with %x, %x", magic, cookie)
	}
	if command == nbdRead && failed == 0 {
		data = make([]byte, length)
		c.read(data)
	}
	return failed, data
}

func (c *client) ended() error {
	_ = c.conn.Close()
	return <-c.done
}

func (c *client) goOn(size int) {
	c.t.Helper()
	kind, info := c.option(nbdOptGo, "\x00\x00\x00\x00\x00\x00")
	if want := append([]byte{0, 0}, binary.BigEndian.AppendUint64(nil, uint64(size))...); kind != nbdInfo || !bytes.Equal(info, append(want, 0, 3)) {
		c.t.Fatalf("the export is %d %x", kind, info)
	}
	if kind, _ := c.reply(nbdOptGo); kind != nbdAck {
		c.t.Fatalf("no acknowledgement but %d", kind)
	}
}

// hangs is an image whose server takes a request and never answers.
type hangs struct{ asked, answer chan struct{} }

func (hangs) Size() int64 { return 4096 }

func (h hangs) ReadAt([]byte, int64) (int, error) {
	close(h.asked)
	<-h.answer
	return 0, io.ErrUnexpectedEOF
}

// Turning a machine off does not wait for whoever has its media.
func TestADiscIsOutAlsoWhereItsServerHangs(t *testing.T) {
	image := hangs{make(chan struct{}), make(chan struct{})}
	defer close(image.answer)
	d, theirs, err := newDisc("disc1", image)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	conn, err := net.FileConn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := greet(t, conn, nil)
	c.goOn(4096)
	c.write(uint32(nbdRequest), uint16(0), uint16(nbdRead), uint64(1), uint64(0), uint32(512))
	<-image.asked
	d.close()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the drive still answers: %d bytes, %v", n, err)
	}
}

var pattern = bytes.Repeat([]byte("0123456789abcdef"), 1000)

func TestNBDReads(t *testing.T) {
	c := dialNBD(t, bytes.NewReader(pattern), int64(len(pattern)))
	const structuredReplies = 8
	if kind, _ := c.option(structuredReplies, ""); kind != nbdUnsupported {
		t.Errorf("an option that is not there is answered with %x", kind)
	}
	c.goOn(len(pattern))
	for _, r := range []struct {
		offset uint64
		length uint32
		failed uint32
	}{
		{0, 512, 0}, {15_000, 1000, 0}, {uint64(len(pattern)), 0, 0},
		{15_001, 1000, nbdEINVAL}, {1 << 63, 1, nbdEINVAL}, {0, nbdMostRead + 1, nbdEINVAL}, {^uint64(0), 2, nbdEINVAL},
	} {
		failed, data := c.request(nbdRead, r.offset, r.length)
		if failed != r.failed || failed == 0 && !bytes.Equal(data, pattern[r.offset:r.offset+uint64(r.length)]) {
			t.Errorf("read %d at %d: error %d, %.20q", r.length, r.offset, failed, data)
		}
	}
	if failed, _ := c.request(nbdFlush, 0, 0); failed != 0 {
		t.Errorf("flush: %d", failed)
	}
	if err := c.ended(); err != nil {
		t.Error(err)
	}
}

func TestNBDOldExportAndDisconnect(t *testing.T) {
	c := dialNBD(t, bytes.NewReader(pattern), int64(len(pattern)))
	c.write(uint64(nbdOptionMagic), uint32(nbdOptExport), uint32(0))
	var size uint64
	var flags uint16
	c.read(&size, &flags)
	if size != uint64(len(pattern)) || flags != nbdHasFlags|nbdReadOnly {
		t.Errorf("size %d, flags %x", size, flags)
	}
	c.write(uint32(nbdRequest), uint16(0), uint16(nbdDisconnect), uint64(1), uint64(0), uint32(0))
	if err := <-c.done; err != nil {
		t.Error(err)
	}
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errors.New("ejected") }

func TestNBDTellsOfFailedReads(t *testing.T) {
	c := dialNBD(t, failing{}, 1000)
	c.goOn(1000)
	if failed, _ := c.request(nbdRead, 0, 10); failed != nbdEIO {
		t.Errorf("error %d", failed)
	}
	if failed, _ := c.request(nbdFlush, 0, 0); failed != 0 {
		t.Errorf("after it: error %d", failed)
	}
}

func TestNBDRefuses(t *testing.T) {
	for name, do := range map[string]func(c *client){
		"a write": func(c *client) {
			c.goOn(10)
			c.write(uint32(nbdRequest), uint16(0), uint16(1), uint64(1), uint64(0), uint32(1))
		},
		"garbage":           func(c *client) { c.goOn(10); c.write(make([]byte, 28)) },
		"an endless option": func(c *client) { c.write(uint64(nbdOptionMagic), uint32(nbdOptGo), uint32(1<<31)) },
		"a garbled option":  func(c *client) { c.write(uint64(1), uint32(nbdOptGo), uint32(0)) },
	} {
		c := dialNBD(t, bytes.NewReader(pattern), 10)
		do(c)
		if err := <-c.done; err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	c := dialNBD(t, bytes.NewReader(pattern), 10)
	if kind, _ := c.option(nbdOptAbort, ""); kind != nbdAck {
		t.Errorf("abort is answered with %d", kind)
	}
	if err := <-c.done; err != nil {
		t.Errorf("after an abort: %v", err)
	}
}

// counted counts the reads of a reader.
type counted struct {
	io.ReaderAt
	reads int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	return c.ReaderAt.ReadAt(p, off)
}

func TestReadAhead(t *testing.T) {
	image := make([]byte, 10*aheadBlock+12345)
	for i := range image {
		image[i] = byte(i * 7 / 5)
	}
	from := &counted{ReaderAt: bytes.NewReader(image)}
	r := &readAhead{from: from, size: int64(len(image))}
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.size))
	if err != nil || !bytes.Equal(got, image) {
		t.Fatalf("%d bytes, %v, or other ones", len(got), err)
	}
	if from.reads != 11 {
		t.Errorf("%d reads; 11 blocks", from.reads)
	}
	across := make([]byte, 5000)
	if n, err := r.ReadAt(across, 9*aheadBlock-2500); n != 5000 || err != nil || !bytes.Equal(across, image[9*aheadBlock-2500:][:5000]) {
		t.Errorf("across blocks: %d, %v", n, err)
	}
	if from.reads != 11 {
		t.Errorf("%d reads; both blocks are kept", from.reads)
	}
	if n, err := r.ReadAt(across, r.size-10); n != 10 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if _, err := (&readAhead{from: failing{}, size: 10}).ReadAt(across, 0); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a failed read: %v", err)
	}
}
