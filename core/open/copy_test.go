package open_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/core/storetest"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// Every kind of row survives the way from one kind of store to the other.
func TestCopyingBetweenStores(t *testing.T) {
	file := func() core.Importer {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "pool.db"), sqlite.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	database := func() core.Importer {
		s, err := postgres.Open(t.Context(), pgtest.Shared(t).Fresh(t), postgres.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	t.Run("to PostgreSQL", func(t *testing.T) { storetest.Copying(t, file(), database()) })
	t.Run("to SQLite", func(t *testing.T) { storetest.Copying(t, database(), file()) })
}

// A pool goes to a database and back: it is the same pool, opened by the same key.
func TestCopyStore(t *testing.T) {
	host(t)
	folder := t.TempDir()
	first, second, url := filepath.Join(folder, "a", "pool.db"), filepath.Join(folder, "b", "pool.db"), pgtest.Shared(t).Fresh(t)+"&password=s3cret"
	e, err := open.Engine(t.Context(), first, open.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	want := core.Pool{Name: "p", Quota: 3}
	if err := e.SetPool(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	info := e.Info()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for _, way := range []struct{ from, to string }{{first, url}, {url, second}} {
		c, err := open.CopyStore(t.Context(), way.from, way.to)
		if err != nil {
			t.Fatal(err)
		}
		if c.PoolID != info.PoolID || c.Copied.Pools != 1 || strings.Contains(c.From+c.To, "s3cret") {
			t.Errorf("copied %+v of pool %s", c, info.PoolID)
		}
		if stat, err := os.Stat(c.KeyFile); err != nil || stat.Mode().Perm() != 0o600 {
			t.Errorf("key %v, %v", stat, err)
		}
		e, err := open.Engine(t.Context(), way.to, open.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := e.Pool(t.Context(), "p"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("pool %+v, %v; want %+v", got, err, want)
		}
		if got := e.Info(); got.PoolID != info.PoolID || got.Sealing != info.Sealing {
			t.Errorf("the copy is %+v, want %+v", got, info)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if _, err := open.CopyStore(t.Context(), way.from, way.to); !core.Is(err, core.Exists) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("copied again: %v", err)
		}
	}
	for _, refused := range []struct {
		from, to string
		kind     core.Kind
	}{
		{"https://pool.example", second, core.Invalid}, {first, "https://pool.example", core.Invalid},
		{filepath.Join(folder, "typo.db"), filepath.Join(folder, "c", "pool.db"), core.NotFound}, {first, first, core.Exists},
	} {
		if _, err := open.CopyStore(t.Context(), refused.from, refused.to); !core.Is(err, refused.kind) {
			t.Errorf("from %s to %s: %v, want %q", refused.from, refused.to, err, refused.kind)
		}
	}
}
