package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

//go:embed migrations
var migrations embed.FS

// header is what a store tells about itself in one look.
type header struct {
	foreign bool  // it has tables, and they are not a store's
	schema  int64 // 0: not made yet
	journal string
	poolID  string
	sealing core.Sealing
	copy    string
	moved   string // a record.Mark
	taken   string // when it was made as a backup; "" for a store
}

// ready brings the store to this program's schema and checks that it may be used.
// A store that is as it should be is only read.
func (s *Store) ready(ctx context.Context, o Options) error {
	want, err := record.Newest(migrations)
	if err != nil {
		return record.Broken("open the store", err)
	}
	session, err := s.session(ctx)
	if err != nil {
		return err
	}
	defer s.giveBack(session)
	h, err := readHeader(session)
	if err != nil {
		return s.explain("open the store", err)
	}
	if err := s.acceptable(h, want, o); err != nil {
		return err
	}
	if h.schema != want || h.journal != "wal" || h.poolID == "" || (h.sealing.Fingerprint == "" && o.KeyFingerprint != "") {
		if h, err = s.prepare(ctx, session, want, o); err != nil {
			return err
		}
	}
	s.info.PoolID, s.info.Schema, s.info.Sealing, s.info.Copy = h.poolID, h.schema, h.sealing, h.copy
	if s.info.Moved, err = record.Moved(h.moved); err != nil {
		return record.Broken("open the store", err)
	}
	s.mover.Knows(h.moved)
	s.key = o.KeyFingerprint
	if h.taken != "" {
		if s.taken, err = time.Parse(time.RFC3339Nano, h.taken); err != nil {
			return record.Broken("open the backup", err)
		}
	}
	return nil
}

// prepare makes or migrates the store while no other writer is at it.
func (s *Store) prepare(ctx context.Context, session *session, want int64, o Options) (header, error) {
	const op = "prepare the store"
	if err := s.turnstile.enter(ctx); err != nil {
		return header{}, err
	}
	defer s.turnstile.leave()
	// Another process may have done it, or brought a newer schema, while we waited.
	h, err := readHeader(session)
	if err != nil {
		return h, s.explain(op, err)
	}
	if err := s.acceptable(h, want, o); err != nil {
		return h, err
	}
	if h.journal != "wal" {
		if err := session.row("PRAGMA journal_mode = wal", nil, &h.journal); err != nil {
			return h, s.explain(op, err)
		}
	}
	if h.schema < want {
		if err := s.migrate(ctx); err != nil {
			return h, s.explain(op, err)
		}
	}
	for name, value := range record.FirstMeta(o.KeyFingerprint) {
		if _, err := session.exec("INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING", name, value); err != nil {
			return h, s.explain(op, err)
		}
	}
	if h, err = readHeader(session); err != nil {
		return h, s.explain(op, err)
	}
	return h, s.acceptable(h, want, o)
}

func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.db, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

func readHeader(s *session) (header, error) {
	var h header
	var tables, versioned, meta int
	// SQLite's own tables do not count.
	err := s.row("SELECT count(*), count(*) FILTER (WHERE name = 'goose_db_version'), count(*) FILTER (WHERE name = 'meta') FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'", nil, &tables, &versioned, &meta)
	if err != nil {
		return h, err
	}
	if err := s.row("PRAGMA journal_mode", nil, &h.journal); err != nil {
		return h, err
	}
	if versioned == 0 {
		h.foreign = tables > 0
		return h, nil
	}
	if err := s.row("SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied", nil, &h.schema); err != nil {
		return h, err
	}
	if meta == 0 {
		// Somebody else's, or ours made by halves: the version's table, and no more.
		h.foreign = tables > 1
		return h, nil
	}
	var id, key, digest, copied, moved, taken sql.NullString
	err = s.row("SELECT max(value) FILTER (WHERE key = '"+record.MetaPool+"'), max(value) FILTER (WHERE key = '"+record.MetaKey+"'), max(value) FILTER (WHERE key = '"+record.MetaDigest+"'), max(value) FILTER (WHERE key = '"+record.MetaCopy+"'), max(value) FILTER (WHERE key = '"+record.MetaMoved+"'), max(value) FILTER (WHERE key = '"+metaTaken+"') FROM meta", nil, &id, &key, &digest, &copied, &moved, &taken)
	h.copy, h.moved = copied.String, moved.String
	h.poolID, h.taken, h.sealing = id.String, taken.String, core.Sealing{Fingerprint: key.String, Digest: digest.String}
	return h, err
}

// acceptable refuses what must not be written to: somebody else's file, a newer
// schema, secrets under another key.
func (s *Store) acceptable(h header, want int64, o Options) error {
	key := o.KeyFingerprint
	refuse := func(kind core.Kind, hint, format string, args ...any) error {
		return &core.Error{Op: "open the store", Kind: kind, Err: fmt.Errorf("%s "+format, append([]any{s.path}, args...)...), Hint: hint}
	}
	switch {
	case h.foreign:
		return refuse(core.Invalid, "name another path in METALPOOL_URL", "is the SQLite file of another program")
	case h.schema > want:
		return refuse(core.Invalid, "update this program on every host that uses the store", "has schema version %d, and this program knows %d", h.schema, want)
	case h.taken != "" && !o.Backup:
		return refuse(core.Invalid, "'metalpool restore "+s.path+"' puts it to use", "is a backup, taken at %s, and no pool to work on", h.taken)
	case h.taken == "" && o.Backup:
		return refuse(core.Invalid, "name a file that 'metalpool backup' made; a copy of a store that somebody worked on meanwhile is none", "is no backup")
	case h.moved != "" && !o.Moved:
		return s.mover.Here(s.path, h.moved)
	case key != "" && h.sealing.Fingerprint != "" && key != h.sealing.Fingerprint:
		return refuse(core.Denied, "give the key that the store is sealed with: its file is named by METALPOOL_KEY or lies beside the store", "is sealed with key %s, and the key given is %s", h.sealing.Fingerprint, key)
	}
	return nil
}
