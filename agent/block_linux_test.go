package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	diskgpt "github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/klauspost/compress/zstd"

	"github.com/metalpool/metalpool/agent/disk"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
	"github.com/metalpool/metalpool/internal/loop"
)

const mib = 1 << 20

// block is a loop device as an agent's disk; it is called by its path, since it has no
// serial.
type block struct{ *disk.Device }

func (b block) Info() core.Disk {
	info := b.Device.Info()
	info.Serial = info.Path
	return info
}

func newBlock(t *testing.T, size int64, sector int) block {
	t.Helper()
	d, err := disk.Open("/", loop.Attach(t, size, sector))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return block{d}
}

// partitionedImage has a table for such sectors, a partition of noise, and long zeros.
func partitionedImage(t *testing.T, size int64, sector int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	store, err := file.CreateFromPath(path, size)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	w, err := store.Writable()
	if err != nil {
		t.Fatal(err)
	}
	table := &diskgpt.Table{ProtectiveMBR: true, LogicalSectorSize: sector, PhysicalSectorSize: sector, Partitions: []*diskgpt.Partition{
		{Index: 1, Start: uint64(mib / sector), Size: 2 * mib, Type: diskgpt.LinuxFilesystem, Name: "root"},
	}}
	if err := table.Write(w, size); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, uint64(size)))
	noise := make([]byte, mib)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	if _, err := w.WriteAt(noise, mib+512); err != nil {
		t.Fatal(err)
	}
	image := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(store, 0, size), image); err != nil {
		t.Fatal(err)
	}
	return image
}

// serve offers an image in chunks that are no multiple of a sector.
func serve(t *testing.T, image []byte) core.Manifest {
	t.Helper()
	const chunk = 300_000
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := core.Manifest{Size: core.Bytes(len(image)), ChunkSize: chunk, Path: "/image"}
	for off := 0; off < len(image); off += chunk {
		part := image[off:min(len(image), off+chunk)]
		digest := ""
		if !allZero(part) {
			sum := sha256.Sum256(part)
			digest = hex.EncodeToString(sum[:])
		}
		m.Chunks = append(m.Chunks, digest)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(filepath.Base(r.URL.Path))
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = w.Write(encoder.EncodeAll(image[n*chunk:min(len(image), (n+1)*chunk)], nil))
	}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if m.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestOnABlockDevice deploys twice and erases, on disks with both kinds of sectors.
func TestOnABlockDevice(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		t.Run(fmt.Sprintf("sectors of %d", sector), func(t *testing.T) {
			d := newBlock(t, 300*mib, sector)
			dirt := bytes.Repeat([]byte{0xa5}, 300*mib) // an earlier deploy
			if _, err := d.WriteAt(dirt, 0); err != nil {
				t.Fatal(err)
			}
			a := &agent{host: shelf{d}, buffers: NewBuffers(fetchers), ears: newEars(0)}
			for _, size := range []int64{40 * mib, 20*mib + int64(sector)} {
				image := partitionedImage(t, size, sector)
				deployTo(t, a, d, image)
				checkDeployed(t, d, image)
			}
			j := &job{status: wire.Status{State: wire.Running}, changed: make(chan struct{})}
			report, err := a.erase(t.Context(), core.EraseOrder{Disks: []string{nameOf(d)}}, j)
			if err != nil || len(report.Disks) != 1 || !report.Disks[0].Verified || report.Disks[0].Class != core.Clear {
				t.Errorf("erased: %+v, %v", report, err)
			}
			if err := d.Sync(); err != nil {
				t.Fatal(err)
			}
			if whole := readAllOf(t, d); !allZero(whole) {
				t.Error("something is left after the erase")
			}
		})
	}
}

func deployTo(t *testing.T, a *agent, d Disk, image []byte) {
	t.Helper()
	m := serve(t, image)
	order := &wire.WriteOrder{WriteOrder: core.WriteOrder{Disk: nameOf(d), Manifest: m}}
	j := &job{source: newSource(order, "127.0.0.1"), status: wire.Status{State: wire.Running}, changed: make(chan struct{})}
	if err := a.write(t.Context(), order, j); err != nil {
		t.Fatal(err)
	}
	if got := readAllOf(t, d); !bytes.Equal(got[:len(image)], image) {
		t.Fatal("the disk is not the image")
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.seed(t.Context(), &wire.SeedOrder{Disk: nameOf(d), Zstd: encoder.EncodeAll(seedText, nil)}); err != nil {
		t.Fatal(err)
	}
}

var seedText = bytes.Repeat([]byte("seed"), 1000)

// checkDeployed finds the image's partition, the seed's at the end, and zeros where
// signatures would be.
func checkDeployed(t *testing.T, d Disk, image []byte) {
	t.Helper()
	whole := readAllOf(t, d)
	table, _, err := planSeed(d)
	if err != nil || !reflect.DeepEqual(names(table), []string{"root", SeedPartition}) {
		t.Fatalf("partitions %q: %v", names(table), err)
	}
	seed := table.Partitions()[1]
	at := seed.First * int64(d.SectorSize())
	if !bytes.Equal(whole[at:at+int64(len(seedText))], seedText) || !allZero(whole[at+int64(len(seedText)):at+wire.SeedSize]) {
		t.Error("the seed is not in its partition")
	}
	if behind := whole[len(image):at]; !allZero(behind[:min(len(behind), edge)]) || !allZero(behind[max(0, len(behind)-edge/2):]) {
		t.Error("an earlier deploy shows where signatures are")
	}
	store, err := file.OpenFromPath(d.Info().Path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if read, err := diskgpt.Read(store, d.SectorSize(), d.SectorSize()); err != nil || len(read.Partitions) != 2 || read.RecoveredFromBackup {
		t.Errorf("another library reads %+v: %v", read, err)
	}
}

func readAllOf(t *testing.T, d Disk) []byte {
	t.Helper()
	whole := make([]byte, d.Info().Size)
	if _, err := d.ReadMedium(whole, 0); err != nil {
		t.Fatal(err)
	}
	return whole
}
