package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// A server whose ramdisk is no good says so when it starts, and not first to whoever waits
// for a machine. It goes on: what is there it can show.
func TestServeTellsOfItsRamdisk(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("METALPOOL_URL", filepath.Join(home, "pool.db"))
	t.Setenv("METALPOOL_RAMDISK", filepath.Join(home, "ramdisk.iso"))
	got := command(t, "serve", "--listen", "nowhere")
	said, then, _ := strings.Cut(got.stderr, "\n")
	for _, want := range []string{`"level":"ERROR"`, "nothing is deployed or cleaned from here", "ramdisk.iso: no such file", "make ramdisk"} {
		if !strings.Contains(said, want) {
			t.Errorf("it says %q, and not %q", said, want)
		}
	}
	if !strings.Contains(then, "listen elsewhere with --listen") {
		t.Errorf("it ends with %q", then)
	}
}
