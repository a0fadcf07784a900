package agent

import (
	"context"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/metalpool/metalpool/agent/aligned"
)

// Buffers bound the memory of all agents in a process together: each chunk under
// way takes one, of at most twice the chunk size.
type Buffers struct {
	slots chan struct{}
	pool  sync.Pool // so that they are given back to the system when all is quiet
}

// NewBuffers allows n chunks to be under way at once.
func NewBuffers(n int) *Buffers {
	return &Buffers{slots: make(chan struct{}, n)}
}

// buffer is the room for one chunk, and what decompresses it.
type buffer struct {
	packed  []byte
	plain   []byte
	decoder *zstd.Decoder
}

// take waits for its turn.
func (b *Buffers) take(ctx context.Context) (*buffer, error) {
	select {
	case b.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if old, ok := b.pool.Get().(*buffer); ok {
		return old, nil
	}
	decoder, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(32<<20),
		zstd.IgnoreChecksum(true)) // the SHA-256 of the plain chunk says more
	if err != nil {
		<-b.slots
		return nil, err
	}
	return &buffer{decoder: decoder}, nil
}

func (b *Buffers) give(buf *buffer) {
	b.pool.Put(buf)
	<-b.slots
}

// room returns n bytes of plain, whatever they hold. A disk takes them as they lie.
func (b *buffer) room(n int) []byte {
	if cap(b.plain) < n {
		b.plain = aligned.Bytes(n)
	}
	return b.plain[:n]
}
