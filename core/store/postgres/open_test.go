package postgres_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/internal/pgtest"
)

const secret = "s3cret"

// freePort is a port of the loopback that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestOpenRefuses(t *testing.T) {
	server := pgtest.Shared(t)
	there := func(t *testing.T, o postgres.Options, statements ...string) string {
		t.Helper()
		address := server.Fresh(t)
		o.Create = true
		s, err := postgres.Open(t.Context(), address, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		behind(t, address, statements...)
		return address
	}
	for name, c := range map[string]struct {
		make    func(t *testing.T) string
		options postgres.Options
		want    core.Kind
		says    []string
	}{
		"no address": {
			make: func(*testing.T) string { return "postgres://u:" + secret + "%zz@h/db" },
			want: core.Invalid, says: []string{"not one of PostgreSQL", "postgres://user@host:5432/database"},
		},
		"no port": {
			make: func(*testing.T) string { return "postgres://u:" + secret + "@h:port/db" },
			want: core.Invalid, says: []string{"postgres://user@host"},
		},
		"no such setting": {
			make: func(*testing.T) string { return "postgres://u:" + secret + "@h/db?sslmode=" + secret },
			want: core.Invalid, says: []string{"postgres://h/db"},
		},
		"nobody listens": {
			make: func(t *testing.T) string {
				return fmt.Sprintf("postgres://u:%s@127.0.0.1:%d/db", secret, freePort(t))
			},
			want: core.Transient, says: []string{"connection refused", "see whether the server runs"},
		},
		"no database": {
			make: func(*testing.T) string { return server.URL("typo", "password="+secret) },
			want: core.NotFound, says: []string{`database "typo" does not exist`, "createdb --encoding=UTF8 --template=template0 typo"},
		},
		"no schema": {
			make:    func(*testing.T) string { return server.URL("postgres", "search_path=typo") },
			options: postgres.Options{Create: true},
			want:    core.Invalid, says: []string{"has no schema", "CREATE SCHEMA"},
		},
		"no store": {
			make: func(t *testing.T) string { return server.Fresh(t) },
			want: core.NotFound, says: []string{"holds no pool", "enroll a node"},
		},
		"another program's tables": {
			make: func(t *testing.T) string {
				address := server.Fresh(t)
				behind(t, address, "CREATE TABLE bookmarks (url text)")
				return address
			},
			options: postgres.Options{Create: true},
			want:    core.Invalid, says: []string{"tables of another program", "search_path"},
		},
		"another program's tables, with the same library for migrations": {
			make: func(t *testing.T) string {
				address := server.Fresh(t)
				behind(t, address, "CREATE TABLE goose_db_version (version_id bigint, is_applied bool)", "INSERT INTO goose_db_version VALUES (20240101, true)", "CREATE TABLE bookmarks (url text)")
				return address
			},
			options: postgres.Options{Create: true},
			want:    core.Invalid, says: []string{"tables of another program"},
		},
		"a newer schema": {
			make: func(t *testing.T) string {
				return there(t, postgres.Options{}, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, true)")
			},
			want: core.Invalid, says: []string{"schema version 4711", "this program knows ", "update this program"},
		},
		"another key": {
			make:    func(t *testing.T) string { return there(t, postgres.Options{KeyFingerprint: "aaaa"}) },
			options: postgres.Options{KeyFingerprint: "bbbb"},
			want:    core.Denied, says: []string{"key aaaa", "bbbb", "METALPOOL_KEY"},
		},
		"another encoding": {
			make: func(t *testing.T) string {
				server.Exec(t, "postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
				t.Cleanup(func() { server.Exec(t, "postgres", "DROP DATABASE latin WITH (FORCE)") })
				return server.URL("latin")
			},
			want: core.Invalid, says: []string{"encoding LATIN1", "createdb --encoding=UTF8"},
		},
		"only for reading": {
			make: func(t *testing.T) string {
				return server.URL("postgres", "default_transaction_read_only=on")
			},
			want: core.Invalid, says: []string{"can only be read", "default_transaction_read_only"},
		},
		"no right to make tables": {
			make: func(t *testing.T) string {
				server.Exec(t, "postgres", "CREATE ROLE guest LOGIN", "CREATE DATABASE guarded TEMPLATE template0", "REVOKE ALL ON DATABASE guarded FROM PUBLIC", "GRANT CONNECT ON DATABASE guarded TO guest")
				server.Exec(t, "guarded", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
				t.Cleanup(func() { server.Exec(t, "postgres", "DROP DATABASE guarded WITH (FORCE)", "DROP ROLE guest") })
				return strings.Replace(server.URL("guarded"), "postgres@", "guest@", 1)
			},
			options: postgres.Options{Create: true},
			want:    core.Denied, says: []string{"permission denied", `make user "guest" the owner of the database`},
		},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, c.make(t), c.options, c.want, c.says...) })
	}
}

func refuses(t *testing.T, address string, o postgres.Options, want core.Kind, says ...string) {
	t.Helper()
	s, err := postgres.Open(t.Context(), address, o)
	if err == nil {
		t.Fatal(errors.Join(errors.New("it was opened"), s.Close()))
	}
	if !core.Is(err, want) {
		t.Errorf("got %v; want an error of kind %q", err, want)
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), secret) || strings.ContainsAny(err.Error(), "\n\t") {
		t.Errorf("%q tells a secret, or more than a line", err)
	}
}

// behind runs statements behind the store's back.
func behind(t *testing.T, address string, statements ...string) {
	t.Helper()
	conn := connect(t, address)
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// TestPassword: the password comes from the address or from PGPASSFILE, and is told
// nowhere.
func TestPassword(t *testing.T) {
	port := freePort(t)
	server := pgtest.Own(t, "listen_addresses=127.0.0.1", fmt.Sprintf("port=%d", port))
	server.Exec(t, "postgres", "CREATE ROLE ann LOGIN PASSWORD '"+secret+"'", "CREATE DATABASE pool OWNER ann TEMPLATE template0 ENCODING 'UTF8'")
	hba := "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(server.Data(), "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "postgres", "SELECT pg_reload_conf()")
	at := func(password string) string { return fmt.Sprintf("postgres://ann%s@127.0.0.1:%d/pool", password, port) }
	pass := filepath.Join(t.TempDir(), "pgpass")
	t.Setenv("PGPASSFILE", pass)

	refuses(t, at(":not-"+secret), postgres.Options{Create: true}, core.Denied, "password authentication failed", "PGPASSFILE")
	refuses(t, at(""), postgres.Options{Create: true}, core.Denied, "PGPASSFILE")
	if err := os.WriteFile(pass, []byte("*:*:*:ann:"+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{":" + secret, ""} {
		store := opened(t, at(password), postgres.Options{Create: true})
		if got, want := store.Info().URL, fmt.Sprintf("postgres://127.0.0.1:%d/pool", port); got != want {
			t.Errorf("the store says that it is at %s, want %s", got, want)
		}
	}
	refuses(t, at(":"+secret)+"?sslmode=require", postgres.Options{}, core.Transient, "TLS")
}

// TestStandby: a server that can only be read is refused, and one that is promoted while
// a writer waits is written to.
func TestStandby(t *testing.T) {
	server := pgtest.Own(t)
	store := opened(t, server.URL("postgres"), postgres.Options{Create: true})
	if err := server.Stop(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	signal := filepath.Join(server.Data(), "standby.signal")
	if err := os.WriteFile(signal, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	refuses(t, server.URL("postgres"), postgres.Options{}, core.Invalid, "hot standby", "name the primary")
	wrote := make(chan error)
	go func() { wrote <- store.Update(t.Context(), add("after the failover")) }()
	server.Exec(t, "postgres", "SELECT pg_promote()")
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	wantMessages(t, store, "after the failover")
}

// TestWait: a row that another transaction keeps locked is waited for with patience.
func TestWait(t *testing.T) {
	holder, address := made(t)
	waiter := opened(t, address, postgres.Options{Patience: time.Second})
	take := func(tx core.Tx) error {
		l, err := tx.Lease("n")
		if err != nil {
			return err
		}
		return tx.SwapLease(core.Lease{Node: "n", Generation: l.Generation + 1}, l.Generation)
	}
	if err := holder.Update(t.Context(), take); err != nil {
		t.Fatal(err)
	}
	err := holder.Update(t.Context(), func(tx core.Tx) error {
		err := waiter.Update(t.Context(), take)
		if err == nil {
			err = take(tx)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = holder.Update(t.Context(), func(tx core.Tx) error {
		if err := take(tx); err != nil {
			return err
		}
		err := waiter.Update(t.Context(), take)
		if !core.Is(err, core.Busy) || errors.Is(err, core.ErrConflict) || !strings.Contains(err.Error(), "another transaction holds the same rows") {
			t.Errorf("got %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := waiter.Update(t.Context(), take); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestKeyIsRecordedOnce(t *testing.T) {
	_, address := made(t)
	opened(t, address, postgres.Options{KeyFingerprint: "aaaa"}) // the first that comes
	opened(t, address, postgres.Options{KeyFingerprint: "aaaa"})
	opened(t, address, postgres.Options{}) // one who opens no secret needs none
	refuses(t, address, postgres.Options{KeyFingerprint: "bbbb"}, core.Denied, "aaaa")
}

// TestMakingGoesOn leaves a store as a creator that was killed may have.
func TestMakingGoesOn(t *testing.T) {
	const dropAll = `DO $$ DECLARE name text; BEGIN
		FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'goose_db_version' LOOP
			EXECUTE format('DROP TABLE %I CASCADE', name);
		END LOOP; END $$`
	for name, left := range map[string][]string{
		"no version yet": {dropAll, "DROP SEQUENCE numbers", "DELETE FROM goose_db_version WHERE version_id > 0"},
		"no pool ID yet": {"DELETE FROM meta"},
	} {
		t.Run(name, func(t *testing.T) {
			store, address := made(t)
			behind(t, address, left...)
			first := opened(t, address, postgres.Options{Create: true}).Info()
			if first.PoolID == "" || first.Schema != store.Info().Schema {
				t.Errorf("info %+v", first)
			}
			if again := opened(t, address, postgres.Options{}).Info(); again != first {
				t.Errorf("first %+v, then %+v", first, again)
			}
		})
	}
}

// A store that the first version made is brought to this one's schema, and keeps all
// that it holds.
func TestAnOlderStoreIsMigrated(t *testing.T) {
	store, address := made(t)
	if err := store.Update(t.Context(), func(tx core.Tx) error {
		return errors.Join(tx.InsertNode(core.Node{ID: "n1", Pool: "p"}), add("from long ago")(tx))
	}); err != nil {
		t.Fatal(err)
	}
	behind(t, address, "DROP TABLE owners", "DROP TABLE steps", "DROP TABLE profiles", "DROP TABLE authorities", "ALTER TABLE allocations DROP COLUMN until", "DELETE FROM goose_db_version WHERE version_id > 1")
	newer := opened(t, address, postgres.Options{})
	if newer.Info() != store.Info() {
		t.Errorf("the store is %+v, want %+v", newer.Info(), store.Info())
	}
	wantMessages(t, newer, "from long ago")
	if err := newer.Update(t.Context(), func(tx core.Tx) error { return tx.PutOwner(core.Owner{Name: "ann"}) }); err != nil {
		t.Error(err)
	}
}
