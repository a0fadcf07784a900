package image_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/image"
)

// old makes a file look as if it was written long ago, as most images were.
func old(t testing.TB, file string) {
	t.Helper()
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, past, past); err != nil {
		t.Fatal(err)
	}
}

// only returns the one file below a folder that matches.
func only(t testing.TB, pattern ...string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(pattern...))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v; want one", filepath.Join(pattern...), found, err)
	}
	return found[0]
}

// Damage to what is kept is noticed by the next process, and mended from the file.
func TestDamagedCacheIsMadeAnew(t *testing.T) {
	disk := testDisk(t)
	file := write(t, disk)
	old(t, file)
	flip := func(name string, at int) error {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		data[at] ^= 1
		return os.WriteFile(name, data, 0o600)
	}
	for name, damage := range map[string]func(index, chunks string) error{
		"a chunk changed":  func(_, chunks string) error { return flip(chunks, 100_000) },
		"the last changed": func(_, chunks string) error { info, _ := os.Stat(chunks); return flip(chunks, int(info.Size())-1) },
		"chunks cut":       func(_, chunks string) error { return os.Truncate(chunks, 1000) },
		"chunks longer":    func(_, chunks string) error { return os.Truncate(chunks, 100<<20) },
		"chunks gone":      func(_, chunks string) error { return os.Remove(chunks) },
		"index changed":    func(index, _ string) error { return flip(index, 200) },
		"index cut":        func(index, _ string) error { return os.Truncate(index, 100) },
		"index empty":      func(index, _ string) error { return os.Truncate(index, 0) },
		"index gone":       func(index, _ string) error { return os.Remove(index) },
		"all gone":         func(index, _ string) error { return os.RemoveAll(filepath.Dir(index)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			i := examine(t, image.NewLibrary(dir), core.Image{Source: file})
			pack := filepath.Join(dir, "packs", i.SHA256)
			if err := damage(filepath.Join(pack, "index"), only(t, pack, "chunks-*")); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if !bytes.Equal(lay(t, open(t, image.NewLibrary(dir), i)), disk) {
					t.Fatal("another disk came out")
				}
			}
			only(t, pack, "chunks-*")

			// Without the file nothing can be mended, and that is what is said.
			if err := damage(filepath.Join(pack, "index"), only(t, pack, "chunks-*")); err != nil {
				t.Fatal(err)
			}
			gone := i
			gone.Source += "x"
			if _, err := image.NewLibrary(dir).Open(t.Context(), gone); !core.Is(err, core.NotFound) {
				t.Errorf("without the file: %v", err)
			}
		})
	}
}

// Cleared while the process lives, and has the image open.
func TestClearedCacheIsMadeAnew(t *testing.T) {
	disk, dir := testDisk(t), t.TempDir()
	l := image.NewLibrary(dir)
	i := examine(t, l, core.Image{Source: write(t, disk)})
	open(t, l, i)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(lay(t, open(t, l, i)), disk) {
		t.Error("another disk came out")
	}
}

func TestOpenRefusesAChangedFile(t *testing.T) {
	disk := testDisk(t)
	changed := bytes.Clone(disk)
	changed[5<<20] = 1
	for name, aged := range map[string]bool{"long ago": true, "just now": false} {
		t.Run(name, func(t *testing.T) {
			dir, file := t.TempDir(), write(t, disk)
			if aged {
				old(t, file)
			}
			l := image.NewLibrary(dir)
			i := examine(t, l, core.Image{Name: "x", Source: file})
			held := open(t, l, i)
			if err := os.WriteFile(file, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			for name, l := range map[string]*image.Library{"while open": l, "by another process": image.NewLibrary(dir)} {
				_, err := l.Open(t.Context(), i)
				if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "the file changed since it was added: its SHA-256 is "+sum(changed)+", and was "+sum(disk)) {
					t.Errorf("%s: error %v", name, err)
				}
			}
			if !bytes.Equal(lay(t, held), disk) {
				t.Error("what was open before is another disk")
			}
			// Also where it must be read anyway, for nothing is kept.
			if _, err := image.NewLibrary(t.TempDir()).Open(t.Context(), i); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "changed since it was added") {
				t.Errorf("without a cache: error %v", err)
			}
			// The old content is the image again, whatever its time.
			if err := os.WriteFile(file, disk, 0o600); err != nil {
				t.Fatal(err)
			}
			open(t, l, i)
		})
	}
}

func TestOpenWithoutTheFile(t *testing.T) {
	disk, dir := testDisk(t), t.TempDir()
	i := examine(t, image.NewLibrary(dir), core.Image{Source: write(t, disk)})
	if err := os.Remove(i.Source); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(lay(t, open(t, image.NewLibrary(dir), i)), disk) {
		t.Error("another disk came out")
	}
	_, err := image.NewLibrary(t.TempDir()).Open(t.Context(), i)
	if !core.Is(err, core.NotFound) {
		t.Errorf("with neither the file nor its pack: %v", err)
	}
}

func TestOpenRefusesADigestThatIsNone(t *testing.T) {
	for _, digest := range []string{"", "../../etc", strings.Repeat("A", 64), strings.Repeat("g", 64)} {
		_, err := image.NewLibrary(t.TempDir()).Open(t.Context(), core.Image{Source: "/x", SHA256: digest})
		if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "is not a SHA-256") {
			t.Errorf("%q: %v", digest, err)
		}
	}
}

// Many deploys begin at once where nothing is kept: the work is done once.
func TestOpenAtOnce(t *testing.T) {
	dir, file := t.TempDir(), write(t, testDisk(t))
	i := examine(t, image.NewLibrary(t.TempDir()), core.Image{Source: file})
	libraries := []*image.Library{image.NewLibrary(dir), image.NewLibrary(dir)}
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			o, err := libraries[n%2].Open(t.Context(), i)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = o.Close() }()
			if o.Manifest().Size != i.Size {
				t.Errorf("size %d", o.Manifest().Size)
			}
		})
	}
	all.Wait()
	only(t, dir, "packs", "*", "chunks-*")
}

// Whoever gives up does not take along those that wait for the same work.
func TestOpenIsCancelledAlone(t *testing.T) {
	dir, file := t.TempDir(), write(t, testDisk(t))
	i := examine(t, image.NewLibrary(t.TempDir()), core.Image{Source: file})
	l := image.NewLibrary(dir)
	reason := &core.Error{Op: "work", Kind: core.LeaseLost}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	if _, err := l.Open(ctx, i); !core.Is(err, core.LeaseLost) || !errors.Is(err, reason) {
		t.Errorf("error %v", err)
	}
	open(t, l, i)
}

func TestExamineIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := image.NewLibrary(t.TempDir()).Examine(ctx, core.Image{Source: write(t, testDisk(t))}, func(_, _ core.Bytes) { cancel() })
	if !core.Is(err, core.Timeout) {
		t.Errorf("error %v", err)
	}
}

func TestExamineAndOpenAtOnce(t *testing.T) {
	dir, file := t.TempDir(), write(t, testDisk(t))
	want := examine(t, image.NewLibrary(t.TempDir()), core.Image{Source: file})
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			l := image.NewLibrary(dir)
			if n%2 == 0 {
				if got, err := l.Examine(t.Context(), core.Image{Source: file}, nil); err != nil || got != want {
					t.Errorf("examined %+v, %v", got, err)
				}
				return
			}
			o, err := l.Open(t.Context(), want)
			if err != nil {
				t.Error(err)
				return
			}
			_ = o.Close()
		})
	}
	all.Wait()
	only(t, dir, "packs", "*", "chunks-*")
}

// Those that share an image share its list of chunks.
func TestManifestIsShared(t *testing.T) {
	l := image.NewLibrary(t.TempDir())
	i := examine(t, l, core.Image{Source: write(t, testDisk(t))})
	a, b := open(t, l, i), open(t, l, i)
	if &a.Manifest().Chunks[0] != &b.Manifest().Chunks[0] {
		t.Error("two lists")
	}
	_ = a.Close()
	_ = a.Close()
	c := open(t, l, i)
	if !slices.Equal(c.Manifest().Chunks, b.Manifest().Chunks) || &c.Manifest().Chunks[0] != &b.Manifest().Chunks[0] {
		t.Error("closing one twice has freed the other")
	}
}

// What nobody opened for long goes when something new comes.
func TestOldPacksGo(t *testing.T) {
	dir := t.TempDir()
	l := image.NewLibrary(dir)
	var images []core.Image
	for size := int64(1 << 20); size <= 3<<20; size += 1 << 20 {
		file := write(t, partitioned(t, size))
		old(t, file)
		images = append(images, examine(t, l, core.Image{Source: file}))
	}
	index := func(i core.Image) string { return filepath.Join(dir, "packs", i.SHA256, "index") }
	longAgo := time.Now().Add(-40 * 24 * time.Hour)
	for _, i := range images {
		if err := os.Chtimes(index(i), longAgo, longAgo); err != nil {
			t.Fatal(err)
		}
	}
	open(t, l, images[1])
	examine(t, l, core.Image{Source: write(t, partitioned(t, 4<<20))})
	for n, i := range images {
		if _, err := os.Stat(index(i)); (err == nil) != (n == 1) {
			t.Errorf("image %d: %v; only the second was opened since", n, err)
		}
	}
	if !bytes.Equal(lay(t, open(t, l, images[0])), source(t, images[0])) {
		t.Error("another disk came out")
	}
}

// source is an image's file.
func source(t *testing.T, i core.Image) []byte {
	t.Helper()
	data, err := os.ReadFile(i.Source)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
