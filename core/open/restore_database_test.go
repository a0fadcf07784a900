package open

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// A backup is of one kind, whatever the pool is kept in.
func TestRestoreAcrossKinds(t *testing.T) {
	want := map[core.NodeID]core.State{"free": core.Quarantined, "cleaning": core.Quarantined, "apart": core.Quarantined, "taken": core.Failed, "making": core.Failed, "used": core.Deployed}
	restored := func(t *testing.T, b Backup, to string) {
		t.Helper()
		t.Setenv("XDG_DATA_HOME", t.TempDir()) // another host
		t.Setenv(EnvURL, to)
		r, err := Restore(t.Context(), "", b.File, RestoreOptions{})
		if err != nil || r.Aside != "" || r.PoolID != b.PoolID {
			t.Fatalf("%+v, %v", r, err)
		}
		sound(t, to)
		if got := states(t, to); !maps.Equal(got, want) {
			t.Errorf("restored are %v", got)
		}
	}
	t.Run("a file's into a database", func(t *testing.T) {
		stocked(t)
		restored(t, backedUp(t, true), pgtest.Shared(t).Fresh(t))
	})
	t.Run("a database's into a file", func(t *testing.T) {
		inPostgres(t)
		restored(t, backedUp(t, true), filepath.Join(t.TempDir(), "new", "pool.db"))
	})
	t.Run("a database's into another one on the same host", func(t *testing.T) {
		inPostgres(t)
		b := backedUp(t, false)
		t.Setenv(EnvURL, pgtest.Shared(t).Fresh(t))
		if _, err := Restore(t.Context(), "", b.File, RestoreOptions{}); err != nil { // whose key it has
			t.Fatal(err)
		}
		sound(t, os.Getenv(EnvURL))
		folders, err := os.ReadDir(filepath.Join(os.Getenv("XDG_DATA_HOME"), "metalpool", "pools"))
		if err != nil || len(folders) != 1 || folders[0].Name() != b.PoolID {
			t.Errorf("of pool %s this host has %v, %v", b.PoolID, folders, err)
		}
	})
}

func TestRestoreIntoADatabaseRefuses(t *testing.T) {
	address, file := inPostgres(t)
	with, without := backedUp(t, true), backedUp(t, false)
	before := states(t, address)
	host := os.Getenv("XDG_DATA_HOME")
	refused := func(t *testing.T, b Backup, o RestoreOptions, kind core.Kind, says string) {
		t.Helper()
		if _, err := Restore(t.Context(), "", b.File, o); !core.Is(err, kind) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %s: %s", err, kind, says)
		}
	}
	refused(t, with, RestoreOptions{}, core.Exists, "has 3 unreleased machines, such as ann/taken")
	t.Run("without the key", func(t *testing.T) {
		t.Setenv("XDG_DATA_HOME", t.TempDir())
		refused(t, without, RestoreOptions{Replace: true}, core.Denied, "sealed with key "+with.Key+", and this pool has none")
	})
	t.Run("where the key was changed on another host", func(t *testing.T) {
		old, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := RotateKey(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		late := t.TempDir()
		theirs := filepath.Join(late, strings.TrimPrefix(file, host))
		if err := os.MkdirAll(filepath.Dir(theirs), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(theirs, old, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("XDG_DATA_HOME", late)
		refused(t, without, RestoreOptions{}, core.Denied, "and this host's key of it is "+with.Key)
	})
	t.Run("over tables of another program", func(t *testing.T) {
		server := pgtest.Shared(t)
		database := server.Database(t)
		server.Exec(t, database, "CREATE TABLE diary (day date)")
		t.Setenv(EnvURL, server.URL(database))
		refused(t, with, RestoreOptions{Replace: true}, core.Invalid, "has tables of another program")
	})
	t.Run("over another pool", func(t *testing.T) {
		elsewhere := pgtest.Shared(t).Fresh(t)
		t.Setenv(EnvURL, elsewhere)
		other, err := Engine(t.Context(), "", Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		store, err := postgres.Open(t.Context(), elsewhere, postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		if err := store.Update(t.Context(), func(tx core.Tx) error { return tx.InsertNode(core.Node{ID: "theirs", State: core.Quarantined}) }); err != nil {
			t.Fatal(err)
		}
		refused(t, with, RestoreOptions{}, core.Exists, "is another pool ("+store.Info().PoolID+", with 1 nodes) than that of the backup")
		r, err := Restore(t.Context(), "", with.File, RestoreOptions{Replace: true})
		if err != nil || !strings.Contains(r.Aside, store.Info().PoolID) {
			t.Fatalf("%+v, %v", r, err)
		}
		sound(t, elsewhere)
	})
	if got := states(t, address); !maps.Equal(got, before) {
		t.Errorf("the pool was touched: %v, and before %v", got, before)
	}
}

// A database that holds what no store takes is neither backed up nor replaced: what there
// is would be lost.
func TestABrokenDatabaseIsKept(t *testing.T) {
	address, _ := inPostgres(t)
	b := backedUp(t, false)
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "DROP INDEX allocations_one_owner; UPDATE allocations SET node = 'used' WHERE live"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "b")
	if _, err := WriteBackup(t.Context(), "", file, false); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "is broken") || !strings.Contains(err.Error(), "pg_dump") {
		t.Errorf("backed up: %v", err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a file is left: %v", err)
	}
	if _, err := Restore(t.Context(), "", b.File, RestoreOptions{Replace: true}); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "restore into an empty database") {
		t.Errorf("replaced: %v", err)
	}
	nothingLeft(t, address)
	if got := states(t, address)["free"]; got != core.Available {
		t.Errorf("it was touched: %s", got)
	}
	t.Setenv(EnvURL, pgtest.Shared(t).Fresh(t))
	if _, err := Restore(t.Context(), "", b.File, RestoreOptions{}); err != nil {
		t.Error(err)
	}
}

// The pool is sealed with the key that it has by now, whatever the backup is sealed with.
func TestRestoreIntoADatabaseWithALaterKey(t *testing.T) {
	address, file := inPostgres(t)
	b := backedUp(t, false)
	k, err := RotateKey(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Restore(t.Context(), "", b.File, RestoreOptions{Replace: true})
	if err != nil || r.Key != k.Fingerprint || r.Key == b.Key {
		t.Fatalf("%+v, %v", r, err)
	}
	sound(t, address)
	if now, err := seal.Load("", file); err != nil || now.Fingerprint() != k.Fingerprint {
		t.Errorf("the key is %v, %v", now, err)
	}
}
