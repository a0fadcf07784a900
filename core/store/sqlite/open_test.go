package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

// made is the path of a store that was made and closed.
func made(t *testing.T, o sqlite.Options) string {
	t.Helper()
	o.Create = true
	path := filepath.Join(t.TempDir(), "pool.db")
	closed(t, path, o)
	return path
}

// closed opens and closes a store, and returns what it said of itself.
func closed(t *testing.T, path string, o sqlite.Options) core.StoreInfo {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return s.Info()
}

// tamper runs statements on the file behind the store's back.
func tamper(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// query reads one text of the file behind the store's back.
func query(t *testing.T, path, statement string) (text string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), statement).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		make    func(t *testing.T) string
		options sqlite.Options
		want    core.Kind
		says    []string
	}{
		"no file": {
			make: func(t *testing.T) string { return filepath.Join(t.TempDir(), "pool.db") },
			want: core.NotFound, says: []string{"pool.db does not exist", "enroll a node"},
		},
		"no folder": {
			make: func(t *testing.T) string { return filepath.Join(t.TempDir(), "typo", "pool.db") },
			want: core.NotFound, says: []string{"typo/pool.db", "the folder does not exist"},
		},
		"a folder": {
			make: func(t *testing.T) string { return t.TempDir() },
			want: core.Invalid, says: []string{"is a directory", "pool.db"},
		},
		"a file for a folder": {
			make: func(t *testing.T) string { return filepath.Join(made(t, sqlite.Options{}), "pool.db") },
			want: core.Denied, options: sqlite.Options{Create: true}, says: []string{"not a directory"},
		},
		"a device": {
			make: func(*testing.T) string { return "/dev/null" },
			want: core.Invalid, says: []string{"/dev/null is not a regular file"},
		},
		"no database": {
			make: func(t *testing.T) string {
				path := filepath.Join(t.TempDir(), "pool.db")
				write(t, path, []byte(strings.Repeat("this is my diary. ", 1000)))
				return path
			},
			want: core.Invalid, options: sqlite.Options{Create: true}, says: []string{"pool.db", "file is not a database", "name another path"},
		},
		"another program's database": {
			make: func(t *testing.T) string {
				path := filepath.Join(t.TempDir(), "pool.db")
				tamper(t, path, "CREATE TABLE bookmarks (url TEXT)")
				return path
			},
			want: core.Invalid, options: sqlite.Options{Create: true}, says: []string{"another program"},
		},
		"another program's database, with the same library for migrations": {
			make: func(t *testing.T) string {
				path := filepath.Join(t.TempDir(), "pool.db")
				tamper(t, path, "CREATE TABLE goose_db_version (version_id INTEGER, is_applied INTEGER)", "INSERT INTO goose_db_version VALUES (20240101, 1)", "CREATE TABLE bookmarks (url TEXT)")
				return path
			},
			want: core.Invalid, options: sqlite.Options{Create: true}, says: []string{"another program"},
		},
		"a newer schema": {
			make: func(t *testing.T) string {
				path := made(t, sqlite.Options{})
				tamper(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, 1)")
				return path
			},
			want: core.Invalid, options: sqlite.Options{Create: true}, says: []string{"schema version 4711", "this program knows ", "update this program"},
		},
		"another key": {
			make: func(t *testing.T) string { return made(t, sqlite.Options{KeyFingerprint: "aaaa"}) },
			want: core.Denied, options: sqlite.Options{KeyFingerprint: "bbbb"}, says: []string{"key aaaa", "bbbb", "METALPOOL_KEY"},
		},
		"cut short": {
			make: func(t *testing.T) string {
				path := made(t, sqlite.Options{})
				if err := os.Truncate(path, 8192); err != nil {
					t.Fatal(err)
				}
				return path
			},
			want: core.Invalid, says: []string{"the store is damaged", "restore a backup"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := c.make(t)
			s, err := sqlite.Open(t.Context(), path, c.options)
			if err == nil {
				t.Fatal(errors.Join(errors.New("it was opened"), s.Close()))
			}
			if !core.Is(err, c.want) {
				t.Errorf("got %v; want an error of kind %q", err, c.want)
			}
			for _, part := range append(c.says, path) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamageInside(t *testing.T) {
	path := made(t, sqlite.Options{})
	damaged, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096 * 3; i < len(damaged); i++ { // the header and the schema stay whole
		damaged[i] = 0xA5
	}
	write(t, path, damaged)
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err == nil {
		err = errors.Join(s.Update(t.Context(), func(tx core.Tx) error {
			for _, err := range tx.Nodes(core.NodeFilter{}) {
				return err
			}
			return nil
		}), s.Close())
	}
	if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}

func TestKeyIsRecordedOnce(t *testing.T) {
	path := made(t, sqlite.Options{})
	closed(t, path, sqlite.Options{KeyFingerprint: "aaaa"}) // the first that comes
	closed(t, path, sqlite.Options{KeyFingerprint: "aaaa"})
	closed(t, path, sqlite.Options{}) // one who opens no secret needs none
	if s, err := sqlite.Open(t.Context(), path, sqlite.Options{KeyFingerprint: "bbbb"}); !core.Is(err, core.Denied) {
		t.Errorf("%v was opened with another key: %v", s, err)
	}
}

// TestMakingGoesOn leaves a store as a creator that was killed may have.
func TestMakingGoesOn(t *testing.T) {
	latest := closed(t, filepath.Join(t.TempDir(), "pool.db"), sqlite.Options{Create: true}).Schema
	for name, left := range map[string]func(t *testing.T, path string){
		"an empty file": func(t *testing.T, path string) { write(t, path, nil) },
		"in WAL mode":   func(t *testing.T, path string) { tamper(t, path, "PRAGMA journal_mode = wal") },
		"no version yet": func(t *testing.T, path string) {
			copyOf(t, path, "DROP", "DELETE FROM goose_db_version WHERE version_id > 0")
		},
		"no pool ID yet": func(t *testing.T, path string) { copyOf(t, path, "", "DELETE FROM meta") },
		"by another way": func(t *testing.T, path string) { copyOf(t, path, "", "PRAGMA journal_mode = delete") },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pool.db")
			left(t, path)
			first := closed(t, path, sqlite.Options{})
			if first.PoolID == "" || first.Schema != latest {
				t.Errorf("info %+v", first)
			}
			if again := closed(t, path, sqlite.Options{}); again != first {
				t.Errorf("first %+v, then %+v", first, again)
			}
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			var mode string
			if err := db.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
				t.Errorf("journal mode %q, %v", mode, err)
			}
		})
	}
}

// copyOf makes a store at path and tampers with it; with "DROP", all tables but
// the versions' go.
func copyOf(t *testing.T, path, drop string, statement string) {
	t.Helper()
	closed(t, path, sqlite.Options{Create: true})
	if drop != "" {
		tables := query(t, path, "SELECT group_concat(name) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name <> 'goose_db_version'")
		for table := range strings.SplitSeq(tables, ",") {
			tamper(t, path, "DROP TABLE "+table)
		}
	}
	tamper(t, path, statement)
}

func TestNobodyElseReadsTheStore(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "folder")
	s, err := sqlite.Open(t.Context(), filepath.Join(folder, "pool.db"), sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Update(t.Context(), func(tx core.Tx) error { return tx.PutPool(core.Pool{Name: "p"}) }); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder %v, %v", info.Mode(), err)
	}
	files, err := os.ReadDir(folder)
	if err != nil || len(files) != 5 {
		t.Errorf("%v, %v; want pool.db, -wal, -shm, .lock and .queue", files, err)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", file.Name(), info.Mode(), err)
		}
	}
}

func TestPathsAreTakenAsTheyAre(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a b?mode=ro&x=%41#c.db")
	first := closed(t, path, sqlite.Options{Create: true})
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	link := filepath.Join(folder, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if linked := closed(t, link, sqlite.Options{}); linked != first {
		t.Errorf("by the link %+v, else %+v", linked, first)
	}
	t.Chdir(folder)
	if relative := closed(t, filepath.Base(path), sqlite.Options{}); relative != first {
		t.Errorf("relative %+v, else %+v", relative, first)
	}
}

// TestOpenAsSomebodyElse opens stores in a process that is not root, since root
// may do everything.
func TestOpenAsSomebodyElse(t *testing.T) {
	path := made(t, sqlite.Options{})
	folder := filepath.Dir(path)
	if err := os.Chmod(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	uid := os.Getuid()
	if uid == 0 {
		uid = 65534
	}
	for _, c := range []struct {
		name         string
		folder, file os.FileMode
	}{
		{"folder not to be written", 0o555, 0o666},
		{"file not to be read", 0o777, 0},
		{"file not to be written", 0o777, 0o444},
		{"folder not to be entered", 0, 0o666},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := errors.Join(os.Chmod(path, c.file), os.Chmod(folder, c.folder)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
			cmd.Env = append(os.Environ(), openAs+"="+path)
			if os.Getuid() == 0 {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for _, part := range []string{"denied:", path, "user " + strconv.Itoa(uid)} {
				if !strings.Contains(string(out), part) {
					t.Errorf("%q does not say %q", out, part)
				}
			}
		})
	}
}

// openAs names a store that a child process is to open; see TestMain.
const openAs = "METALPOOL_SQLITE_TEST_OPEN"

// openAndTell opens the store, writes to it, and prints what came of it.
func openAndTell(path string) {
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err == nil {
		err = errors.Join(s.Update(context.Background(), func(tx core.Tx) error { return tx.PutPool(core.Pool{Name: "p"}) }), s.Close())
	}
	fmt.Println(err)
}

// A store that the first version made is brought to this one's schema, and keeps all
// that it holds.
func TestAnOlderStoreIsMigrated(t *testing.T) {
	path := made(t, sqlite.Options{})
	node := core.Node{ID: "n1", State: core.Available, Pool: "p", Hardware: core.Hardware{
		Memory: 64*core.GiB + 1, CPUs: 32, GPUs: make([]core.GPU, 2), Disks: []core.Disk{{Size: 480e9}, {Size: 3840e9}, {Size: core.TiB, Removable: true}},
	}}
	bare := core.Node{ID: "n2", State: core.Available, Pool: "p"}
	before, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Update(t.Context(), func(tx core.Tx) error { return errors.Join(tx.InsertNode(node), tx.InsertNode(bare)) }); err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, path,
		"DROP INDEX nodes_by_state", "CREATE INDEX nodes_by_state ON nodes (state, pool)", "ALTER TABLE nodes DROP COLUMN worth",
		"ALTER TABLE events DROP COLUMN bytes", "DROP TABLE tokens", "DROP TABLE audit", "DROP TABLE owners", "DROP TABLE steps", "DROP TABLE profiles", "DROP TABLE authorities", "DROP INDEX allocations_by_end", "ALTER TABLE allocations DROP COLUMN until", "DELETE FROM goose_db_version WHERE version_id > 1",
		"INSERT INTO events (at, node, allocation, attempt, generation, type, before, after, trigger, step, message, process) VALUES (1, 'n1', '', '', 0, 'note', '', '', '', '', 'from long ago', '')")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var found []core.Event
	err = s.Update(t.Context(), func(tx core.Tx) error {
		if err := tx.AddEvent(core.Event{Node: "n1", Type: core.StepMet, Bytes: core.GiB}); err != nil {
			return err
		}
		found = nil
		for ev, err := range tx.Events(core.EventFilter{Node: "n1"}) {
			if err != nil {
				return err
			}
			found = append(found, ev)
		}
		return nil
	})
	if err != nil || len(found) != 2 || found[0].Message != "from long ago" || found[1].Bytes != core.GiB || s.Info().Schema != 7 {
		t.Errorf("schema %d holds %+v, %v", s.Info().Schema, found, err)
	}
	for _, n := range []core.Node{node, bare} {
		if got := query(t, path, "SELECT worth FROM nodes WHERE id = '"+string(n.ID)+"'"); got != n.Hardware.Worth() {
			t.Errorf("%s is worth %q, want %q", n.ID, got, n.Hardware.Worth())
		}
	}
}
