package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

//go:embed migrations
var migrations embed.FS

// header is what a store tells about itself in one look.
type header struct {
	foreign bool  // the schema has tables, and they are not a store's
	schema  int64 // 0: not made yet
	poolID  string
	sealing core.Sealing
	copy    string
	moved   string // a record.Mark
}

// ready brings the store to this program's schema and checks that it may be used. A
// store that is as it should be is only read.
func (s *Store) ready(ctx context.Context, o Options) error {
	want, err := record.Newest(migrations)
	if err != nil {
		return record.Broken("open the store", err)
	}
	conn, err := s.first(ctx)
	if err != nil {
		return s.explain("open the store", err)
	}
	defer conn.Release()
	s.schema, _ = conn.Conn().PgConn().CustomData()[schemaKey].(uint32)
	h, err := readHeader(ctx, conn)
	if err != nil {
		return s.explain("open the store", err)
	}
	if err := s.acceptable(h, want, o); err != nil {
		return err
	}
	if h.schema != want || h.poolID == "" || (h.sealing.Fingerprint == "" && o.KeyFingerprint != "") {
		if h, err = s.prepare(ctx, conn.Conn(), want, o); err != nil {
			return s.explain("prepare the store", err)
		}
	}
	s.info.PoolID, s.info.Schema, s.info.Sealing, s.info.Copy = h.poolID, h.schema, h.sealing, h.copy
	if s.info.Moved, err = record.Moved(h.moved); err != nil {
		return record.Broken("open the store", err)
	}
	s.mover.Knows(h.moved)
	s.key = o.KeyFingerprint
	return nil
}

// prepare makes or migrates the store while no writer is at it.
func (s *Store) prepare(ctx context.Context, conn *pgx.Conn, want int64, o Options) (h header, err error) {
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1::int4, $2::int4)", writers, int32(s.schema)); err != nil {
		return h, err
	}
	defer func() {
		// A connection that broke has let go already.
		_, _ = conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1::int4, $2::int4)", writers, int32(s.schema))
	}()
	// Another process may have done it, or brought a newer schema, while we waited.
	if h, err = readHeader(ctx, conn); err != nil {
		return h, err
	}
	if err := s.acceptable(h, want, o); err != nil {
		return h, err
	}
	if h.schema < want {
		if err := s.migrate(ctx); err != nil {
			return h, err
		}
	}
	for name, value := range record.FirstMeta(o.KeyFingerprint) {
		if _, err := conn.Exec(ctx, "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, value); err != nil {
			return h, err
		}
	}
	if h, err = readHeader(ctx, conn); err != nil {
		return h, err
	}
	return h, s.acceptable(h, want, o)
}

func (s *Store) migrate(ctx context.Context) (err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*s.address.config.ConnConfig)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// querier is a connection, or a transaction on it.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func readHeader(ctx context.Context, conn querier) (header, error) {
	var h header
	var tables, versioned, meta int
	err := conn.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE relname = 'goose_db_version'), count(*) FILTER (WHERE relname = 'meta')
		FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')`).Scan(&tables, &versioned, &meta)
	if err != nil {
		return h, err
	}
	if versioned == 0 {
		h.foreign = tables > 0
		return h, nil
	}
	if err := conn.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&h.schema); err != nil {
		return h, err
	}
	if meta == 0 {
		// Somebody else's, or ours made by halves: the version's table, and no more.
		h.foreign = tables > 1
		return h, nil
	}
	err = conn.QueryRow(ctx, "SELECT coalesce(max(value) FILTER (WHERE key = '"+record.MetaPool+"'), ''), coalesce(max(value) FILTER (WHERE key = '"+record.MetaKey+"'), ''), coalesce(max(value) FILTER (WHERE key = '"+record.MetaDigest+"'), ''), coalesce(max(value) FILTER (WHERE key = '"+record.MetaCopy+"'), ''), coalesce(max(value) FILTER (WHERE key = '"+record.MetaMoved+"'), '') FROM meta").
		Scan(&h.poolID, &h.sealing.Fingerprint, &h.sealing.Digest, &h.copy, &h.moved)
	return h, err
}

// acceptable refuses what must not be written to: somebody else's tables, a newer
// schema, secrets under another key; and to make a store that nobody asked for.
func (s *Store) acceptable(h header, want int64, o Options) error {
	refuse := func(kind core.Kind, hint, format string, args ...any) error {
		return &core.Error{Op: "open the store", Kind: kind, Err: fmt.Errorf("%s "+format, append([]any{s.address.shown}, args...)...), Hint: hint}
	}
	switch {
	case h.foreign:
		return refuse(core.Invalid, "name another database in METALPOOL_URL, or a schema of its own with search_path=NAME", "has tables of another program")
	case h.schema > want:
		return refuse(core.Invalid, "update this program on every host that uses the store", "has schema version %d, and this program knows %d", h.schema, want)
	case h.poolID == "" && !o.Create:
		return refuse(core.NotFound, "enroll a node to make one, or name the right database in METALPOOL_URL", "holds no pool")
	case h.moved != "" && !o.Moved:
		return s.mover.Here(s.address.shown, h.moved)
	case o.KeyFingerprint != "" && h.sealing.Fingerprint != "" && o.KeyFingerprint != h.sealing.Fingerprint:
		return refuse(core.Denied, "give the key that the store is sealed with in METALPOOL_KEY", "is sealed with key %s, and the key given is %s", h.sealing.Fingerprint, o.KeyFingerprint)
	}
	return nil
}
