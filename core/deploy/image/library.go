package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
)

// Library keeps what is needed of images in a folder. Several processes may use
// one folder, and many goroutines one Library.
type Library struct {
	dir    string
	client *http.Client
	afar   *http.Client // for core.AskedFromAfar

	mu   sync.Mutex
	open map[string]*shared // by the file's SHA-256
	idle []*shared          // of open, those without users; the one used last at the end
}

// maxIdle bounds the packs that are remembered while nobody uses them, for their
// manifests' sake. To verify one takes as long as to read it, and a thousand machines
// may be planned one after the other.
const maxIdle = 4

// shared is a pack that is in use here, was a moment ago, or is about to be.
type shared struct {
	sum   string
	users int           // under Library.mu
	turn  chan struct{} // whoever has put something in may change what follows
	pack  *pack         // nil until it is ready
	file  fs.FileInfo   // of the pack when it was found to be whole
	// manifest is the pack's. With its thousands of strings there is one for all.
	manifest core.Manifest
}

// whole reports whether there is a pack, and its file the one that was verified.
func (s *shared) whole() bool {
	if s.pack == nil {
		return false
	}
	info, err := os.Stat(s.pack.path())
	return err == nil && os.SameFile(info, s.file) && info.Size() == s.file.Size() && info.ModTime().Equal(s.file.ModTime())
}

// Below the library's folder.
const (
	packsDir   = "packs"   // SHA-256 of the file → pack
	sourcesDir = "sources" // SHA-256 of the path → memo
	locksDir   = "locks"   // SHA-256 of the file → lock of who makes its pack to serve it
	workDir    = "work"    // of live processes; what dead ones left is swept
)

// NewLibrary keeps things in dir, which is made when it is needed.
func NewLibrary(dir string) *Library {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // the file's own bytes are what has the digest
	return &Library{dir: dir, client: &http.Client{Transport: transport}, afar: clientFromAfar(transport), open: map[string]*shared{}}
}

// SeedRoom is what an image's smallest disk has behind the image: the seed's
// partition of 16 MiB, its alignment, and the second partition table.
const SeedRoom = 18 * core.MiB

// Examine reads a new image's file: its format, digest and size. An image that
// cannot be laid down is an Invalid error, as is one that is not what i says of its
// SHA256 and Format, where it does. progress counts in bytes of the file, and may
// be nil; it is called from several goroutines, one at a time.
func (l *Library) Examine(ctx context.Context, i core.Image, progress func(done, total core.Bytes)) (core.Image, error) {
	op := strings.TrimSpace("examine image " + i.Name)
	src, err := locate(i.Source)
	if err != nil {
		return i, explain(op, err)
	}
	want := strings.ToLower(i.SHA256)
	if want != "" && !isSHA256(want) {
		return i, explain(op, invalid("it is 64 hexadecimal digits", fmt.Errorf("%q is not a SHA-256", i.SHA256)))
	}
	if want == "" && src.url != nil && src.url.Scheme != "https" {
		return i, explain(op, invalid("give its SHA-256, or an https URL", errors.New("over plain http anybody on the way can change the file")))
	}
	p, err := l.examine(ctx, src, want, progress)
	if err != nil {
		return i, explain(op, fmt.Errorf("%s: %w", src, err))
	}
	if i.Format != "" && i.Format != p.Format {
		return i, explain(op, invalid("leave the format out: it is found", fmt.Errorf("%s: its format is %s, not %s", src, p.Format, i.Format)))
	}
	i.Source, i.SHA256, i.Format, i.Size = src.text(), p.Source, p.Format, p.Size
	i.MinDisk = (p.Size+core.MiB-1)/core.MiB*core.MiB + SeedRoom
	return i, nil
}

// Find looks whether Examine would find the file of an image; an address is not asked.
func (l *Library) Find(i core.Image) error {
	op := strings.TrimSpace("examine image " + i.Name)
	src, err := locate(i.Source)
	if err != nil || src.url != nil {
		return explain(op, err)
	}
	f, _, err := openFile(src.path)
	if err != nil {
		return explain(op, err)
	}
	return f.Close()
}

func (l *Library) examine(ctx context.Context, src source, want string, progress func(done, total core.Bytes)) (*pack, error) {
	other := func(have string) error {
		return invalid("get the file again, or correct the SHA-256", fmt.Errorf("its SHA-256 is %s, and %s was asked for", have, want))
	}
	if sum, ok := l.known(src); ok {
		if want != "" && sum != want {
			return nil, other(sum)
		}
		if p, err := l.kept(ctx, sum); !errors.Is(err, errNoPack) {
			return p, err
		}
	}
	return l.prepare(ctx, src, want, other, progress)
}

// known returns a file's SHA-256 where it need not be read for it.
func (l *Library) known(src source) (string, bool) {
	if src.url != nil {
		return "", false
	}
	info, err := os.Stat(src.path)
	if err != nil {
		return "", false
	}
	return l.remembered(src.path, info)
}

// kept returns a pack that was made before and is whole, or errNoPack.
func (l *Library) kept(ctx context.Context, sum string) (*pack, error) {
	p, err := load(filepath.Join(l.dir, packsDir, sum), sum)
	if err == nil {
		err = p.verify(ctx)
	}
	if err != nil {
		return nil, err
	}
	p.touch(time.Now())
	return p, nil
}

// Open makes an image ready to be served to agents. It refuses an image whose file
// is no longer what was examined; a file that is gone does no harm as long as its
// pack is kept.
func (l *Library) Open(ctx context.Context, i core.Image) (*Opened, error) {
	op := strings.TrimSpace("open image " + i.Name)
	if !isSHA256(i.SHA256) {
		return nil, explain(op, invalid("add the image again", fmt.Errorf("%q is not a SHA-256", i.SHA256)))
	}
	src, err := locate(i.Source)
	if err != nil {
		return nil, explain(op, err)
	}
	s := l.share(i.SHA256)
	o, err := l.ready(ctx, s, src, i.SHA256)
	if err != nil {
		l.unshare(s)
		return nil, explain(op, fmt.Errorf("%s: %w", src, err))
	}
	o.free = sync.OnceFunc(func() { l.unshare(s) })
	return o, nil
}

func (l *Library) share(sum string) *shared {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.open[sum]
	if s == nil {
		s = &shared{sum: sum, turn: make(chan struct{}, 1)}
		l.open[sum] = s
	}
	l.idle = slices.DeleteFunc(l.idle, func(other *shared) bool { return other == s })
	s.users++
	return s
}

func (l *Library) unshare(s *shared) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.users--; s.users > 0 {
		return
	}
	if s.pack == nil { // there is nothing to remember
		delete(l.open, s.sum)
		return
	}
	if l.idle = append(l.idle, s); len(l.idle) > maxIdle {
		delete(l.open, l.idle[0].sum)
		l.idle = slices.Delete(l.idle, 0, 1)
	}
}

// ready returns the image with its pack, which one of those that want it makes, if it must be.
func (l *Library) ready(ctx context.Context, s *shared, src source, sum string) (*Opened, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s.whole() {
		s.pack.touch(time.Now())
		return &Opened{pack: s.pack, manifest: s.manifest}, l.unchanged(ctx, src, sum)
	}
	s.pack = nil // somebody cleared the cache
	if err := l.makeFolders(); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, filepath.Join(l.dir, locksDir, sum))
	if err != nil {
		return nil, err
	}
	defer unlock()
	p, err := l.kept(ctx, sum)
	switch {
	case err == nil:
		err = l.unchanged(ctx, src, sum)
	case errors.Is(err, errNoPack):
		p, err = l.prepare(ctx, src, sum, changed(sum), nil)
	}
	if err != nil {
		return nil, err
	}
	if s.file, err = os.Stat(p.path()); err != nil {
		return nil, err
	}
	s.pack, s.manifest = p, p.manifest()
	return &Opened{pack: p, manifest: s.manifest}, nil
}

func changed(was string) func(have string) error {
	return func(have string) error {
		return invalid("put the old file back, or add this one under another name",
			fmt.Errorf("the file changed since it was added: its SHA-256 is %s, and was %s", have, was))
	}
}

// unchanged compares a file with the catalogue, reading it only where its size or
// time differ from what they were.
func (l *Library) unchanged(ctx context.Context, src source, sum string) error {
	if src.url != nil {
		return nil
	}
	have, ok := l.known(src)
	if !ok {
		start := time.Now()
		f, info, err := openFile(src.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if have, err = hash(ctx, f, info.Size(), func(core.Bytes) {}); err != nil {
			return err
		}
		l.remember(src.path, info, start, have)
	}
	if have != sum {
		return changed(sum)(have)
	}
	return nil
}

func (l *Library) makeFolders() error {
	for _, d := range []string{packsDir, sourcesDir, locksDir, workDir} {
		if err := os.MkdirAll(filepath.Join(l.dir, d), 0o700); err != nil {
			return err
		}
	}
	return nil
}
