package open_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// host is a host of its own, as far as its files go.
func host(t *testing.T) (data string) {
	t.Helper()
	data = t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	return data
}

// engine opens and closes the pool at url, and returns what it says of itself.
func engine(t *testing.T, url string, create bool) (core.StoreInfo, error) {
	t.Helper()
	e, err := open.Engine(t.Context(), url, open.Options{Create: create})
	if err != nil {
		return core.StoreInfo{}, err
	}
	return e.Info(), e.Close()
}

// The key of a pool in a database is made once, with the pool; other hosts need a copy.
func TestKeyOfADatabase(t *testing.T) {
	url := pgtest.Shared(t).Fresh(t)
	first := host(t)
	if _, err := engine(t, url, false); !core.Is(err, core.NotFound) || !strings.Contains(err.Error(), "enroll a node") {
		t.Errorf("no pool: %v", err)
	}
	info, err := engine(t, url, true)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := open.Folder(url, info)
	if want := filepath.Join(first, "metalpool", "pools", info.PoolID); folder != want || err != nil {
		t.Errorf("the pool's folder is %s, %v; want %s", folder, err, want)
	}
	key := filepath.Join(folder, "pool.key")
	if stat, err := os.Stat(key); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("key %v, %v", stat, err)
	}
	if again, err := engine(t, url, true); err != nil || again != info {
		t.Errorf("opened again: %+v, %v; want %+v", again, err, info)
	}

	second := host(t)
	theirs := filepath.Join(second, "metalpool", "pools", info.PoolID, "pool.key")
	for _, create := range []bool{false, true} {
		_, err := engine(t, url, create)
		if !core.Is(err, core.NotFound) || !strings.Contains(err.Error(), theirs) || !strings.Contains(err.Error(), "copy that file") {
			t.Errorf("a host without the key, create %v: %v", create, err)
		}
	}
	if _, err := os.Stat(theirs); !os.IsNotExist(err) {
		t.Errorf("another key was made: %v", err)
	}
	t.Setenv(open.EnvKey, key)
	if got, err := engine(t, url, false); err != nil || got != info {
		t.Errorf("with the key named: %+v, %v", got, err)
	}
	other := filepath.Join(second, "other.key")
	if _, err := seal.LoadOrCreate("", other); err != nil {
		t.Fatal(err)
	}
	t.Setenv(open.EnvKey, other)
	if _, err := engine(t, url, false); !core.Is(err, core.Denied) || !strings.Contains(err.Error(), "METALPOOL_KEY") {
		t.Errorf("with another key: %v", err)
	}
}

// A pool in a database is for its operators: adapters are sent to a server.
func TestDatabaseIsForOperators(t *testing.T) {
	host(t)
	url := pgtest.Shared(t).Fresh(t) + "&password=s3cret"
	if _, err := engine(t, url, true); err != nil {
		t.Fatal(err)
	}
	t.Setenv(open.EnvURL, url)
	for name, call := range map[string]func() error{
		"Service": func() error { _, err := open.Service(t.Context(), "", open.Options{}); return err },
		"Locate":  func() error { _, err := open.Locate(url); return err },
	} {
		err := call()
		if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "metalpool serve") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	pool, err := open.Operator(t.Context(), "", open.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
}
