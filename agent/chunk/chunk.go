// Package chunk turns a chunk of an image, as it arrives, into what a disk takes. It
// is apart from the agent so that what this costs can be measured by itself.
package chunk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/metalpool/metalpool/agent/aligned"
)

// ErrCorrupt is data that arrived, and is not what the manifest names.
var ErrCorrupt = errors.New("it is not what the manifest says")

// Unpacker holds the memory for one chunk at a time, and what decompresses it.
type Unpacker struct {
	plain   []byte
	decoder *zstd.Decoder
}

// NewUnpacker has no memory for a chunk yet.
func NewUnpacker() (*Unpacker, error) {
	decoder, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(32<<20),
		zstd.IgnoreChecksum(true)) // the SHA-256 of the plain chunk says more
	return &Unpacker{decoder: decoder}, err
}

// Unpack decompresses a chunk of size bytes and checks it against its SHA-256, in hex.
// What it returns lies where a disk takes it without a copy, until the next call.
func (u *Unpacker) Unpack(packed []byte, size int, digest string) ([]byte, error) {
	plain, err := u.decoder.DecodeAll(packed, u.Room(size)[:0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if len(plain) != size {
		return nil, fmt.Errorf("%w: %d bytes of %d", ErrCorrupt, len(plain), size)
	}
	want, err := hex.DecodeString(digest)
	if sum := sha256.Sum256(plain); err != nil || !bytes.Equal(sum[:], want) {
		return nil, fmt.Errorf("%w: its SHA-256 is %x, not %s", ErrCorrupt, sum, digest)
	}
	return plain, nil
}

// Stream reads what decompresses to more than fits into memory. It is used up before
// anything else is unpacked; done lets go of packed.
func (u *Unpacker) Stream(packed []byte) (plain io.Reader, done func(), err error) {
	if err := u.decoder.Reset(bytes.NewReader(packed)); err != nil {
		return nil, nil, err
	}
	return u.decoder, func() { _ = u.decoder.Reset(nil) }, nil
}

// Room returns n bytes of the memory, whatever they hold. A disk takes them as they
// lie.
func (u *Unpacker) Room(n int) []byte {
	if cap(u.plain) < n {
		u.plain = aligned.Bytes(n)
	}
	return u.plain[:n]
}
