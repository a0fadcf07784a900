package campaign

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

func TestMarksAreFoundOnSparseDisks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(8 << 30); err != nil {
		t.Fatal(err)
	}
	// One in the middle of nowhere, and one across the boundary of what is read at a time.
	for where, text := range map[int64]string{5 << 30: mark("one", 0), 1<<20 - 7: mark("two", 1), 0: "no mark"} {
		if _, err := f.WriteAt([]byte(text), where); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.WriteAt(make([]byte, 2<<20), 64); err != nil { // data, so that no hole begins a piece
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(mark("two", 1)), 1<<20-7); err != nil {
		t.Fatal(err)
	}
	ids, err := marksOn([]core.Disk{{Path: path}, {Path: path + "-that-was-never-written"}})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"one", "two"}) {
		t.Errorf("found the marks of %v", ids)
	}
	if found := unclean("n1", "one", ids); len(found) != 1 || !strings.Contains(found[0], "two") {
		t.Errorf("found %v on the node of one", found)
	}
	if found := unclean("n1", "", ids); len(found) != 2 {
		t.Errorf("found %v on a node that is free", found)
	}
}

func TestLeaksAreFound(t *testing.T) {
	l := newLeaks()
	l.plant("the password", "correct horse")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "log"), []byte("as a battery staple"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.look("an answer", []byte("nothing"))
	if err := l.lookAtFiles(dir); err != nil {
		t.Fatal(err)
	}
	if found := l.take(); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"password":"correct horse"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	l.look("an answer", []byte("it is correct horse"))
	if err := l.lookAtFiles(dir); err != nil {
		t.Fatal(err)
	}
	if found := l.take(); len(found) != 2 {
		t.Errorf("found %v", found)
	}
}

func TestAMarkIsReadByWhoeverLogsIn(t *testing.T) {
	for name, c := range map[string]struct {
		id        string
		r         result
		invariant string
		read      int
	}{
		"its own":                {"one", result{out: mark("one", 3) + "\n"}, "", 1},
		"another's":              {"one", result{out: mark("two", 0)}, "OneOwner", 0},
		"none":                   {"one", result{}, "NoGuess", 0},
		"no login":               {"one", result{status: 255}, "", 0},
		"killed on the way":      {"one", result{hurt: KillCommand}, "", 0},
		"of one that he gave up": {"", result{out: mark("two", 0)}, "", 0},
	} {
		b := &burst{}
		if v := b.readMark(c.id, c.r); v.Invariant != c.invariant || b.read != c.read {
			t.Errorf("%s: %+v, and %d marks read; want %q and %d", name, v, b.read, c.invariant, c.read)
		}
	}
}
