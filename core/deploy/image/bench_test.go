package image_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/image"
)

// typicalDisk is half empty; the rest is programs, as on the disk of an OS.
func typicalDisk(b *testing.B, size int64) []byte {
	b.Helper()
	disk := partitioned(b, size)
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		b.Fatal(err)
	}
	for room := disk[1<<20 : size/2]; len(room) > 0; {
		room = room[copy(room, program):]
	}
	return disk
}

// The MB/s are of the disk.
func BenchmarkExamine(b *testing.B) {
	disk := typicalDisk(b, 128<<20)
	for format, data := range files(b, disk) {
		b.Run(format, func(b *testing.B) {
			file := write(b, data)
			b.SetBytes(int64(len(disk)))
			for b.Loop() {
				b.StopTimer()
				l := image.NewLibrary(b.TempDir())
				b.StartTimer()
				examine(b, l, core.Image{Source: file})
			}
		})
	}
	b.Run("20 GiB with holes", func(b *testing.B) {
		file := write(b, disk)
		if err := os.Truncate(file, 20<<30); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(20 << 30)
		for b.Loop() {
			b.StopTimer()
			l := image.NewLibrary(b.TempDir())
			b.StartTimer()
			examine(b, l, core.Image{Source: file})
		}
	})
}

// What a process pays for an image that another has examined.
func BenchmarkOpen(b *testing.B) {
	file := write(b, typicalDisk(b, 128<<20))
	old(b, file)
	dir := b.TempDir()
	i := examine(b, image.NewLibrary(dir), core.Image{Source: file})
	b.SetBytes(128 << 20)
	for b.Loop() {
		o, err := image.NewLibrary(dir).Open(b.Context(), i)
		if err != nil {
			b.Fatal(err)
		}
		_ = o.Close()
	}
}

// The MB/s are of the disk's chunks that are not zero, each fetched by whoever is
// first; B/op counts both ends.
func BenchmarkServe(b *testing.B) {
	l := image.NewLibrary(b.TempDir())
	o, err := l.Open(b.Context(), examine(b, l, core.Image{Source: write(b, typicalDisk(b, 128<<20))}))
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(o)
	defer server.Close()
	b.SetBytes(chunk)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := http.Get(server.URL + "/2") //nolint:noctx // loopback, and the server is closed
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
}
