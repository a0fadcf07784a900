package disk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/metalpool/metalpool/internal/systree"
)

func TestShelf(t *testing.T) {
	root := systree.Unpack(t, "testdata/server.tree")
	s := NewShelf(root)
	t.Cleanup(func() { _ = s.Close() })
	before := listed(t, s)
	again := listed(t, s)
	if len(again) != len(before) || len(before) == 0 {
		t.Fatalf("%d disks, then %d", len(before), len(again))
	}
	for name, d := range before {
		if again[name] != d {
			t.Errorf("%s is another device the second time", name)
		}
	}
	first, second := before["nvme0n1"].subsystem, before["nvme0n2"].subsystem
	if first == nil || first != second || before["nvme1n1"].subsystem == first || before["sda"].subsystem != nil {
		t.Error("disks share what they should not, or do not share what they should")
	}

	// sda is pulled, another disk takes the name of sdb, and sdn comes late.
	link := filepath.Join(root, "sys", "block", "sda")
	target, err := os.Readlink(link)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Remove(link),
		os.Symlink(target, filepath.Join(root, "sys", "block", "sdn")),
		os.WriteFile(filepath.Join(sysDir(root, "sdb"), "size"), []byte("2048\n"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	after := listed(t, s)
	if after["sda"] != nil || after["sdn"] == nil || after["sdb"] == before["sdb"] || after["sdc"] != before["sdc"] {
		t.Errorf("after a change: %v", after)
	}
	for _, name := range []string{"sda", "sdb"} {
		if _, err := before[name].open(); err == nil {
			t.Errorf("%s is gone, and can be opened", name)
		}
	}
}

func listed(t *testing.T, s *Shelf) map[string]*Device {
	t.Helper()
	devices, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*Device{}
	for _, d := range devices {
		byName[d.facts.name] = d
	}
	return byName
}
