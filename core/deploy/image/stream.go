package image

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	upstream "github.com/ulikunitz/xz"

	"github.com/metalpool/metalpool/core"
)

// stream is a raw disk that is unpacked on the way.
type stream struct {
	r           io.Reader
	compression string
	source      *counted
}

func (s *stream) size() core.Bytes        { return 0 }
func (s *stream) read(_ int64) core.Bytes { return core.Bytes(s.source.n) }

// next is no io.ReadFull: that one answers a cut stream and a short last chunk alike.
func (s *stream) next(p []byte, _ int64) (n int, err error) {
	for n < len(p) {
		m, err := s.r.Read(p[n:])
		n += m
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, unpackError(s.compression, err)
		}
	}
	return n, nil
}

func (s *stream) load(p []byte, _ int64) (bool, error) { return allZero(p), nil }

// maxWindow bounds the memory that unpacking takes; zstd --long=31 would ask for
// two GiB.
const maxWindow = 512 << 20

// unpack takes a compression off.
func unpack(compression string, r io.Reader) (io.Reader, error) {
	switch compression {
	case gz:
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, unpackError(compression, err)
		}
		return z, nil
	case zst:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, unpackError(compression, err)
		}
		return z, nil
	}
	z, err := upstream.NewReader(r)
	if err != nil {
		return nil, unpackError(compression, err)
	}
	return z, nil
}

// unpackError tells a file that was cut from one that was changed; what the file
// system or a context says is left as it is.
func unpackError(compression string, err error) error {
	switch {
	case errors.As(err, new(*fault)):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return tooShort("its %s data ends too early", compression)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return invalid("compress it again without --long", errors.New("its zst data needs more than 512 MiB of memory to be unpacked"))
	case errors.As(err, new(*readError)):
		return err
	}
	return damaged("its %s data is damaged: %w", compression, err)
}

var zeros [chunkSize]byte

func allZero(p []byte) bool { return bytes.Equal(p, zeros[:len(p)]) }
