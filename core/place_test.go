package core_test

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

// place is where a test keeps its pools.
type place interface {
	// fresh names a place for one store, gone with the test; with a picture, it holds what
	// that was taken of.
	fresh(t *testing.T, p picture) (address string)
	// picture keeps what the store at address holds, which nobody has open.
	picture(t *testing.T, address string) picture
	// drop forgets a place before the test ends.
	drop(t *testing.T, address string)
}

// picture is what a store held once, as its place keeps that; nil is nothing.
type picture any

// onEachStore runs a test once for each kind of store.
func onEachStore(t *testing.T, test func(t *testing.T, at place)) {
	t.Run("sqlite", func(t *testing.T) { test(t, inFiles{}) })
	t.Run("postgres", func(t *testing.T) { test(t, inPostgres(t)) })
}

// openAt opens a store at an address of any place, also in a process of its own.
func openAt(ctx context.Context, address string, clock func() time.Time) (core.Store, error) {
	if !strings.HasPrefix(address, "postgres:") {
		return sqlite.Open(ctx, address, sqlite.Options{Create: true, Now: clock})
	}
	store, err := postgres.Open(ctx, address, postgres.Options{Create: true})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return &clocked{Store: store, now: clock, file: u.Query().Get(clockSetting)}, nil
}

// inFiles keeps each in a file.
type inFiles struct{}

func (inFiles) fresh(t *testing.T, p picture) string {
	t.Helper()
	path := filepath.Join(memoryFolder(t), "pool.db")
	if text, some := p.([]byte); some {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// picture is the file: a store that was closed has no other.
func (inFiles) picture(t *testing.T, address string) picture {
	t.Helper()
	text, err := os.ReadFile(address)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (inFiles) drop(t *testing.T, address string) {
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

// inPostgres is called outside of bubbles: it may start the server.
func inPostgres(t *testing.T) place {
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
	store, err := openAt(t.Context(), at.address(schema, 0), time.Now)
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (at inSchemas) fresh(t *testing.T, p picture) string {
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
	t.Cleanup(func() { at.drop(t, address) })
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

// picture is the schema itself, which is used for nothing else from then on.
func (at inSchemas) picture(_ *testing.T, address string) picture {
	schemas.mu.Lock()
	defer schemas.mu.Unlock()
	schema := schemas.used[address]
	delete(schemas.used, address)
	return schema
}

func (at inSchemas) drop(_ *testing.T, address string) {
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
