package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/metalpool/metalpool/core"
)

// oldest is the first version of PostgreSQL that tells of a transaction whether it was
// committed, by an ID that does not wrap around, and is still cared for.
const oldest = 14

// config is how every connection is made.
func (s *Store) config() *pgxpool.Config {
	c := s.address.config.Copy()
	if c.ConnConfig.RuntimeParams["application_name"] == "" {
		c.ConnConfig.RuntimeParams["application_name"] = "metalpool"
	}
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	// A context that ends in the middle of a statement asks the server to stop, and
	// leaves the connection as good as it was, unless the server does not answer.
	c.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 2 * time.Second}
	}
	c.PingTimeout = 5 * time.Second
	c.AfterConnect = s.greet
	return c
}

// greet checks what a connection leads to, each time one is made: after a failover it
// may be another server than before.
//
// The settings are those that the promises of core.Store rest on. A client that
// vanished in the middle of a transaction, a suspended laptop, keeps its rows locked
// no longer than half of the others' patience. What Update has committed survives a
// power cut, whatever the server's default.
func (s *Store) greet(ctx context.Context, conn *pgx.Conn) error {
	var (
		version           int
		standby, readOnly bool
		encoding          string
		schema            *uint32
	)
	milliseconds := func(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool,
		current_setting('server_encoding'), (SELECT oid FROM pg_namespace WHERE nspname = current_schema()),
		set_config('lock_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $2, false),
		set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') = 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)`,
		pgx.QueryExecModeExec, milliseconds(s.patience), milliseconds(max(s.patience/2, leastIdle))).Scan(&version, &standby, &readOnly, &encoding, &schema, nil, nil, nil)
	if err != nil {
		return err
	}
	refuse := func(hint, format string, args ...any) error {
		return &core.Error{Op: "open the store", Kind: core.Invalid, Err: fmt.Errorf("%s "+format, append([]any{s.address.shown}, args...)...), Hint: hint}
	}
	switch {
	case version/10000 < oldest:
		return refuse("upgrade the server", "is PostgreSQL %d, and this program needs %d or newer", version/10000, oldest)
	case standby:
		return &standbyError{refuse("name the primary; where several hosts are named, add target_session_attrs=read-write", "is a hot standby, which can only be read")}
	case readOnly:
		return refuse("ALTER ROLE or ALTER DATABASE … RESET default_transaction_read_only, or open it as another user", "can only be read: default_transaction_read_only is on")
	case encoding != "UTF8":
		return refuse("create the database with: createdb --encoding=UTF8 --template=template0 NAME", "has the encoding %s, and names and messages are UTF-8", encoding)
	case schema == nil:
		return refuse("CREATE SCHEMA …, or name another one with search_path=NAME in the address", "has no schema to put tables into")
	}
	conn.PgConn().CustomData()[schemaKey] = *schema
	return nil
}

// leastIdle is how long a transaction may pause at least: whoever is that slow may just
// be on a busy host.
const leastIdle = 10 * time.Second

// schemaKey is where a connection carries the OID of the schema that it leads to.
const schemaKey = "metalpool schema"

// standbyError is a server that can only be read now: in a failover the one that is
// going to be the primary, or the one that has been.
type standbyError struct{ error }

func (e *standbyError) Unwrap() error { return e.error }
