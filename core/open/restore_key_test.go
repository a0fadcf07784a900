package open

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
)

// The file that 'key show' names is given where a backup is older than the last rotate.
func TestRestoreByANamedKey(t *testing.T) {
	stocked(t)
	with, without := backedUp(t, true), backedUp(t, false)
	fresh := func() string {
		path := filepath.Join(t.TempDir(), "deep", "pool.db")
		t.Setenv(EnvURL, path)
		return path
	}
	t.Run("beside which it is as the old one", func(t *testing.T) {
		path, today := fresh(), filepath.Join(t.TempDir(), "pool.key")
		for file, of := range map[string]string{today: anotherKey(t), seal.OldFile(today): with.KeyFile} {
			if _, err := copyNew(of, file); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Restore(t.Context(), "", without.File, RestoreOptions{KeyFile: today}); err != nil {
			t.Fatal(err)
		}
		sound(t, path)
	})
	t.Run("which is not it", func(t *testing.T) {
		fresh()
		key := anotherKey(t)
		_, err := Restore(t.Context(), "", without.File, RestoreOptions{KeyFile: key})
		if !core.Is(err, core.Denied) || !strings.Contains(err.Error(), "nor is it in "+key+" or "+key+".old") {
			t.Errorf("got %v", err)
		}
		text, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Restore(t.Context(), "", without.File, RestoreOptions{KeyFile: string(text)})
		if !core.Is(err, core.Denied) || strings.Contains(err.Error(), "AGE-SECRET") {
			t.Errorf("of a key that was given as its text, got %v", err)
		}
	})
}

// anotherKey is a file with a key of no pool.
func anotherKey(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "another.key")
	if _, err := seal.LoadOrCreate("", file); err != nil {
		t.Fatal(err)
	}
	return file
}
