package postgres

import (
	"context"
	"fmt"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

var _ core.Importer = (*Store)(nil)

// Import is run with no Update beside it.
func (s *Store) Import(ctx context.Context, from core.StoreInfo, fn func(tx core.Tx) error) error {
	return s.Update(ctx, func(plain core.Tx) error {
		t, ok := plain.(*tx)
		if !ok {
			return record.Broken(record.OpImport, fmt.Errorf("a transaction is a %T", plain))
		}
		if err := t.needAlone(); err != nil {
			return err
		}
		// What the store holds has moved elsewhere, and comes back.
		if was := s.info; was.Moved.Copy != "" && was.PoolID == from.PoolID {
			if err := t.empty(); err != nil {
				return err
			}
		}
		for _, table := range record.Imported {
			some, err := t.read(record.OpImport, "SELECT true FROM "+table+" LIMIT 1", nil, new(bool))
			if err != nil {
				return err
			}
			if some {
				return &core.Error{Op: record.OpImport, Kind: core.Exists, Err: fmt.Errorf("%s is not empty: it has %s", s.address.shown, table), Hint: "name an empty database, or a schema of its own with search_path=NAME"}
			}
		}
		return t.importAs(from, fn)
	})
}

// Replace has the store hold what put writes, under the pool ID and the key of as, in the
// place of what it holds, as Import does: in one transaction, with no Update beside it.
// Before that keep is shown what is there; it may be run again, and is to keep the last.
// A View under way goes on seeing what was there, and whoever has the store open works on
// with the other from then on.
func (s *Store) Replace(ctx context.Context, as core.StoreInfo, keep, put func(tx core.Tx) error) error {
	return s.Update(ctx, func(plain core.Tx) error {
		t, ok := plain.(*tx)
		if !ok {
			return record.Broken(opReplace, fmt.Errorf("a transaction is a %T", plain))
		}
		if err := t.needAlone(); err != nil {
			return err
		}
		// What is kept is written to a disk of this host meanwhile, which takes as long as
		// it takes.
		if _, err := t.write(opReplace, "SET LOCAL idle_in_transaction_session_timeout = '10min'"); err != nil {
			return err
		}
		if err := keep(t); err != nil {
			return err
		}
		if err := t.empty(); err != nil {
			return err
		}
		return t.importAs(as, put)
	})
}

// empty drops all that the store holds. TRUNCATE would take the rows away from Views under
// way, too.
func (t *tx) empty() error {
	for _, table := range record.Imported {
		if _, err := t.write(opReplace, "DELETE FROM "+table); err != nil {
			return err
		}
	}
	t.seen, t.absent = nil, nil // of rows that are no more
	return nil
}

const opReplace = "replace the store"

// importAs writes the rows of fn into tables that are empty.
func (t *tx) importAs(as core.StoreInfo, fn func(tx core.Tx) error) error {
	for key, value := range map[string]string{record.MetaPool: as.PoolID, record.MetaCopy: as.Copy, record.MetaMoved: ""} {
		if err := t.putMeta(record.OpImport, key, value); err != nil {
			return err
		}
	}
	if err := t.PutSealing(as.Sealing); err != nil {
		return err
	}
	t.imports = &record.Numbers{}
	if err := fn(t); err != nil {
		return err
	}
	if err := t.flush(record.OpImport); err != nil {
		return err
	}
	// What comes later is numbered after all of it.
	_, err := t.read(record.OpImport, "SELECT setval('numbers', greatest((SELECT last_value FROM numbers), $1, $2))", []any{t.imports.Event, t.imports.Audit}, new(int64))
	return err
}

// atOnce is how many rows of history go in one round trip.
const atOnce = 500

// take writes a row of history under the number that it has.
func (t *tx) take(last *int64, seq int64, query string, row []any) error {
	if err := t.writable(record.OpImport); err != nil {
		return err
	}
	if err := record.Grow(last, seq); err != nil {
		return err
	}
	t.held.Queue(query, row...)
	if t.held.Len() < atOnce {
		return nil
	}
	return t.flush(record.OpImport)
}
