package open

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

func backedUp(t *testing.T, withKey bool) (b Backup) {
	t.Helper()
	b, err := WriteBackup(t.Context(), "", filepath.Join(t.TempDir(), "backup.db"), withKey)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBackupWhileOthersWrite(t *testing.T) { stockedIn(t, backupWhileOthersWrite) }

func backupWhileOthersWrite(t *testing.T, address string) {
	taker, store, _ := opened(t, address)
	_, another, _ := opened(t, address)
	// Two rows that are the same in every picture of the store.
	alike := func(store core.Store) error {
		return store.Update(t.Context(), func(tx core.Tx) error {
			var errs []error
			reason := core.NewID("r")
			for _, id := range []core.NodeID{"apart", "cleaning"} {
				node, err := tx.Node(id)
				node.Reason = reason
				errs = append(errs, err, tx.SwapNode(node), tx.AddEvent(core.Event{Node: id, Type: core.Note, Message: reason}))
			}
			return errors.Join(errs...)
		})
	}
	// And a machine that is taken and given back: its events are to be in the same picture.
	taken := func() error {
		id := core.AllocationID(core.NewID("b"))
		_, err := taker.Acquire(t.Context(), core.Order{ID: id, Owner: "bob", Name: "web", Request: core.Request{Pool: core.DefaultPool}}, nil)
		return errors.Join(err, taker.Release(t.Context(), id, core.ReleaseOptions{}, nil))
	}
	for range 4 {
		var writers, begun sync.WaitGroup
		for _, write := range []func() error{func() error { return alike(store) }, func() error { return alike(another) }, taken} {
			begun.Add(1)
			writers.Go(func() {
				began := sync.OnceFunc(begun.Done)
				defer began()
				for range 15 {
					if err := write(); err != nil {
						t.Error(err)
						return
					}
					began()
				}
			})
		}
		begun.Wait()
		b := backedUp(t, false)
		writers.Wait()
		if b.Nodes != 6 || b.Machines < 3 || b.Machines > 4 || len(b.Findings) > 0 || b.Size == 0 || b.KeyFile != "" {
			t.Errorf("it says %+v", b)
		}
		if age := time.Since(b.Taken); age < -time.Hour || age > time.Hour {
			t.Errorf("it is of %s", b.Taken)
		}
		store, err := sqlite.Open(t.Context(), b.File, sqlite.Options{Backup: true})
		if err != nil {
			t.Fatal(err)
		}
		err = store.View(t.Context(), func(tx core.Tx) error {
			apart, err := tx.Node("apart")
			cleaning, err2 := tx.Node("cleaning")
			if apart.Reason != cleaning.Reason {
				t.Errorf("it is no one moment: %q and %q", apart.Reason, cleaning.Reason)
			}
			return errors.Join(err, err2)
		})
		if err := errors.Join(err, store.Close()); err != nil {
			t.Error(err)
		}
	}
	nothingLeft(t, address)
}

// nothingLeft looks where work on copies of the store is done.
func nothingLeft(t *testing.T, address string) {
	t.Helper()
	folder := filepath.Dir(address)
	if inDatabase(address) {
		var err error
		if folder, err = dataFolder(); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), ".metalpool-") {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestABackupIsForItsOwnerAlone(t *testing.T) { stockedIn(t, backupIsForItsOwnerAlone) }

func backupIsForItsOwnerAlone(t *testing.T, path string) {
	plain, with := backedUp(t, false), backedUp(t, true)
	for _, file := range []string{plain.File, with.File, with.KeyFile} {
		if m := mode(t, file); m != 0o600 {
			t.Errorf("%s has mode %o", file, m)
		}
	}
	if _, err := os.Stat(seal.FileOf(plain.File)); !os.IsNotExist(err) {
		t.Errorf("a key that nobody asked for: %v", err)
	}
	if with.KeyFile != seal.FileOf(with.File) || with.Key != plain.Key {
		t.Errorf("with its key: %+v", with)
	}
	content, err := os.ReadFile(plain.File)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{testPassword, testUserData, "AGE-SECRET-KEY"} {
		if bytes.Contains(content, []byte(secret)) {
			t.Errorf("%q is in it", secret)
		}
	}
	if _, err := Engine(t.Context(), plain.File, Options{}); !core.Is(err, core.NotFound) { // it has no key
		t.Errorf("opened as a pool: %v", err)
	}
	if _, err := Engine(t.Context(), with.File, Options{}); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "is a backup, taken at") || !strings.Contains(err.Error(), "metalpool restore") {
		t.Errorf("opened as a pool: %v", err)
	}
	sound(t, path)
}

func TestBackupRefuses(t *testing.T) {
	path := stocked(t)
	folder := t.TempDir()
	there := filepath.Join(folder, "there")
	if err := os.WriteFile(there, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(seal.FileOf(filepath.Join(folder, "new")), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		url, file string
		withKey   bool
		kind      core.Kind
		says      string
	}{
		{"", there, false, core.Exists, "there is there already"},
		{"", path, false, core.Exists, "pool.db is there already"},
		{"", filepath.Join(folder, "new"), true, core.Exists, "new.key is there already"},
		{"", filepath.Join(folder, "no", "folder"), false, core.Denied, "no such file"},
		{"", filepath.Join(there, "b"), false, core.Denied, "not a directory"},
		{"https://127.0.0.1:1", filepath.Join(folder, "b"), false, core.Invalid, "name the pool's own store, on the host that has it"},
		{filepath.Join(folder, "none.db"), filepath.Join(folder, "b"), false, core.NotFound, "none.db"},
	} {
		if _, err := WriteBackup(t.Context(), test.url, test.file, test.withKey); !core.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s to %s: %v; want %s: %s", test.url, test.file, err, test.kind, test.says)
		}
	}
	if content, err := os.ReadFile(there); err != nil || string(content) != "precious" {
		t.Errorf("it was written over: %q, %v", content, err)
	}
}

func TestABackupIsNotLeftWithoutItsKey(t *testing.T) {
	_, _, key := opened(t, stocked(t))
	folder := t.TempDir()
	made, taken := filepath.Join(folder, "made"), filepath.Join(folder, "taken")
	for _, file := range []string{made, taken} {
		if err := os.WriteFile(file, []byte("whatever"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := Backup{File: filepath.Join(folder, "backup"), KeyFile: taken}
	if err := b.put(made, key); !core.Is(err, core.Exists) {
		t.Errorf("it ends with %v", err)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 2 {
		t.Errorf("there are %v, %v", left, err)
	}
}

func TestRestore(t *testing.T) { stockedIn(t, restore) }

func restore(t *testing.T, path string) {
	before, _, _ := opened(t, path)
	token, secret, err := before.CreateToken(t.Context(), core.TokenOrder{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	b := backedUp(t, false)
	// A worker of before, and a machine that the backup knows nothing of.
	worker, store, _ := opened(t, path)
	err = store.Update(t.Context(), func(tx core.Tx) error {
		l, err := tx.Lease("making")
		return errors.Join(err, tx.SwapLease(core.Lease{Node: "making", Holder: "worker", Generation: 8, Expires: tx.Now().Add(1 << 40)}, l.Generation))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Release(t.Context(), "a-later", core.ReleaseOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), "", b.File, RestoreOptions{}); !core.Is(err, core.Exists) || !strings.Contains(err.Error(), "has 3 unreleased machines, such as ann/taken") || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("replaced without a word: %v", err)
	}
	r, err := Restore(t.Context(), "", b.File, RestoreOptions{Replace: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(r.Quarantined, r.Failed, r.Kept, r.KeptOut); got != "[cleaning free] [ann/making ann/taken] [ann/used] [apart]" {
		t.Errorf("it says %s", got)
	}
	want := map[core.NodeID]core.State{"free": core.Quarantined, "cleaning": core.Quarantined, "apart": core.Quarantined, "taken": core.Failed, "making": core.Failed, "used": core.Deployed}
	if got := states(t, path); !maps.Equal(got, want) {
		t.Errorf("restored are %v", got)
	}
	sound(t, path)
	err = store.View(t.Context(), func(tx core.Tx) error { // who had it open is at the restored one
		for l, err := range tx.Leases() {
			if err != nil {
				return err
			}
			if l.Generation != 1_000_007 || l.Holder == "worker" || l.Expires.After(tx.Now()) || l.Free(tx.Now(), 1<<40) {
				t.Errorf("the lease %+v", l)
			}
		}
		n, err := tx.Node("free")
		if !strings.Contains(n.Reason, "it may be") && !strings.Contains(n.Reason, "restored from a backup of") || !strings.Contains(n.Reason, "metalpool node repair free") {
			t.Errorf("it does not say why: %s", n.Reason)
		}
		if _, err := tx.Allocation("a-later"); !core.Is(err, core.NotFound) {
			t.Errorf("what came after the backup: %v", err)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	// A token that was revoked since is not good again.
	if _, err := worker.Authenticate(t.Context(), secret); !core.Is(err, core.Denied) || fmt.Sprint(r.Revoked) != "["+token.ID+"]" {
		t.Errorf("let in: %v; revoked %v", err, r.Revoked)
	}
	// What was replaced is a backup itself.
	if m := mode(t, r.Aside); m != 0o600 {
		t.Errorf("%s has mode %o", r.Aside, m)
	}
	if _, err := Restore(t.Context(), "", r.Aside, RestoreOptions{Replace: true, KeepTokens: true}); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, path)
	if _, err := worker.Authenticate(t.Context(), secret); err != nil {
		t.Errorf("kept: %v", err)
	}
	if m, err := worker.Machine(t.Context(), "a-later"); err != nil || m.State != core.Released {
		t.Errorf("%+v, %v", m, err)
	}
	sound(t, path)
}

func TestRestoreElsewhere(t *testing.T) {
	stocked(t)
	with, without := backedUp(t, true), backedUp(t, false)
	fresh := func() string {
		path := filepath.Join(t.TempDir(), "deep", "pool.db")
		t.Setenv(EnvURL, path)
		return path
	}
	t.Run("with its key beside it", func(t *testing.T) {
		path := fresh()
		if r, err := Restore(t.Context(), "", with.File, RestoreOptions{}); err != nil || r.Aside != "" {
			t.Fatal(r, err)
		}
		sound(t, path)
		if m := mode(t, seal.FileOf(path)); m != 0o600 {
			t.Errorf("the key has mode %o", m)
		}
	})
	t.Run("with its key named", func(t *testing.T) {
		path := fresh()
		if _, err := Restore(t.Context(), "", without.File, RestoreOptions{KeyFile: with.KeyFile}); err != nil {
			t.Fatal(err)
		}
		sound(t, path)
	})
	t.Run("with its key in the environment", func(t *testing.T) {
		path := fresh()
		t.Setenv(EnvKey, with.KeyFile)
		if _, err := Restore(t.Context(), "", without.File, RestoreOptions{}); err != nil {
			t.Fatal(err)
		}
		sound(t, path)
		if _, err := os.Stat(seal.FileOf(path)); !os.IsNotExist(err) {
			t.Errorf("the key was written down twice: %v", err)
		}
	})
	t.Run("without its key", func(t *testing.T) {
		path := fresh()
		if _, err := Restore(t.Context(), "", without.File, RestoreOptions{}); !core.Is(err, core.Denied) || !strings.Contains(err.Error(), "sealed with key "+with.Key+", and this pool has none") {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("a store was made: %v", err)
		}
	})
	t.Run("where another pool's key is", func(t *testing.T) {
		path := fresh()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		own, err := seal.LoadOrCreate("", seal.FileOf(path))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Restore(t.Context(), "", with.File, RestoreOptions{})
		if err != nil || r.Key != own.Fingerprint() {
			t.Fatal(r.Key, err)
		}
		sound(t, path)
	})
	t.Run("where SQLite left something of a store that is gone", func(t *testing.T) {
		path := fresh()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+"-wal", bytes.Repeat([]byte("wal"), 4096), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), "", with.File, RestoreOptions{}); err != nil {
			t.Fatal(err)
		}
		sound(t, path)
	})
	t.Run("over a file that is no store any more", func(t *testing.T) {
		path := fresh()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Repeat([]byte("rubbish "), 4096), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), "", with.File, RestoreOptions{}); !core.Is(err, core.Exists) || !strings.Contains(err.Error(), "cannot be opened") {
			t.Errorf("got %v", err)
		}
		r, err := Restore(t.Context(), "", with.File, RestoreOptions{Replace: true})
		if err != nil {
			t.Fatal(err)
		}
		if rubbish, err := os.ReadFile(r.Aside); err != nil || !bytes.HasPrefix(rubbish, []byte("rubbish")) {
			t.Errorf("what was there is lost: %v", err)
		}
		sound(t, path)
	})
	t.Run("over another pool", func(t *testing.T) {
		fresh()
		path := stocked(t)
		e, _, _ := opened(t, path)
		for _, id := range []core.AllocationID{"a-taken"} {
			if err := e.Release(t.Context(), id, core.ReleaseOptions{}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Restore(t.Context(), "", with.File, RestoreOptions{}); !core.Is(err, core.Exists) {
			t.Errorf("got %v", err)
		}
	})
}

func TestRestoreRefusesWhatIsNoBackup(t *testing.T) {
	path := stocked(t)
	b := backedUp(t, false)
	content, err := os.ReadFile(b.File)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	file := func(name string, content []byte) string {
		name = filepath.Join(folder, name)
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	newer := file("newer", content)
	db, err := sql.Open("sqlite", newer)
	if err == nil {
		_, err = db.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, 1)")
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		file string
		kind core.Kind
		says string
	}{
		{newer, core.Invalid, fmt.Sprintf("has schema version 4711, and this program knows %d", b.Schema)},
		{filepath.Join(folder, "none"), core.NotFound, "none does not exist"},
		{folder, core.Denied, "is a directory"},
		{path, core.Invalid, "is no backup"},
		{file("empty", nil), core.Invalid, "is no backup"},
		{file("diary", []byte(strings.Repeat("dear diary. ", 1000))), core.Invalid, "file is not a database"},
		{file("cut", content[:len(content)/2]), core.Invalid, "malformed"},
	} {
		if _, err := Restore(t.Context(), "", test.file, RestoreOptions{Replace: true}); !core.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; want %s: %s", test.file, err, test.kind, test.says)
		}
	}
	sound(t, path)
	if got := states(t, path)["free"]; got != core.Available {
		t.Errorf("the pool was touched: %s", got)
	}
}
