// Package postgres keeps a pool in a PostgreSQL database: the store that several
// servers share.
//
// Nothing on the way of an acquire locks more than the rows that it decides upon;
// isolation.go says what a transaction may rely on.
package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// Options say how to open a store.
type Options struct {
	// Create makes the store's tables where there are none. The database itself must be
	// there.
	Create bool
	// KeyFingerprint is that of the key the secrets are sealed with. The first one
	// given is recorded; another is refused from then on, until PutSealing. Empty: secrets are not
	// going to be sealed or opened, and nothing is checked.
	KeyFingerprint string
	// Moved opens also a store whose pool has moved elsewhere.
	Moved bool
	// Patience is how long a transaction waits for a row that another one holds, for a
	// connection, and for a server that is gone to come back; default 30 s. A context
	// ends these waits too.
	Patience time.Duration
}

const defaultPatience = 30 * time.Second

// Store is a core.Store.
type Store struct {
	address  address
	key      string // fingerprint of the one it was opened with; "" where none was given
	mover    record.Mover
	stories  record.Stories
	info     core.StoreInfo
	patience time.Duration
	pool     *pgxpool.Pool
	schema   uint32 // the OID of the schema that the tables are in
	closed   context.Context
	close    context.CancelFunc
}

var _ core.Store = (*Store)(nil)

// Open opens the store at url, postgres://[user[:password]@]host[:port]/database, with
// what else PostgreSQL's own programs take in it and in the environment (PGPASSFILE,
// PGSSLMODE, …). search_path=NAME in it puts the tables into that schema.
//
// It returns an Error of kind NotFound where the database is not there, or no store in
// it and o.Create is not set; Denied where the password or rights are wrong, or for
// another key than the store's; Invalid for an address that is none, a server that is
// too old or can only be read, tables of another program, or a newer store; Transient
// where the server cannot be reached.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	at, err := parse(url)
	if err != nil {
		return nil, err
	}
	s := &Store{address: at, patience: o.Patience, info: core.StoreInfo{URL: at.shown}}
	s.closed, s.close = context.WithCancel(context.Background())
	if s.pool, err = pgxpool.NewWithConfig(ctx, s.config()); err != nil {
		return nil, s.explain("open the store", err)
	}
	if err := s.ready(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Info says what store this is.
func (s *Store) Info() core.StoreInfo { return s.info }

// KeyFingerprint is that of the key which the secrets were sealed with when the store was
// opened; empty where none has been recorded.
func (s *Store) KeyFingerprint() string { return s.info.Sealing.Fingerprint }

// Close lets go of the server once the transactions under way have ended.
func (s *Store) Close() error {
	s.close()
	s.pool.Close()
	return nil
}
