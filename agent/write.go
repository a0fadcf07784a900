package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/metalpool/metalpool/agent/chunk"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// fetchers is how many chunks of one write are under way at most: one for each core
// that checks them, and two that arrive or are written meanwhile.
var fetchers = min(runtime.GOMAXPROCS(0)+2, 8)

// memoryOfWrite bounds what the chunks of one write take, in bytes.
const memoryOfWrite = 96 << 20

// underWay is how many chunks of an image are fetched at once.
func underWay(m core.Manifest) int {
	return max(2, min(fetchers, int(memoryOfWrite/(2*m.ChunkSize))))
}

// write is an image on its way to a disk.
type write struct {
	disk     Disk
	source   *source
	manifest core.Manifest
	buffers  *Buffers
	ears     *ears
	progress func(done, total core.Bytes)

	done atomic.Int64 // bytes
}

func (a *agent) write(ctx context.Context, o *wire.WriteOrder, j *job) error {
	defer j.source.close()
	disk, err := findDisk(ctx, a.host, "write", o.Disk)
	if err != nil {
		return err
	}
	if room := disk.Info().Size; o.Manifest.Size > room {
		have, takes := core.TooLittle(core.DiskSize, room, o.Manifest.Size)
		return &core.Error{
			Op: "write", Kind: core.Invalid, Err: fmt.Errorf("the image takes %s and disk %s has %s", takes, nameOf(disk), have),
			Hint: "choose a smaller image or a larger disk",
		}
	}
	w := &write{disk: disk, source: j.source, manifest: o.Manifest, buffers: a.buffers, ears: a.ears, progress: j.progress}
	return w.run(ctx)
}

// run makes the disk hold the image, with zeros wherever the image has them, and
// nothing behind it that could be taken for something.
func (w *write) run(ctx context.Context) error {
	w.progress(0, w.manifest.Size)
	for _, r := range gaps(w.manifest) {
		if err := w.disk.Zero(ctx, r.off, r.n); err != nil {
			return w.failed(ctx, r.off, err)
		}
		w.add(r.n)
	}
	if err := w.clearRest(ctx); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	chunks := make(chan int)
	group.Go(func() error {
		defer close(chunks)
		for n, digest := range w.manifest.Chunks {
			if digest == "" {
				continue
			}
			select {
			case chunks <- n:
			case <-groupCtx.Done():
				return nil
			}
		}
		return nil
	})
	for range underWay(w.manifest) {
		group.Go(func() error {
			for n := range chunks {
				if err := w.lay(groupCtx, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := w.disk.Sync(); err != nil {
		return w.failed(ctx, 0, err)
	}
	return nil
}

func (w *write) add(n int64) { w.progress(core.Bytes(w.done.Add(n)), w.manifest.Size) }

// failed blames the disk, unless the work was ended.
func (w *write) failed(ctx context.Context, off int64, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &core.Error{
		Op: "write", Kind: core.Backend, Err: fmt.Errorf("disk %s at byte %d: %w", nameOf(w.disk), off, err),
		Hint: "the disk may be broken; replace it",
	}
}

// try fetches a chunk once and puts it on the disk. It holds a buffer no longer
// than that, since others may be waiting for one.
func (w *write) try(ctx, here context.Context, base string, n int) error {
	buf, err := w.buffers.take(ctx)
	if err != nil {
		return err
	}
	defer w.buffers.give(buf)

	off, size := extent(w.manifest, n)
	fetchCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(here, cancel)()
	chunk, err := w.source.get(fetchCtx, base, n, size, w.manifest.Chunks[n], buf)
	if err != nil {
		return err
	}
	if _, err := w.disk.WriteAt(chunk, off); err != nil {
		return w.failed(ctx, off, err)
	}
	w.add(int64(size))
	return nil
}

// extent is where chunk n lies.
func extent(m core.Manifest, n int) (off int64, size int) {
	off = int64(n) * int64(m.ChunkSize)
	return off, int(min(int64(m.ChunkSize), int64(m.Size)-off))
}

// span is a range of a disk, in bytes.
type span struct{ off, n int64 }

// gaps are what must read as zeros: the runs of chunks that are all zero.
func gaps(m core.Manifest) []span {
	var found []span
	for n, digest := range m.Chunks {
		if digest != "" {
			continue
		}
		off, size := extent(m, n)
		if last := len(found) - 1; last >= 0 && found[last].off+found[last].n == off {
			found[last].n += int64(size)
		} else {
			found = append(found, span{off, int64(size)})
		}
	}
	return found
}

// edge is how much of each end of the rest of a disk is made zero, in bytes. There is
// what makes the OS see something that is not: the backup of an older partition
// table, an older seed, the labels of RAID, LVM and ZFS, and of file systems that a
// new partition behind the image would begin with.
const edge = 64 << 20

// clearRest takes care of the disk behind the image. To write zeros over all of it
// would take hours on a large disk, and guard against nobody: another owner's data
// is not there, since a node is Available only after an erase that was verified; what
// may be there is an earlier deploy of the same allocation. So the ends become zero,
// and what is between them is discarded, which costs nothing where it works.
func (w *write) clearRest(ctx context.Context) error {
	zero, discard := rest(int64(w.manifest.Size), int64(w.disk.Info().Size))
	if discard.n > 0 {
		if err := w.disk.Discard(ctx, discard.off, discard.n); err != nil {
			return w.failed(ctx, discard.off, err)
		}
	}
	for _, r := range zero {
		if err := w.disk.Zero(ctx, r.off, r.n); err != nil {
			return w.failed(ctx, r.off, err)
		}
	}
	return nil
}

// rest splits what is behind an image into its ends and the middle.
func rest(image, disk int64) (ends []span, middle span) {
	switch n := disk - image; {
	case n <= 0:
		return nil, span{}
	case n <= 2*edge:
		return []span{{image, n}}, span{}
	}
	return []span{{image, edge}, {disk - edge, edge}}, span{image + edge, disk - image - 2*edge}
}

// How often a chunk is asked for again: when it was corrupt; and when the source
// did not answer although an engine is listening. While none is, its chunks are
// not expected either, and the write waits for one until silence ends all.
const (
	maxCorrupt = 4
	maxBroken  = 10
)

// lay puts one chunk on the disk, in as many tries as it takes.
func (w *write) lay(ctx context.Context, n int) error {
	const shortest = 100 * time.Millisecond
	corrupt, broken := 0, 0
	for pause := shortest; ; pause = min(2*pause, 5*time.Second) {
		host, base, here := w.source.now()
		err := w.try(ctx, here, base, n)
		var disk *core.Error
		switch {
		case err == nil || errors.As(err, &disk):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, chunk.ErrCorrupt):
			corrupt++
		case here.Err() != nil: // what broke is the past
		default:
			broken++
			w.source.turn(host)
		}
		attended, came := w.ears.attended()
		if corrupt >= maxCorrupt || broken >= maxBroken && attended {
			return &core.Error{
				Op: "write", Kind: core.Transient, Err: fmt.Errorf("chunk %d of %d cannot be had: %w", n, len(w.manifest.Chunks), err),
				Hint: "check the image file, and that the node reaches this host's METALPOOL_PORTS",
			}
		}
		again := time.NewTimer(pause)
		if attended {
			came = nil
		}
		select {
		case <-again.C:
		case <-came:
		case <-here.Done():
			broken, pause = 0, shortest
		case <-ctx.Done():
			again.Stop()
			return context.Cause(ctx)
		}
		again.Stop()
	}
}
