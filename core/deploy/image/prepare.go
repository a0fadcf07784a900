package image

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
)

// prepare reads a file whole and keeps its pack. want, unless empty, is the SHA-256
// that the file must have, and other the error where it has another.
func (l *Library) prepare(ctx context.Context, src source, want string, other func(have string) error, progress func(done, total core.Bytes)) (*pack, error) {
	if err := l.makeFolders(); err != nil {
		return nil, err
	}
	work, remove, err := workFolder(ctx, filepath.Join(l.dir, workDir))
	if err != nil {
		return nil, err
	}
	defer remove()

	start, m := time.Now(), &meter{report: progress}
	f, sum, err := l.obtain(ctx, src, work, m)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if sum != "" && want != "" && sum != want {
		return nil, other(sum)
	}
	before, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m.setTotal(core.Bytes(before.Size()))
	p, err := digestAndPack(ctx, f, before.Size(), sum, want, other, work, m)
	if err != nil {
		return nil, err
	}
	if src.url == nil {
		after, err := os.Stat(src.path)
		if err != nil || !os.SameFile(before, after) || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
			return nil, &fault{core.Transient, errors.New("the file changed while it was read"), "try again when nobody writes to it"}
		}
		l.remember(src.path, before, start, p.Source)
	}
	return l.publish(ctx, p, work)
}

// obtain opens the file. One that is downloaded comes with its SHA-256.
func (l *Library) obtain(ctx context.Context, src source, work string, m *meter) (*os.File, string, error) {
	if src.url == nil {
		f, _, err := openFile(src.path)
		return f, "", err
	}
	return l.fetch(ctx, src.url, work, func(done, total core.Bytes) {
		m.setTotal(total)
		m.digested(done)
	})
}

// digestAndPack hashes the file, unless sum is known, and packs the disk in it, both
// at once. A file that has another SHA-256 than wanted is told so even where it is
// damaged, too: that is why.
func digestAndPack(ctx context.Context, f *os.File, size int64, sum, want string, other func(string) error, work string, m *meter) (*pack, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var p *pack
	var packErr error
	var packing sync.WaitGroup
	packing.Go(func() {
		if p, packErr = makePack(ctx, f, core.Bytes(size), work, m.packed); packErr != nil && want == "" {
			cancel()
		}
	})
	var hashErr error
	if sum == "" {
		sum, hashErr = hash(ctx, f, size, m.digested)
	}
	wrong := hashErr == nil && want != "" && sum != want
	if hashErr != nil || wrong {
		cancel()
	}
	packing.Wait()
	switch {
	case wrong:
		return nil, other(sum)
	case packErr != nil && (hashErr == nil || !errors.Is(packErr, context.Canceled)):
		return nil, packErr
	case hashErr != nil:
		return nil, hashErr
	}
	p.Source = sum
	return p, nil
}

// makePack writes the chunks of the disk in a file; the pack is not saved yet.
func makePack(ctx context.Context, f *os.File, size core.Bytes, work string, moved func(core.Bytes)) (*pack, error) {
	c, format, err := openContent(ctx, f, size, work)
	if err != nil {
		return nil, err
	}
	defer closeContent(c)
	dir := filepath.Join(work, "pack")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	p := &pack{Format: format}
	out, err := p.create(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	if p.Chunks, p.Size, err = packChunks(ctx, c, out, moved); err != nil {
		return nil, err
	}
	return p, out.Sync()
}

// publish saves a pack and puts it in its place, unless a whole one is there: others
// may be serving that.
func (l *Library) publish(ctx context.Context, p *pack, work string) (*pack, error) {
	if err := p.save(); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, filepath.Join(l.dir, locksDir, "publish"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if old, err := l.kept(ctx, p.Source); !errors.Is(err, errNoPack) {
		return old, err
	}
	l.sweep(time.Now())
	packs := filepath.Join(l.dir, packsDir)
	place := filepath.Join(packs, p.Source)
	if err := os.Rename(place, filepath.Join(work, "old")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.Rename(p.dir, place); err != nil {
		return nil, err
	}
	p.dir = place
	return p, syncDir(packs)
}

// meter adds up what is done to a file: it is read for its digest, and to be packed.
type meter struct {
	report func(done, total core.Bytes)

	mu             sync.Mutex
	digest, chunks core.Bytes
	total          core.Bytes // of the file; 0 is not known
}

func (m *meter) setTotal(n core.Bytes) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = n
}

func (m *meter) digested(n core.Bytes) { m.set(&m.digest, n) }
func (m *meter) packed(n core.Bytes)   { m.set(&m.chunks, n) }

func (m *meter) set(part *core.Bytes, n core.Bytes) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*part = n
	if m.report != nil {
		m.report((m.digest+m.chunks)/2, m.total)
	}
}
