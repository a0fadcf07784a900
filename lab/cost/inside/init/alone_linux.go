package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/agent/aligned"
	"github.com/metalpool/metalpool/agent/chunk"
	"github.com/metalpool/metalpool/lab/cost/inside"
)

// sample is the chunks that stand for an image.
type sample struct {
	packed  [][]byte
	digests []string
	size    int // bytes of each chunk
	chunks  int // of the image
}

// load fetches a sample.
func load(ctx context.Context, o inside.Order) (sample, error) {
	s := sample{size: int(o.Manifest.ChunkSize), chunks: len(o.Manifest.Chunks)}
	for _, n := range o.Sample {
		packed, err := fetch(ctx, fmt.Sprintf("%s%d", o.Source, n), nil)
		if err != nil {
			return sample{}, err
		}
		s.packed, s.digests = append(s.packed, packed), append(s.digests, o.Manifest.Chunks[n])
	}
	return s, nil
}

// measure takes the parts of a write one after the other.
func measure(ctx context.Context, o inside.Order, s sample) (took inside.Took, err error) {
	if took.Write, err = s.write(o.Disk); err != nil {
		return took, err
	}
	if took.Unpack, err = s.unpack(); err != nil {
		return took, err
	}
	took.Fetch, err = fetchAll(ctx, o)
	return took, err
}

// fetchAll lets everything arrive, and drops it.
func fetchAll(ctx context.Context, o inside.Order) (took time.Duration, err error) {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range connections {
		group.Go(func() error {
			memory := make([]byte, 0, o.Manifest.ChunkSize)
			for n := next.Add(1) - 1; n < int64(len(o.Manifest.Chunks)); n = next.Add(1) - 1 {
				if o.Manifest.Chunks[n] == "" {
					continue
				}
				if _, err := fetch(ctx, fmt.Sprintf("%s%d", o.Source, n), memory); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return time.Since(began), err
}

// connections is how many the agent has to an engine on a machine of two processors.
const connections = 4

var client = http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}}

// fetch reads a chunk, into memory as far as there is enough of it.
func fetch(ctx context.Context, url string, memory []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", url, answer.Status)
	}
	into := bytes.NewBuffer(memory)
	_, err = into.ReadFrom(answer.Body)
	return into.Bytes(), err
}

// write does as dd does with bs=4M, oflag=direct and conv=fsync.
func (s sample) write(path string) (took time.Duration, err error) {
	u, err := chunk.NewUnpacker()
	if err != nil {
		return 0, err
	}
	var plain [][]byte
	for i, packed := range s.packed {
		p, err := u.Unpack(packed, s.size, s.digests[i])
		if err != nil {
			return 0, err
		}
		plain = append(plain, aligned.Bytes(s.size))
		copy(plain[i], p)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	began := time.Now()
	for n := range s.chunks {
		if _, err := f.WriteAt(plain[n%len(plain)], int64(n)*int64(s.size)); err != nil {
			return 0, err
		}
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

// unpack decompresses and checks as the agent does, as many chunks as the image has.
func (s sample) unpack() (took time.Duration, err error) {
	var next atomic.Int64
	var group errgroup.Group
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			u, err := chunk.NewUnpacker()
			if err != nil {
				return err
			}
			for n := next.Add(1) - 1; n < int64(s.chunks); n = next.Add(1) - 1 {
				i := int(n) % len(s.packed)
				if _, err := u.Unpack(s.packed[i], s.size, s.digests[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return time.Since(began), err
}
