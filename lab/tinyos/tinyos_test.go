package tinyos_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/lab/tinyos"
)

func TestWriteKeepsThePlaceOfEverything(t *testing.T) {
	dir := t.TempDir()
	image, made := filepath.Join(dir, "image"), filepath.Join(dir, "made")
	if err := os.WriteFile(image, []byte("options quiet "+tinyos.Blank+"\nafter"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, words := range [][]tinyos.Word{nil, {tinyos.NoSeed}, {tinyos.HangAfterKexec, tinyos.NoSeed}} {
		if err := tinyos.Write(image, made, words...); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(made)
		if err != nil {
			t.Fatal(err)
		}
		line, after, _ := strings.Cut(string(text), "\n")
		want := []string{"options", "quiet"}
		for _, w := range words {
			want = append(want, string(w))
		}
		if got := strings.Fields(line); !slices.Equal(got, want) || len(line) != len("options quiet ")+len(tinyos.Blank) || after != "after" {
			t.Errorf("with %v the image is %q", words, text)
		}
	}
	if err := tinyos.Write(made, image); err == nil {
		t.Error("an image that was made already is taken for one that was not")
	}
	if err := tinyos.Write(filepath.Join(dir, "none"), made, tinyos.NoSeed, tinyos.NoSeed, tinyos.NoSeed, tinyos.NoSeed); err == nil {
		t.Error("an image that is not there was written")
	}
}

func TestMarkPlacesSpareTheSystem(t *testing.T) {
	const size = 512 << 20
	all := tinyos.MarkPlaces(size, 0)
	for _, keep := range []int64{0, 40 << 20, size} {
		got := tinyos.MarkPlaces(size, keep)
		for _, at := range got {
			if at < keep || at >= size || at%4096 != 0 {
				t.Errorf("with %d bytes kept a mark is at %d", keep, at)
			}
		}
		if want := slices.DeleteFunc(slices.Clone(all), func(at int64) bool { return at < keep }); !slices.Equal(got, want) {
			t.Errorf("with %d bytes kept marks are at %d, want %d", keep, got, want)
		}
	}
	if len(all) < 3 {
		t.Errorf("marks are at %d alone", all)
	}
}
