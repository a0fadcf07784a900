package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/metalpool/metalpool/core"
)

var _ core.Importer = (*Store)(nil)

// imported are the tables of what a store holds, but for what belongs to their rows.
var imported = []string{"nodes", "leases", "allocations", "attempts", "events", "audit", "pools", "images", "tokens", "owners"}

// Import writes with no other writer in its transaction: it may be long.
func (s *Store) Import(ctx context.Context, from core.StoreInfo, fn func(tx core.Tx) error) error {
	return s.updateOnce(ctx, true, func(plain core.Tx) error {
		t, ok := plain.(*tx)
		if !ok {
			return broken(opImport, fmt.Errorf("a transaction is a %T", plain))
		}
		for _, table := range imported {
			some, err := t.read(opImport, "SELECT 1 FROM "+table+" LIMIT 1", nil, new(int))
			if err != nil {
				return err
			}
			if some {
				return &core.Error{Op: opImport, Kind: core.Exists, Err: fmt.Errorf("%s is not empty: it has %s", s.path, table), Hint: "name a new place, or move that one away"}
			}
		}
		if err := t.putMeta("pool id", from.PoolID); err != nil {
			return err
		}
		if err := t.PutSealing(from.Sealing); err != nil {
			return err
		}
		t.imports = &numbers{}
		return fn(t)
	})
}

const opImport = "copy into the store"

func (t *tx) putMeta(key, value string) error {
	_, err := t.write(opImport, "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", key, value)
	return err
}

// numbers are those that were imported last.
type numbers struct{ event, audit int64 }

// errOrder is a number that would come in before one that is there.
var errOrder = errors.New("numbers must grow")

// grow takes the next number of a kind.
func grow(last *int64, seq int64) error {
	if seq <= *last {
		return broken(opImport, fmt.Errorf("%w: %d after %d", errOrder, seq, *last))
	}
	*last = seq
	return nil
}

func (t *tx) importEvent(e core.Event) error {
	if err := grow(&t.imports.event, e.Seq); err != nil {
		return err
	}
	_, err := t.write(opImport, "INSERT INTO events ("+eventColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		e.Seq, stamp(e.At), string(e.Node), string(e.Allocation), string(e.Attempt), int64(e.Generation), string(e.Type), string(e.From), string(e.To), string(e.On), e.Step, e.Message, int64(e.Bytes), e.By)
	return err
}
