package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/metalpool/metalpool/core"
)

// chunkSize is what agents fetch and check at once, in bytes: large enough for the
// disk and the network, small enough that a zero one is often found. Clusters of
// qcow2, 2 MiB at most, do not cross it.
const chunkSize = 4 << 20

// chunk is a piece of the disk, and where the pack has it.
type chunk struct {
	// Sum is the SHA-256 of the chunk, hex; empty where it is all zeros, and the
	// pack has nothing of it.
	Sum    string `json:"sum,omitempty"`
	Offset int64  `json:"offset,omitempty"`
	Length int64  `json:"length,omitempty"`
	// CRC is of the pack's bytes, to find damage faster than Sum could.
	CRC uint32 `json:"crc,omitempty"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// piece is a chunk on its way through the processors, and the memory for it.
type piece struct {
	buffer []byte // of chunkSize
	plain  []byte // the part of buffer that the chunk takes
	packed []byte
	off    int64
	sum    string
	done   chan struct{} // closed when sum and packed are set
}

// maxWorkers bounds the memory: each holds about 12 MiB.
const maxWorkers = 8

// packChunks writes a disk's chunks to w, and returns them with the disk's size.
// moved is told how much of the file was read. The first chunk must have a
// partition table, and the disk must be as large as that says.
func packChunks(ctx context.Context, c content, w io.Writer, moved func(core.Bytes)) (chunks []chunk, size core.Bytes, err error) {
	workers := min(runtime.GOMAXPROCS(0), maxWorkers)
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(workers), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(chunkSize))
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = encoder.Close() }()

	pool := make(chan *piece, 2*workers)
	for range cap(pool) {
		pool <- &piece{} // its memory is made when it is needed: small images need little
	}
	work, ordered := make(chan *piece), make(chan *piece, cap(pool))
	group, ctx := errgroup.WithContext(ctx)

	group.Go(func() error {
		defer close(work)
		defer close(ordered)
		size, err = cut(ctx, c, pool, moved, func(p *piece) error {
			ordered <- p // has room for every piece that the pool has
			select {
			case work <- p:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		return err
	})
	for range workers {
		group.Go(func() error {
			for p := range work {
				if err := p.pack(c, encoder); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		at := int64(0)
		for p := range ordered {
			select {
			case <-p.done:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			one := chunk{Sum: p.sum}
			if p.sum != "" {
				one.Offset, one.Length, one.CRC = at, int64(len(p.packed)), crc32.Checksum(p.packed, castagnoli)
				if _, err := w.Write(p.packed); err != nil {
					return err
				}
				at += one.Length
			}
			chunks = append(chunks, one)
			pool <- p
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, 0, err
	}
	return chunks, size, nil
}

// cut parts a disk into pieces, and returns its size.
func cut(ctx context.Context, c content, pool chan *piece, moved func(core.Bytes), send func(*piece) error) (core.Bytes, error) {
	var found table
	for off := int64(0); ; {
		var p *piece
		select {
		case p = <-pool:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		if p.buffer == nil {
			p.buffer = make([]byte, chunkSize)
		}
		n, err := c.next(p.buffer, off)
		if err != nil {
			return 0, err
		}
		p.plain, p.off, p.sum, p.done = p.buffer[:n], off, "", make(chan struct{})
		if off == 0 {
			if found, err = firstTable(c, p.plain); err != nil {
				return 0, err
			}
		}
		if n == 0 {
			return core.Bytes(off), found.fits(core.Bytes(off))
		}
		off += int64(n)
		if core.Bytes(off) > maxSize {
			return 0, invalid("", fmt.Errorf("a disk of more than %s", maxSize))
		}
		if err := send(p); err != nil {
			return 0, err
		}
		moved(c.read(off))
	}
}

// firstTable looks at the disk's start before hours are spent on the rest.
func firstTable(c content, start []byte) (table, error) {
	if zero, err := c.load(start, 0); err != nil {
		return table{}, err
	} else if zero {
		clear(start)
	}
	t, err := readTable(start)
	if err == nil && c.size() > 0 {
		err = t.fits(c.size())
	}
	return t, err
}

// pack loads a piece, and sets what is kept of it.
func (p *piece) pack(c content, encoder *zstd.Encoder) error {
	defer close(p.done)
	zero, err := c.load(p.plain, p.off)
	if err != nil || zero {
		return err
	}
	sum := sha256.Sum256(p.plain)
	p.sum = hex.EncodeToString(sum[:])
	p.packed = encoder.EncodeAll(p.plain, p.packed[:0])
	return nil
}
