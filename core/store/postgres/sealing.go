package postgres

import (
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// selectOurs is asked for where a transaction begins, behind the lock that PutSealing and
// PutMoved have to themselves: neither the key nor the mark can change behind it.
const selectOurs = "coalesce((SELECT value FROM meta WHERE key = '" + record.MetaKey + "'), ''), coalesce((SELECT value FROM meta WHERE key = '" + record.MetaMoved + "'), ''), " + record.SelectSchema

// PutSealing is run with no other Update beside it: one that began before it would write
// what it sealed with the key before.
func (t *tx) PutSealing(s core.Sealing) error {
	if err := t.needAlone(); err != nil {
		return err
	}
	if err := t.putMeta("record the key", record.MetaKey, s.Fingerprint); err != nil {
		return err
	}
	return t.putMeta("record the key", record.MetaDigest, s.Digest)
}

// PutMoved is run with no other Update beside it: one that began before it would write
// what only this store knows.
func (t *tx) PutMoved(m core.Moved) error {
	if err := t.needAlone(); err != nil {
		return err
	}
	mark, err := record.Mark(m)
	if err != nil {
		return record.Broken("mark the store", err)
	}
	t.store.mover.Knows(mark)
	return t.putMeta("mark the store", record.MetaMoved, mark)
}

func (t *tx) putMeta(op, key, value string) error {
	_, err := t.write(op, "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
	return err
}

// stillOurs refuses a transaction where the store is sealed with another key than it
// was opened with, since what would be sealed in it nobody could read any more, and where
// its pool has moved elsewhere, or a newer program has changed its tables.
func (s *Store) stillOurs(now, mark string, schema int64) error {
	if s.info.Schema != 0 && schema > s.info.Schema {
		return record.Upgraded(s.address.shown, schema, s.info.Schema)
	}
	if s.key != "" && now != s.key {
		return record.Rekeyed(s.address.shown, now, s.key)
	}
	return s.mover.Here(s.address.shown, mark)
}
