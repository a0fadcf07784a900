//go:build bench

package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/core/storetest"
)

// TestBenchStories holds a store full of events to its size, and to what it takes to read
// a node's.
func TestBenchStories(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) (core.Store, string) {
		path := filepath.Join(dir, name)
		s, err := sqlite.Open(t.Context(), path, sqlite.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s, path
	}
	full, path := at("pool.db")
	alone, _ := at("alone.db")
	storetest.BenchStories(t, "SQLite", full, alone, func() (sum int64) {
		for _, file := range []string{path, path + "-wal", path + "-shm"} {
			if info, err := os.Stat(file); err == nil {
				sum += info.Size()
			}
		}
		return sum
	})
}
