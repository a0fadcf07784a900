package sqlite

import (
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

func (t *tx) PutSealing(s core.Sealing) error {
	if err := t.putMeta("record the key", record.MetaKey, s.Fingerprint); err != nil {
		return err
	}
	return t.putMeta("record the key", record.MetaDigest, s.Digest)
}

func (t *tx) PutMoved(m core.Moved) error {
	mark, err := record.Mark(m)
	if err != nil {
		return record.Broken("mark the store", err)
	}
	t.store.mover.Knows(mark)
	return t.putMeta("mark the store", record.MetaMoved, mark)
}

// stillOurs refuses a transaction where the store is sealed with another key than it
// was opened with, since what would be sealed in it nobody could read any more, and where
// its pool has moved elsewhere, or a newer program has changed its tables. It is asked in
// the transaction itself, so that none of it can change behind it.
func (s *Store) stillOurs(session *session) error {
	var now, mark string
	var schema int64
	err := session.row("SELECT coalesce((SELECT value FROM meta WHERE key = '"+record.MetaKey+"'), ''), coalesce((SELECT value FROM meta WHERE key = '"+record.MetaMoved+"'), ''), "+record.SelectSchema, nil, &now, &mark, &schema)
	if err != nil {
		return s.explain("read the store's key", err)
	}
	if s.info.Schema != 0 && schema > s.info.Schema {
		return record.Upgraded(s.path, schema, s.info.Schema)
	}
	if s.key != "" && now != s.key {
		return record.Rekeyed(s.path, now, s.key)
	}
	return s.mover.Here(s.path, mark)
}
