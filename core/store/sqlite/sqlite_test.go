package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/core/storetest"
)

func TestMain(m *testing.M) {
	storetest.Child(open)
	if path := os.Getenv(openAs); path != "" {
		openAndTell(path)
		return
	}
	os.Exit(m.Run())
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) string { return filepath.Join(t.TempDir(), "pool.db") }, open, storetest.Queued)
}

func open(ctx context.Context, address string) (core.Store, error) {
	return sqlite.Open(ctx, address, sqlite.Options{Create: true})
}

func TestSealing(t *testing.T) {
	storetest.Sealing(t, filepath.Join(t.TempDir(), "pool.db"), func(ctx context.Context, address, key string) (core.Store, error) {
		return sqlite.Open(ctx, address, sqlite.Options{Create: true, KeyFingerprint: key})
	})
}
