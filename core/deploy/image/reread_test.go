package image_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/image"
)

// A thousand machines that are planned one after the other open their image as often.
// Its pack is read once, and again only where its file looks like another one, or where
// so many others were used meanwhile that it is not remembered. Damage that is noticed
// gives the pack another file.
func TestPackIsReadOnce(t *testing.T) {
	dir := t.TempDir()
	l := image.NewLibrary(dir)
	examined := func(disk []byte) core.Image {
		file := write(t, disk)
		old(t, file)
		return examine(t, l, core.Image{Source: file})
	}
	i := examined(testDisk(t))
	use := func(i core.Image) (chunks string) {
		t.Helper()
		o, err := l.Open(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		return only(t, dir, "packs", i.SHA256, "chunks-*")
	}
	damage := func(chunks string, later time.Duration) {
		t.Helper()
		info, err := os.Stat(chunks)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(chunks)
		if err != nil {
			t.Fatal(err)
		}
		data[100]++
		if err := os.WriteFile(chunks, data, 0o600); err != nil {
			t.Fatal(err)
		}
		at := info.ModTime().Add(later)
		if err := os.Chtimes(chunks, at, at); err != nil {
			t.Fatal(err)
		}
	}
	first := use(i)
	damage(first, 0)
	if use(i) != first {
		t.Error("a file that looks as before was read again")
	}
	damage(first, time.Second)
	second := use(i)
	if second == first {
		t.Error("a file that was written to was not read again")
	}
	damage(second, 0)
	for n := range 8 { // not put aside for what cannot be opened
		missing := core.Image{Source: filepath.Join(t.TempDir(), "gone.img"), SHA256: strings.Repeat(fmt.Sprint(n), 64)}
		if _, err := l.Open(t.Context(), missing); err == nil {
			t.Fatal("an image without a file was opened")
		}
	}
	if use(i) != second {
		t.Error("a pack was read again after images that could not be opened")
	}
	for n := range 8 {
		disk := testDisk(t)
		disk[len(disk)/2] ^= byte(n + 1)
		use(examined(disk))
	}
	if use(i) == second {
		t.Error("a pack that nobody used for long was not read again")
	}
}
