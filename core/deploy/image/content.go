package image

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/metalpool/metalpool/core"
)

// content is the disk that is in a file. Its bytes are taken in chunks, in order:
// next begins one, load ends it. Only load may be called at several at once.
type content interface {
	// size is in bytes; 0 where only the end will tell.
	size() core.Bytes
	// next says how long the chunk at off is, up to len(p): 0 behind the last. It may
	// fill p already.
	next(p []byte, off int64) (int, error)
	// load fills p with the chunk at off, of the length that next gave. Where zero is
	// true, the chunk is all zeros, and p was not touched.
	load(p []byte, off int64) (zero bool, err error)
	// read is how much of the file that takes: where the next chunk begins, for people.
	read(off int64) core.Bytes
}

// maxSize bounds the disk in an image: a few bytes can unpack to any number.
const maxSize = 4 * core.TiB

// openContent finds the disk in a file of size bytes, and says the file's format.
// scratch is a folder for what must be unpacked whole.
func openContent(ctx context.Context, f *os.File, size core.Bytes, scratch string) (content, string, error) {
	head := make([]byte, peekLen)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	format, err := detect(head[:n])
	if err != nil {
		return nil, "", err
	}
	switch format {
	case raw:
		c, err := newRaw(f, size)
		return c, raw, err
	case qcow2:
		c, err := newQcow2(f, size)
		return c, qcow2, err
	}

	source := &counted{r: io.NewSectionReader(f, 0, int64(size)), ctx: ctx}
	// xz asks for single bytes.
	unpacked, err := unpack(format, bufio.NewReaderSize(source, 256<<10))
	if err != nil {
		return nil, "", err
	}
	buffered := bufio.NewReaderSize(unpacked, 64<<10)
	head, err = buffered.Peek(peekLen)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", unpackError(format, err)
	}
	disk, err := detect(head)
	if err != nil {
		return nil, "", err
	}
	switch disk {
	case raw:
		return &stream{r: buffered, compression: format, source: source}, raw + "." + format, nil
	case qcow2:
		c, err := unpackQcow2(buffered, format, size, scratch)
		return c, qcow2 + "." + format, err
	}
	return nil, "", invalid("compress it once only", fmt.Errorf("what is in it is compressed again, as %s", disk))
}

// counted knows how far a file was read, and ends with its context.
type counted struct {
	r   io.Reader
	ctx context.Context
	n   int64
}

// readError is an error that is not what the bytes read are to blame for.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

func (c *counted) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, &readError{err}
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &readError{err}
	}
	return n, err
}
