// Package placetest keeps stores for tests that run on each kind of them, also in bubbles
// of testing/synctest.
package placetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// Place is where a test keeps its stores.
type Place interface {
	// Fresh names a place for one store, gone with the test; with a picture, it holds what
	// that was taken of.
	Fresh(t *testing.T, p Picture) (address string)
	// Picture keeps what the store at address holds, which nobody has open.
	Picture(t *testing.T, address string) Picture
	// Drop forgets a place before the test ends.
	Drop(t *testing.T, address string)
}

// Picture is what a store held once, as its place keeps that; nil is nothing.
type Picture any

// Each runs a test once for each kind of store. It is called outside of bubbles.
func Each(t *testing.T, test func(t *testing.T, at Place)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, Files{}) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// Options say how a store is opened.
type Options struct {
	Now            func() time.Time // the store's clock; default: time.Now
	KeyFingerprint string           // see the stores' own
}

// Open opens a store at an address of any place, also in a process of its own.
func Open(ctx context.Context, address string, o Options) (core.Store, error) {
	if !strings.HasPrefix(address, "postgres:") {
		return sqlite.Open(ctx, address, sqlite.Options{Create: true, Now: o.Now, KeyFingerprint: o.KeyFingerprint})
	}
	store, err := postgres.Open(ctx, address, postgres.Options{Create: true, KeyFingerprint: o.KeyFingerprint})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &clocked{Store: store, now: o.Now, file: u.Query().Get(clockSetting)}, nil
}

// Files keeps each in a file.
type Files struct{}

// Fresh is a new folder with the file, or with none yet.
func (Files) Fresh(t *testing.T, p Picture) string {
	t.Helper()
	path := filepath.Join(memoryFolder(t), "pool.db")
	if text, some := p.([]byte); some {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// Picture is the file: a store that was closed has no other.
func (Files) Picture(t *testing.T, address string) Picture {
	t.Helper()
	text, err := os.ReadFile(address)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Drop removes the folder.
func (Files) Drop(t *testing.T, address string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Dir(address)); err != nil {
		t.Error(err)
	}
}

// memoryFolder is a folder that is gone with the test, in memory where there is
// such a place: a sweep commits tens of thousands of times.
func memoryFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "metalpool-") //nolint:usetesting // t.TempDir is not in memory
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// inSchemas keeps each in a schema of a database, of a real server.
//
// These tests run in bubbles of testing/synctest. To wait for the server's answer is not
// to be idle there, so that no time passes in the meantime. But a lease runs by the
// server's clock, which is to be the bubble's: the server's transaction_timestamp is one
// of ours, which reads it from a file, and that is written before each transaction.
type inSchemas struct{ server *pgtest.Server }

const (
	clockSchema  = "bubble"
	clockSetting = "bubble.clock"
	emptySchema  = "empty"
)

// Postgres keeps each in a schema of a real server. It is called outside of bubbles: it may start the server.
func Postgres(t *testing.T) Place {
	t.Helper()
	at := inSchemas{pgtest.Shared(t)}
	schemas.once.Do(func() {
		at.server.Exec(t, "postgres",
			"CREATE SCHEMA "+clockSchema,
			"CREATE FUNCTION "+clockSchema+".transaction_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_read_file(current_setting('"+clockSetting+"'))::timestamptz $$",
		)
		at.make(t, emptySchema)
	})
	return at
}

// schemas are used again: to make one takes far longer than a story in it.
var schemas struct {
	once sync.Once
	mu   sync.Mutex
	uses int
	idle []string
	used map[string]string // by address
}

// address puts our functions before PostgreSQL's own. It is another one for each use.
func (at inSchemas) address(schema string, use int) string {
	return at.server.URL("postgres", fmt.Sprintf("application_name=use-%d", use), "search_path="+schema+","+clockSchema+",pg_catalog", clockSetting+"="+filepath.Join(at.server.Data(), "clock-"+schema))
}

func (at inSchemas) make(t *testing.T, schema string) {
	t.Helper()
	at.server.Exec(t, "postgres", "CREATE SCHEMA "+schema)
	store, err := Open(t.Context(), at.address(schema, 0), Options{})
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (at inSchemas) Fresh(t *testing.T, p Picture) string {
	t.Helper()
	schemas.mu.Lock()
	schema := ""
	if last := len(schemas.idle) - 1; last >= 0 {
		schema, schemas.idle = schemas.idle[last], schemas.idle[:last]
	}
	schemas.uses++
	use := schemas.uses
	schemas.mu.Unlock()
	if schema == "" {
		schema = fmt.Sprintf("story_%d", use)
		at.make(t, schema)
	}
	from, some := p.(string)
	if !some {
		from = emptySchema
	}
	at.server.Exec(t, "postgres", fmt.Sprintf(copySchema, schema, from))
	address := at.address(schema, use)
	schemas.mu.Lock()
	defer schemas.mu.Unlock()
	if schemas.used == nil {
		schemas.used = map[string]string{}
	}
	schemas.used[address] = schema
	t.Cleanup(func() { at.Drop(t, address) })
	return address
}

// copySchema makes all rows of one schema those of another.
const copySchema = `DO $$ DECLARE name text; BEGIN
	SET LOCAL session_replication_role = replica;
	FOR name IN SELECT relname FROM pg_class WHERE relnamespace = '%[2]s'::regnamespace AND relkind = 'r' LOOP
		EXECUTE format('DELETE FROM %[1]s.%%I', name);
		EXECUTE format('INSERT INTO %[1]s.%%1$I OVERRIDING SYSTEM VALUE SELECT * FROM %[2]s.%%1$I', name);
	END LOOP;
	FOR name IN SELECT relname FROM pg_class WHERE relnamespace = '%[2]s'::regnamespace AND relkind = 'S' LOOP
		EXECUTE format('SELECT setval(''%[1]s.%%1$I'', last_value, is_called) FROM %[2]s.%%1$I', name);
	END LOOP;
END $$`

// Picture is the schema itself, which is used for nothing else from then on.
func (at inSchemas) Picture(_ *testing.T, address string) Picture {
	schemas.mu.Lock()
	defer schemas.mu.Unlock()
	schema := schemas.used[address]
	delete(schemas.used, address)
	return schema
}

func (at inSchemas) Drop(_ *testing.T, address string) {
	schemas.mu.Lock()
	defer schemas.mu.Unlock()
	if schema, used := schemas.used[address]; used {
		delete(schemas.used, address)
		schemas.idle = append(schemas.idle, schema)
	}
}

// clocked tells the server what time it is.
type clocked struct {
	core.Store
	now  func() time.Time
	file string

	mu   sync.Mutex
	last string
}

func (c *clocked) View(ctx context.Context, fn func(tx core.Tx) error) error {
	if err := c.tell(); err != nil {
		return err
	}
	return c.Store.View(ctx, fn)
}

func (c *clocked) Update(ctx context.Context, fn func(tx core.Tx) error) error {
	if err := c.tell(); err != nil {
		return err
	}
	return c.Store.Update(ctx, fn)
}

// tell writes the time down, whole or not at all.
func (c *clocked) tell() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now().UTC().Format("2006-01-02T15:04:05.000000Z")
	if now == c.last {
		return nil
	}
	draft := fmt.Sprintf("%s-%d-%p", c.file, os.Getpid(), c)
	if err := os.WriteFile(draft, []byte(now), 0o644); err != nil { //nolint:gosec // the server is another user
		return err
	}
	c.last = now
	return os.Rename(draft, c.file)
}
