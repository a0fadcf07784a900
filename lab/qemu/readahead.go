package qemu

import (
	"io"
	"slices"
	"sync"
)

// Firmware reads a file in many small pieces, in order, and each would be a request
// over HTTP. So whole blocks are fetched, and the last few kept.
const (
	aheadBlock = 1 << 20 // bytes
	aheadKept  = 8       // blocks
)

// readAhead reads from another reader in blocks. It is safe for concurrent use.
type readAhead struct {
	from io.ReaderAt
	size int64

	mu   sync.Mutex
	kept []block // the latest use last
}

type block struct {
	at   int64
	data []byte
}

// ReadAt implements io.ReaderAt.
func (r *readAhead) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		if off >= r.size {
			return n, io.EOF
		}
		b, err := r.block(off / aheadBlock * aheadBlock)
		if err != nil {
			return n, err
		}
		part := copy(p[n:], b.data[off-b.at:])
		n, off = n+part, off+int64(part)
	}
	return n, nil
}

// block finds or fetches the block that begins there.
func (r *readAhead) block(at int64) (block, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.IndexFunc(r.kept, func(b block) bool { return b.at == at }); i >= 0 {
		b := r.kept[i]
		r.kept = append(slices.Delete(r.kept, i, i+1), b)
		return b, nil
	}
	b := block{at, make([]byte, min(aheadBlock, r.size-at))}
	if n, err := r.from.ReadAt(b.data, at); n < len(b.data) {
		return block{}, err
	}
	if len(r.kept) == aheadKept {
		r.kept = slices.Delete(r.kept, 0, 1)
	}
	r.kept = append(r.kept, b)
	return b, nil
}
