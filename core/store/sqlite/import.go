package sqlite

import (
	"context"
	"fmt"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

var _ core.Importer = (*Store)(nil)

// Import writes with no other writer in its transaction: it may be long.
func (s *Store) Import(ctx context.Context, from core.StoreInfo, fn func(tx core.Tx) error) error {
	return s.updateOnce(ctx, true, func(plain core.Tx) error {
		t, ok := plain.(*tx)
		if !ok {
			return record.Broken(record.OpImport, fmt.Errorf("a transaction is a %T", plain))
		}
		if err := t.giveUp(from); err != nil {
			return err
		}
		for _, table := range record.Imported {
			some, err := t.read(record.OpImport, "SELECT 1 FROM "+table+" LIMIT 1", nil, new(int))
			if err != nil {
				return err
			}
			if some {
				return &core.Error{Op: record.OpImport, Kind: core.Exists, Err: fmt.Errorf("%s is not empty: it has %s", s.path, table), Hint: "name a new place, or move that one away"}
			}
		}
		for key, value := range map[string]string{record.MetaPool: from.PoolID, record.MetaCopy: from.Copy, record.MetaMoved: ""} {
			if err := t.putMeta(record.OpImport, key, value); err != nil {
				return err
			}
		}
		if err := t.PutSealing(from.Sealing); err != nil {
			return err
		}
		t.imports = &record.Numbers{}
		return fn(t)
	})
}

// giveUp drops what the store holds, where that has moved elsewhere and comes back.
func (t *tx) giveUp(comes core.StoreInfo) error {
	if was := t.store.info; was.Moved.Copy == "" || was.PoolID != comes.PoolID {
		return nil
	}
	for _, table := range record.Imported {
		if _, err := t.write(record.OpImport, "DELETE FROM "+table); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) putMeta(op, key, value string) error {
	_, err := t.write(op, "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", key, value)
	return err
}

func (t *tx) importEvent(e core.Event) error {
	if err := record.Grow(&t.imports.Event, e.Seq); err != nil {
		return err
	}
	_, err := t.write(record.OpImport, "INSERT INTO events ("+record.EventColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		e.Seq, record.Stamp(e.At), string(e.Node), string(e.Allocation), string(e.Attempt), int64(e.Generation), string(e.Type), string(e.From), string(e.To), string(e.On), e.Step, e.Message, int64(e.Bytes), e.By)
	return err
}
