//go:build bench

package cost

import (
	"bytes"
	"crypto/sha256"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/bench"
	"github.com/metalpool/metalpool/lab"
)

// layImage is the processor time that the lab's image takes all by itself: its chunks
// are unpacked, checked and written to a disk, without anybody who asks for it.
func layImage(t *testing.T) time.Duration {
	t.Helper()
	const chunk = 4 << 20
	var image bytes.Buffer
	try(t, lab.WriteImage(&image))
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	try(t, err)
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	try(t, err)
	defer decoder.Close()
	packed := map[int64][]byte{}
	sums := map[int64][sha256.Size]byte{}
	for off := 0; off < image.Len(); off += chunk {
		if plain := image.Bytes()[off : off+chunk]; !bytes.Equal(plain, make([]byte, chunk)) {
			packed[int64(off)], sums[int64(off)] = encoder.EncodeAll(plain, nil), sha256.Sum256(plain)
		}
	}
	const rounds = 9
	var took []float64
	for range rounds {
		disk, err := filedisk.Open(filepath.Join(t.TempDir(), "disk"), core.Disk{Serial: "S", Size: core.GiB}, filedisk.Faults{})
		try(t, err)
		plain := make([]byte, 0, chunk)
		began := ownCPU(t)
		for off, p := range packed {
			plain, err = decoder.DecodeAll(p, plain[:0])
			try(t, err)
			if sha256.Sum256(plain) != sums[off] {
				t.Fatal("the image does not survive being packed")
			}
			_, err = disk.WriteAt(plain, off)
			try(t, err)
		}
		took = append(took, (ownCPU(t) - began).Seconds())
		try(t, disk.Sync(), disk.Close())
	}
	return time.Duration(bench.Median(took) * float64(time.Second))
}
