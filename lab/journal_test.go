package lab

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/guest/vfs"
)

// scratch is a disk of a file, and a journal in its middle.
type scratch struct {
	path  string
	write func(off int64, n int) error
}

func (s *scratch) open() (*filedisk.Disk, error) {
	return filedisk.Open(s.path, core.Disk{Serial: "S", Size: 128 * core.MiB}, filedisk.Faults{Write: s.write})
}

const journalAt = 3 << 20

func (s *scratch) journal(t *testing.T, instance string) (*journal, []string) {
	t.Helper()
	j, err := openJournal(s.open, journalAt, instance)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	if err := j.Replay(func(change []byte) error { kept = append(kept, string(change)); return nil }); err != nil {
		t.Fatal(err)
	}
	return j, kept
}

func newScratch(t *testing.T) *scratch {
	return &scratch{path: filepath.Join(t.TempDir(), "disk")}
}

func try(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestJournalKeeps(t *testing.T) {
	s := newScratch(t)
	j, kept := s.journal(t, "one")
	if kept != nil {
		t.Errorf("a new journal has %q", kept)
	}
	try(t, j.Append([]byte("a")), j.Append([]byte("b")))
	j, kept = s.journal(t, "one")
	if strings.Join(kept, ",") != "a,b" {
		t.Errorf("kept %q", kept)
	}
	try(t, j.Rewrite([]byte("ab")), j.Append([]byte("c")), j.Rewrite([]byte("abc")), j.Append([]byte("d")))
	if _, kept = s.journal(t, "one"); strings.Join(kept, ",") != "abc,d" {
		t.Errorf("after it was rewritten twice: %q", kept)
	}
	if _, kept = s.journal(t, "two"); kept != nil {
		t.Errorf("another instance sees %q", kept)
	}
	if _, kept = s.journal(t, "one"); kept != nil {
		t.Errorf("what another instance began to write over is still %q", kept)
	}
}

func TestJournalIsBounded(t *testing.T) {
	s := newScratch(t)
	j, _ := s.journal(t, "one")
	big := bytes.Repeat([]byte("x"), halfSize*3/4)
	try(t, j.Append(big))
	if err := j.Append(big); !errors.Is(err, vfs.ErrFull) {
		t.Errorf("a change beyond the half: %v", err)
	}
	if err := j.Rewrite(bytes.Repeat([]byte("x"), halfSize)); !errors.Is(err, vfs.ErrFull) {
		t.Errorf("a rewrite beyond the half: %v", err)
	}
	if _, kept := s.journal(t, "one"); len(kept) != 1 || len(kept[0]) != len(big) {
		t.Errorf("what was kept before is lost: %d changes", len(kept))
	}
	disk, err := os.ReadFile(s.path)
	try(t, err)
	if len(bytes.Trim(disk[:journalAt], "\x00")) > 0 || len(bytes.Trim(disk[journalAt+journalSize:], "\x00")) > 0 {
		t.Error("the journal wrote outside its room")
	}
}

// Whichever write to the disk is the last, what was kept before is there, and the
// change is there whole or not at all.
func TestJournalSurvivesCuts(t *testing.T) {
	const change = "afterwards"
	for operation, whole := range map[string]string{"append": "before," + change, "rewrite": change} {
		for writes := range 4 {
			s := newScratch(t)
			j, _ := s.journal(t, "one")
			try(t, j.Append([]byte("x")), j.Rewrite([]byte("before")))
			do := map[string]func([]byte) error{"append": j.Append, "rewrite": j.Rewrite}[operation]
			left := writes
			s.write = func(int64, int) error {
				if left--; left < 0 {
					return errMedium
				}
				return nil
			}
			err := do([]byte(change))
			s.write = nil
			_, kept := s.journal(t, "one")
			if got := strings.Join(kept, ","); got != "before" && got != whole || err == nil && got != whole {
				t.Errorf("%s, cut after %d writes: %q, %v", operation, writes, got, err)
			}
		}
	}
	for torn := range len(change) {
		s := newScratch(t)
		j, _ := s.journal(t, "one")
		try(t, j.Append([]byte("before")), j.Append([]byte(change)))
		d, err := s.open()
		try(t, err)
		_, err = d.WriteAt(make([]byte, torn+1), j.place(j.half)+j.end-int64(torn)-1)
		try(t, err, d.Close())
		j, kept := s.journal(t, "one")
		if strings.Join(kept, ",") != "before" {
			t.Errorf("the last %d bytes of a record are torn off: %q", torn+1, kept)
		}
		try(t, j.Append([]byte("next")))
		if _, kept = s.journal(t, "one"); strings.Join(kept, ",") != "before,next" {
			t.Errorf("after a torn record: %q", kept)
		}
	}
}

func TestJournalOnABrokenDisk(t *testing.T) {
	s := newScratch(t)
	j, _ := s.journal(t, "one")
	try(t, j.Append([]byte("a")))
	s.write = func(int64, int) error { return errMedium }
	for name, err := range map[string]error{"append": j.Append([]byte("b")), "rewrite": j.Rewrite([]byte("b"))} {
		if !errors.Is(err, errMedium) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := openJournal(s.open, journalAt, "two"); err == nil {
		t.Error("a journal was begun on a disk that takes nothing")
	}
	s.write = nil
	if _, kept := s.journal(t, "one"); strings.Join(kept, ",") != "a" {
		t.Errorf("kept %q", kept)
	}
}

func TestFaults(t *testing.T) {
	var fs Faults
	if _, err := fs.Add(Fault{Kind: "none"}); err == nil {
		t.Error("an unknown kind was taken")
	}
	if _, err := fs.Add(Fault{Kind: WriteError, Nth: -1}); err == nil {
		t.Error("a negative nth was taken")
	}
	id, err := fs.Add(Fault{Kind: WriteError, Nth: 2, Count: 2})
	try(t, err)
	var hits []bool
	for range 5 {
		hits = append(hits, fs.hit(WriteError))
		if fs.hit(EraseError) {
			t.Error("a fault of another kind hit")
		}
	}
	if want := []bool{false, true, true, false, false}; !bytes.Equal(asBytes(hits), asBytes(want)) {
		t.Errorf("hits %v, want %v", hits, want)
	}
	if list := fs.List(); len(list) != 1 || list[0].Hits != 2 || list[0].ID != id {
		t.Errorf("listed %+v", list)
	}
	_, err = fs.Add(Fault{Kind: MediaHang, Count: Forever})
	try(t, err)
	fs.Clear(id)
	if first, again := fs.hit(MediaHang), fs.hit(MediaHang); !first || !again || fs.hit(WriteError) {
		t.Error("the wrong fault was cleared")
	}
	if fs.Clear(); len(fs.List()) != 0 || fs.hit(MediaHang) {
		t.Error("not all faults were cleared")
	}
}

func asBytes(list []bool) []byte {
	b := make([]byte, len(list))
	for i, v := range list {
		if v {
			b[i] = 1
		}
	}
	return b
}
