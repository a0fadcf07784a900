package debian

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/internal/needs"
)

// newPackage makes a package with dpkg-deb.
func newPackage(t *testing.T, dir string) Package {
	t.Helper()
	program := needs.Program(t, "dpkg-deb", "dpkg")
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil { // dpkg-deb insists
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"DEBIAN/control":      "Package: firmware-test\nVersion: 1:2~3\nArchitecture: all\nMaintainer: Test <test@example.com>\nDescription: test\n",
		"lib/firmware/a.bin":  "firmware a",
		"lib/firmware/b.bin":  strings.Repeat("firmware b", 10000),
		"usr/share/doc/x.txt": "",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("b.bin", filepath.Join(root, "lib/firmware/c.bin")); err != nil {
		t.Fatal(err)
	}
	p := Package{Name: "firmware-test", Version: "1:2~3", Path: filepath.Join(dir, "firmware-test_1%3a2~3_all.deb")}
	if out, err := exec.CommandContext(t.Context(), program, "--root-owner-group", "--build", root, p.Path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	p.SHA256 = hex.EncodeToString(sum[:])
	return p
}

func TestWalk(t *testing.T) {
	p := newPackage(t, t.TempDir())
	var got []string
	err := p.Walk(t.Context(), func(f File) error {
		entry := f.Name + " -> " + f.Link
		if f.Data != nil {
			data, err := io.ReadAll(f.Data)
			if err != nil {
				return err
			}
			entry = f.Name + " " + string(data[:min(len(data), 10)])
		}
		got = append(got, entry)
		return nil
	})
	slices.Sort(got)
	want := []string{"lib/firmware/a.bin firmware a", "lib/firmware/b.bin firmware b", "lib/firmware/c.bin -> b.bin", "usr/share/doc/x.txt "}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}

	full := errors.New("no more room")
	if err := p.Walk(t.Context(), func(File) error { return full }); !errors.Is(err, full) {
		t.Errorf("an error of who reads becomes %v", err)
	}
	if err := os.WriteFile(p.Path, []byte("!<arch>\nno package"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.Walk(t.Context(), func(File) error { return nil }); err == nil || !strings.Contains(err.Error(), "firmware-test") {
		t.Errorf("a damaged package: %v", err)
	}
}

func TestReadOneFile(t *testing.T) {
	p := newPackage(t, t.TempDir())
	data, err := p.Read(t.Context(), func(name string) bool { return strings.HasSuffix(name, "/a.bin") })
	if err != nil || string(data) != "firmware a" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := p.Read(t.Context(), func(string) bool { return false }); err == nil || !strings.Contains(err.Error(), "firmware-test") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// A file counts only where it has the bytes that the lists promised.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	p := newPackage(t, dir)
	if got := Find(dir, p); got != p {
		t.Errorf("found %+v, want %+v", got, p)
	}
	other := p
	other.SHA256 = strings.Repeat("0", 64)
	if got := Find(dir, other); got.Path != "" {
		t.Errorf("another package was taken: %+v", got)
	}
	if got := Find(t.TempDir(), p); got.Path != "" {
		t.Errorf("in an empty folder: %+v", got)
	}
}
