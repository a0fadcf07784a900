//go:build linux

package main_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs generates the registry's pages again: what is there must be what the schemas,
// the examples and the templates say now. Nothing may be without an example.
func TestDocs(t *testing.T) {
	t.Parallel()
	made := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "../tools/terraform-docs/generate.sh", made).CombinedOutput(); err != nil {
		t.Fatalf("generate.sh: %v: %s", err, out)
	}
	want, got := pages(t, made), pages(t, "docs")
	for name, text := range want {
		if got[name] != text {
			t.Errorf("docs/%s is not what is generated now: run make generate", name)
		}
		if !strings.HasPrefix(name, "guides/") && !strings.Contains(text, "## Example Usage") {
			t.Errorf("docs/%s has no example", name)
		}
	}
	for name := range got {
		if _, there := want[name]; !there {
			t.Errorf("docs/%s is of nothing that there is: run make generate", name)
		}
	}
	if len(want) < 10 {
		t.Errorf("only %d pages were generated", len(want))
	}
}

// pages are the texts of all files in dir, by their paths in it.
func pages(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
