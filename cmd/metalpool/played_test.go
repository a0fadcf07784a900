package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// played is the home of somebody who plays a rack with one server of the lab, whose image
// the pool has already.
type played struct {
	t          *testing.T
	home, rack string // rack is what to enroll
	end        func()
}

// play starts a rack in a home of the test's.
func play(t *testing.T) played {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("TMPDIR", home)
	t.Setenv("METALPOOL_LAB", filepath.Join(home, "lab"))
	t.Setenv("METALPOOL_URL", filepath.Join(home, "lab", "pool.db"))
	p := played{t: t, home: home}
	p.file(".ssh/id_ed25519.pub", readersKey)
	rack := follow(t, "lab", "up", "--nodes", "1", "-o", "json")
	var up upView
	if err := json.Unmarshal([]byte(rack.until(`"rack"`)), &up); err != nil {
		t.Fatal(err)
	}
	p.rack, p.end = up.Rack, rack.end
	image := filepath.Join(home, "lab.img")
	p.ok("lab", "image", image)
	p.ok("image", "add", "lab", "--source", image, "--user", "debian")
	return p
}

// ok runs a command that does its work, and is what it said.
func (p played) ok(args ...string) string {
	p.t.Helper()
	got := command(p.t, args...)
	if got.code != exitOK {
		p.t.Fatalf("metalpool %s exited with %d: %s", strings.Join(args, " "), got.code, got.stderr)
	}
	return got.stdout + got.stderr
}

// file writes a file of the home.
func (p played) file(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}
