package sqlite

import (
	"database/sql"
	"errors"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

func (t *tx) PutSealing(s core.Sealing) error {
	const put = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2"
	if _, err := t.write("record the key", put, record.MetaKey, s.Fingerprint); err != nil {
		return err
	}
	_, err := t.write("record the key", put, record.MetaDigest, s.Digest)
	return err
}

// stillOurs refuses a transaction where the store is sealed with another key than it
// was opened with: what would be sealed in it nobody could read any more. It is asked in
// the transaction itself, so that the key cannot change behind it.
func (s *Store) stillOurs(session *session) error {
	if s.key == "" {
		return nil
	}
	var now string
	err := session.row("SELECT value FROM meta WHERE key = '"+record.MetaKey+"'", nil, &now)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s.explain("read the store's key", err)
	}
	if now == s.key {
		return nil
	}
	return record.Rekeyed(s.path, now, s.key)
}
