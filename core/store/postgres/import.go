package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/metalpool/metalpool/core"
)

var _ core.Importer = (*Store)(nil)

const opImport = "copy into the store"

// imported are the tables of what a store holds, but for what belongs to their rows.
var imported = []string{"nodes", "leases", "allocations", "attempts", "events", "audit", "pools", "images", "tokens", "owners"}

// Import is run with no Update beside it.
func (s *Store) Import(ctx context.Context, from core.StoreInfo, fn func(tx core.Tx) error) error {
	return s.Update(ctx, func(plain core.Tx) error {
		t, ok := plain.(*tx)
		if !ok {
			return broken(opImport, fmt.Errorf("a transaction is a %T", plain))
		}
		if err := t.needAlone(); err != nil {
			return err
		}
		for _, table := range imported {
			some, err := t.read(opImport, "SELECT true FROM "+table+" LIMIT 1", nil, new(bool))
			if err != nil {
				return err
			}
			if some {
				return &core.Error{Op: opImport, Kind: core.Exists, Err: fmt.Errorf("%s is not empty: it has %s", s.address.shown, table), Hint: "name an empty database, or a schema of its own with search_path=NAME"}
			}
		}
		if _, err := t.write(opImport, "INSERT INTO meta (key, value) VALUES ('pool id', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value", from.PoolID); err != nil {
			return err
		}
		if err := t.PutSealing(from.Sealing); err != nil {
			return err
		}
		t.imports = &numbers{}
		if err := fn(t); err != nil {
			return err
		}
		if err := t.flush(opImport); err != nil {
			return err
		}
		// What comes later is numbered after all of it.
		_, err := t.read(opImport, "SELECT setval('numbers', greatest((SELECT last_value FROM numbers), $1, $2))", []any{t.imports.event, t.imports.audit}, new(int64))
		return err
	})
}

// numbers are those that were imported last.
type numbers struct{ event, audit int64 }

// errOrder is a number that would come in before one that is there.
var errOrder = errors.New("numbers must grow")

// atOnce is how many rows of history go in one round trip.
const atOnce = 500

// take writes a row of history under the number that it has.
func (t *tx) take(last *int64, seq int64, query string, row []any) error {
	if err := t.writable(opImport); err != nil {
		return err
	}
	if seq <= *last {
		return broken(opImport, fmt.Errorf("%w: %d after %d", errOrder, seq, *last))
	}
	*last = seq
	t.held.Queue(query, row...)
	if t.held.Len() < atOnce {
		return nil
	}
	return t.flush(opImport)
}
