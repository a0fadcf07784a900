package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/metalpool/metalpool/agent/aligned"
	"github.com/metalpool/metalpool/agent/disk"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
	"github.com/metalpool/metalpool/internal/loop"
)

// laid is an image of that many chunks of 4 MiB, served as an engine does. Its data
// compresses to a half, as programs do.
func laid(b *testing.B, chunks int) (m core.Manifest, plain []byte, packed [][]byte) {
	b.Helper()
	const chunk = 4 << 20
	random := rand.New(rand.NewPCG(1, 2))
	plain = aligned.Bytes(chunks * chunk)
	for i := range plain {
		plain[i] = byte(random.Uint32N(16)) * 16
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		b.Fatal(err)
	}
	m = core.Manifest{Size: core.Bytes(len(plain)), ChunkSize: chunk}
	for n := range chunks {
		part := plain[n*chunk : (n+1)*chunk]
		sum := sha256.Sum256(part)
		m.Chunks = append(m.Chunks, hex.EncodeToString(sum[:]))
		packed = append(packed, encoder.EncodeAll(part, nil))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
		w.Header().Set("Content-Length", strconv.Itoa(len(packed[n])))
		_, _ = w.Write(packed[n])
	}))
	b.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	m.Port, err = strconv.Atoi(port)
	if err != nil {
		b.Fatal(err)
	}
	m.Path = "/image"
	return m, plain, packed
}

// BenchmarkLayDown compares a write with its two floors: the plain bytes written as dd
// does, and decoding and checking them alone, on as many cores.
func BenchmarkLayDown(b *testing.B) {
	m, plain, packed := laid(b, 64)
	device, err := disk.Open("/", loop.Attach(b, int64(m.Size), 512))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = device.Close() }()
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(m.Size))
		for b.Loop() {
			s := newSource(&wire.WriteOrder{WriteOrder: core.WriteOrder{Manifest: m}}, "127.0.0.1")
			w := &write{disk: device, source: s, manifest: m, buffers: NewBuffers(fetchers), ears: newEars(0), progress: func(core.Bytes, core.Bytes) {}}
			if err := w.run(b.Context()); err != nil {
				b.Fatal(err)
			}
			s.close()
		}
	})
	b.Run("dd", func(b *testing.B) {
		b.SetBytes(int64(m.Size))
		for b.Loop() {
			for off := 0; off < len(plain); off += 4 << 20 {
				if _, err := device.WriteAt(plain[off:off+4<<20], int64(off)); err != nil {
					b.Fatal(err)
				}
			}
			if err := device.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify and decode", func(b *testing.B) {
		b.SetBytes(int64(m.Size))
		for b.Loop() {
			var group errgroup.Group
			next := make(chan int, len(packed))
			for n := range packed {
				next <- n
			}
			close(next)
			for range runtime.GOMAXPROCS(0) {
				group.Go(func() error {
					buffers := NewBuffers(1)
					buf, err := buffers.take(b.Context())
					if err != nil {
						return err
					}
					for n := range next {
						if _, err := buf.Unpack(packed[n], 4<<20, m.Chunks[n]); err != nil {
							return err
						}
					}
					return nil
				})
			}
			if err := group.Wait(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
