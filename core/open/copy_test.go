package open_test

import (
	"errors"
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

// A pool goes to a database and on: it is the same pool, opened by the same key, and
// where it was it is closed.
func TestCopyStore(t *testing.T) {
	host(t)
	folder := t.TempDir()
	first, second, url := filepath.Join(folder, "a", "pool.db"), filepath.Join(folder, "b", "pool.db"), pgtest.Shared(t).Fresh(t)+"&password=s3cret"
	info, err := engine(t, first, true)
	if err != nil {
		t.Fatal(err)
	}
	want := core.Pool{Name: "p", Quota: 3}
	put := func(url string) {
		t.Helper()
		e, err := open.Engine(t.Context(), url, open.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want.Quota++
		if err := errors.Join(e.SetPool(t.Context(), want), e.Close()); err != nil {
			t.Error(err)
		}
	}
	put(first)
	refused := func(err error, kind core.Kind, says string) {
		t.Helper()
		if !core.Is(err, kind) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v; want %s: %s", err, kind, says)
		}
	}
	// The last two go back where the pool was.
	for _, way := range []struct{ from, to string }{{first, url}, {url, second}, {second, url}, {url, second}} {
		for range 2 { // twice is once
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
			_, err = engine(t, way.from, false)
			refused(err, core.Invalid, "was copied to "+c.To)
			_, err = open.WriteBackup(t.Context(), way.from, filepath.Join(t.TempDir(), "b"), false)
			refused(err, core.Invalid, "was copied to "+c.To)
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
		put(way.to)
	}
	for _, test := range []struct {
		from, to string
		kind     core.Kind
		says     string
	}{
		{"https://pool.example", second, core.Invalid, "is open in its server"},
		{second, "https://pool.example", core.Invalid, "is open in its server"},
		{filepath.Join(folder, "typo.db"), filepath.Join(folder, "c", "pool.db"), core.NotFound, "typo.db"},
		{second, second, core.Exists, "holds this same pool already"},
		{second, first, core.Exists, "is not what came of that"},
		{first, filepath.Join(folder, "d", "pool.db"), core.Invalid, "store reopen"},
	} {
		_, err := open.CopyStore(t.Context(), test.from, test.to)
		refused(err, test.kind, test.says)
	}

	// It is given up.
	_, err = open.ReopenStore(t.Context(), second)
	refused(err, core.Invalid, "is open to all")
	if pool, err := open.ReopenStore(t.Context(), url); err != nil || !strings.Contains(pool.Moved.To, second) {
		t.Errorf("reopened %+v, %v", pool, err)
	}
	put(url)
}

// Wherever a copy is cut short, the pool can be used in at most one place, and the same
// copy again, which may be another process's, finishes it.
func TestCopyStoreCutShort(t *testing.T) {
	for _, cut := range []string{"when the source is marked", "when the copy is committed"} {
		t.Run(cut, func(t *testing.T) {
			host(t)
			path, url := filepath.Join(t.TempDir(), "pool.db"), pgtest.Shared(t).Fresh(t)
			info, err := engine(t, path, true)
			if err != nil {
				t.Fatal(err)
			}
			from, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer from.Close()
			to, err := postgres.Open(t.Context(), url, postgres.Options{Create: true})
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			if err := from.Update(t.Context(), func(tx core.Tx) error { return tx.PutPool(core.Pool{Name: "p"}) }); err != nil {
				t.Fatal(err)
			}
			if cut == "when the copy is committed" {
				_, err = core.CopyStore(t.Context(), from, to, core.Timing{})
			} else {
				err = from.Update(t.Context(), func(tx core.Tx) error {
					return tx.PutMoved(core.Moved{Copy: "c-1", To: to.Info().URL, At: tx.Now()})
				})
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := engine(t, path, false); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), to.Info().URL) {
				t.Errorf("the source: %v", err)
			}
			if _, err := open.CopyStore(t.Context(), path, filepath.Join(t.TempDir(), "elsewhere.db")); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "finish that copy first") {
				t.Errorf("copied to another place: %v", err)
			}
			c, err := open.CopyStore(t.Context(), path, url)
			if err != nil || c.Copied.Pools != 1 {
				t.Fatalf("%+v, %v", c, err)
			}
			if got, err := engine(t, url, false); err != nil || got.PoolID != info.PoolID {
				t.Errorf("the copy is %+v, %v", got, err)
			}
			if _, err := engine(t, path, false); !core.Is(err, core.Invalid) {
				t.Errorf("the source: %v", err)
			}
		})
	}
}
