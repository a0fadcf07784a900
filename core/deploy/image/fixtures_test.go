package image_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/klauspost/compress/zstd"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/image"
	"github.com/metalpool/metalpool/internal/needs"
)

const chunk = 4 << 20

// testDisk is 10 MiB and a bit: a chunk with the partition table, one of zeros, and
// a last one that is short.
func testDisk(t testing.TB) []byte {
	t.Helper()
	return partitioned(t, 10<<20+3*512)
}

// partitioned is a disk of that size with a GPT that go-diskfs wrote, one partition,
// and something near both ends.
func partitioned(t testing.TB, size int64) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	// The library makes up the GUIDs that it is not given, and tests change bytes of them.
	root := &gpt.Partition{Index: 1, Start: 34, End: uint64(size/512 - 34), Type: gpt.LinuxFilesystem, Name: "root", GUID: "5B3F1C8A-0D0E-4C7B-9A55-6E2D1F4A7C02"}
	table := &gpt.Table{ProtectiveMBR: true, GUID: "A1D3C7E2-4B6F-4E8D-8C11-3F5A7B9D2E01", Partitions: []*gpt.Partition{root}}
	if err := table.Write(f, size); err != nil {
		t.Fatal(err)
	}
	disk, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	noise(disk[size/10 : size/5])
	copy(disk[size/5:], bytes.Repeat([]byte("metalpool "), int(size/100)))
	noise(disk[size-size/10 : size-size/20])
	return disk
}

func noise(p []byte) { _, _ = rand.NewChaCha8([32]byte{1}).Read(p) }

func write(t testing.TB, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.img")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

func compress(t testing.TB, how string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "gz":
		w = gzip.NewWriter(&b)
	case "zst":
		var err error
		if w, err = zstd.NewWriter(&b); err != nil {
			t.Fatal(err)
		}
	case "xz":
		// The Go package takes minutes for zeros, and packs them in one block.
		cmd := exec.CommandContext(t.Context(), needs.Program(t, "xz", "xz-utils"), "-1", "--block-size=3MiB", "-c")
		cmd.Stdin, cmd.Stdout = bytes.NewReader(data), &b
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var compressions = []string{"gz", "xz", "zst"}

// files are the same disk in every format.
func files(t testing.TB, disk []byte) map[string][]byte {
	t.Helper()
	m := map[string][]byte{"raw": disk, "qcow2": encodeQcow2(t, disk, 3, 16)}
	for _, how := range compressions {
		m["raw."+how] = compress(t, how, disk)
		m["qcow2."+how] = compress(t, how, m["qcow2"])
	}
	return m
}

func examine(t testing.TB, l *image.Library, i core.Image) core.Image {
	t.Helper()
	got, err := l.Examine(t.Context(), i, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func open(t testing.TB, l *image.Library, i core.Image) *image.Opened {
	t.Helper()
	o, err := l.Open(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// lay fetches every chunk as an agent does, and returns the disk.
func lay(t testing.TB, o *image.Opened) []byte {
	t.Helper()
	server := httptest.NewServer(o)
	defer server.Close()
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	m := o.Manifest()
	if m.ChunkSize != chunk || int64(len(m.Chunks)) != (int64(m.Size)+chunk-1)/chunk {
		t.Fatalf("%d chunks of %d for %d bytes", len(m.Chunks), m.ChunkSize, m.Size)
	}
	disk := make([]byte, m.Size)
	for n, want := range m.Chunks {
		if want == "" {
			continue
		}
		resp, err := http.Get(server.URL + "/" + strconv.Itoa(n)) //nolint:noctx // loopback, and the server is closed
		if err != nil {
			t.Fatal(err)
		}
		packed, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || resp.ContentLength != int64(len(packed)) {
			t.Fatalf("chunk %d: %s, %v", n, resp.Status, err)
		}
		plain, err := decoder.DecodeAll(packed, nil)
		if err != nil {
			t.Fatal(err)
		}
		if sum(plain) != want {
			t.Fatalf("chunk %d has another digest than the manifest says", n)
		}
		copy(disk[n*chunk:], plain)
	}
	return disk
}
