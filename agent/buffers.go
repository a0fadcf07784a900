package agent

import (
	"context"
	"sync"

	"github.com/metalpool/metalpool/agent/chunk"
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

// buffer is the room for one chunk.
type buffer struct {
	packed []byte
	*chunk.Unpacker
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
	unpacker, err := chunk.NewUnpacker()
	if err != nil {
		<-b.slots
		return nil, err
	}
	return &buffer{Unpacker: unpacker}, nil
}

func (b *Buffers) give(buf *buffer) {
	b.pool.Put(buf)
	<-b.slots
}
