//go:build bench && vm

package cost

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/diskfs/go-diskfs/partition/gpt"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/bench"
)

// Of the images that are laid down.
const (
	laidSize  = 2 * core.GiB
	laidPiece = 16 * core.MiB // full or empty
)

// TestBenchVMLayDown holds a write of a full image, and of one that is mostly empty,
// against what cannot be spared: in one virtual machine, one after the other, on the
// same disk.
func TestBenchVMLayDown(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Minute)
	defer cancel()
	in := startInsider(ctx, t, core.GiB, laidSize+core.GiB)
	full := in.image(ctx, "full", 1)
	sparse := in.image(ctx, "three quarters empty", 4)

	const runs = 3
	var fulls, sparses, nears, writes, unpacks, fetches []time.Duration
	var against, near, less, busy, nearBusy []float64
	for i := range runs {
		f, fCPU := in.lay(ctx, in.agent, full.Manifest(), i)
		s, _ := in.lay(ctx, in.agent, sparse.Manifest(), i)
		alone := in.alone(ctx, full.Manifest())
		n, nCPU := in.lay(ctx, in.own, repeated(full.Manifest()), i)
		busy, nearBusy = append(busy, fCPU.Seconds()/f.Seconds()), append(nearBusy, nCPU.Seconds()/n.Seconds())
		fulls, sparses, writes, unpacks = append(fulls, f), append(sparses, s), append(writes, alone.Write), append(unpacks, alone.Unpack)
		fetches = append(fetches, alone.Fetch)
		nears = append(nears, n)
		floor := max(alone.Write, alone.Unpack).Seconds()
		against, near = append(against, f.Seconds()/floor), append(near, n.Seconds()/floor)
		less = append(less, s.Seconds()/f.Seconds())
		t.Logf("run %d: full %s, three quarters empty %s, without a network %s; alone: write %s, unpack %s, fetch %s", i+1, seconds(f), seconds(s), seconds(n), seconds(alone.Write), seconds(alone.Unpack), seconds(alone.Fetch))
	}
	peak := in.peak(ctx)

	out := newTable(fmt.Sprintf("An image of %s on a virtual machine of 1 GiB and 2 processors, median of %d", laidSize, runs), "WHAT", "TIME", "HOST'S CORES IN USE")
	for _, row := range []struct {
		what string
		took []time.Duration
		busy []float64
	}{
		{"lay it down", fulls, busy}, {"lay down one that is three quarters empty", sparses, nil}, {"lay it down with chunks that need no network", nears, nearBusy},
		{"dd of as many bytes alone", writes, nil}, {"verify and decode them alone", unpacks, nil},
		{"fetch them alone, packed", fetches, nil},
	} {
		cores := ""
		if row.busy != nil {
			cores = fmt.Sprintf("%.1f", bench.Median(row.busy))
		}
		out.row(row.what, seconds(median(row.took)), cores)
	}
	out.show(t)
	bench.Record(t, bench.Result{Name: "lay-down of 2 GiB", Value: bench.Median(against), Op: "<=", Bound: 1.2, Unit: "×", Against: "the longer of dd, and verify and decode, alone in the same VM"})
	bench.Record(t, bench.Result{Name: "lay-down of 2 GiB, without a network", Value: bench.Median(near), Op: "<=", Bound: 1.2, Unit: "×", Against: "the same: what is left is the agent's own"})
	bench.Record(t, bench.Result{Name: "lay-down of 2 GiB, three quarters empty", Value: bench.Median(less), Op: "<=", Bound: 0.4, Unit: "×", Against: "a full one"})
	bench.Record(t, bench.Result{Name: "agent's memory, peak of a lay-down", Value: float64(peak) / float64(core.MiB), Op: "<=", Bound: 256, Unit: "MiB", Against: "the process as the kernel counts it, without page cache"})
}

// image makes an image of which one piece in so many is full, and serves it. What is
// in it compresses to a half, as programs do.
func (in *insider) image(ctx context.Context, name string, every int) core.ImageSource {
	in.t.Helper()
	path := filepath.Join(in.t.TempDir(), "image.raw")
	f, err := os.Create(path)
	try(in.t, err)
	try(in.t, f.Truncate(int64(laidSize)), fillPieces(f, every), f.Close())
	i, err := in.deployer.Examine(ctx, core.Image{Name: name, Source: path, Arch: "amd64", User: "debian"}, nil)
	try(in.t, err)
	source, err := in.deployer.OpenImage(ctx, i)
	try(in.t, err)
	in.t.Cleanup(func() { try(in.t, source.Close()) })
	return source
}

func fillPieces(f *os.File, every int) error {
	const sector, edge = 512, 2048 // sectors for the partition tables
	random := rand.NewChaCha8([32]byte([]byte("what is in an image for a bench.")))
	piece := make([]byte, laidPiece)
	for off := int64(0); off < int64(laidSize); off += int64(every) * int64(laidPiece) {
		if _, err := io.ReadFull(random, piece); err != nil {
			return err
		}
		for i := range piece {
			piece[i] &= 0xf0
		}
		if _, err := f.WriteAt(piece, off); err != nil {
			return err
		}
	}
	table := &gpt.Table{
		LogicalSectorSize: sector, PhysicalSectorSize: sector, ProtectiveMBR: true,
		Partitions: []*gpt.Partition{{Index: 1, Start: edge, End: uint64(laidSize)/sector - edge - 1, Type: gpt.LinuxFilesystem, Name: "root"}},
	}
	return table.Write(f, int64(laidSize))
}

// lay writes an image to the disk, once more; cpu is what that took of the host.
func (in *insider) lay(ctx context.Context, a core.Agent, m core.Manifest, run int) (took, cpu time.Duration) {
	in.t.Helper()
	before, began := qemuCPU(in.t), time.Now()
	try(in.t, a.Write(ctx, fmt.Sprintf("write-%d%s", run, m.Path), core.WriteOrder{Disk: insiderDisk, Manifest: m}, nil))
	return time.Since(began), qemuCPU(in.t) - before
}

// seconds is how people read what a virtual machine takes.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
