package postgres

import (
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// selectKey is asked for where a transaction begins, behind the lock that PutSealing has
// to itself: the key cannot change behind it.
const selectKey = "coalesce((SELECT value FROM meta WHERE key = '" + record.MetaKey + "'), '')"

// PutSealing is run with no other Update beside it: one that began before it would write
// what it sealed with the key before.
func (t *tx) PutSealing(s core.Sealing) error {
	if err := t.needAlone(); err != nil {
		return err
	}
	const put = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
	if _, err := t.write("record the key", put, record.MetaKey, s.Fingerprint); err != nil {
		return err
	}
	_, err := t.write("record the key", put, record.MetaDigest, s.Digest)
	return err
}

// stillOurs refuses a transaction where the store is sealed with another key than it
// was opened with: what would be sealed in it nobody could read any more.
func (s *Store) stillOurs(now string) error {
	if s.key == "" || now == s.key {
		return nil
	}
	return record.Rekeyed(s.address.shown, now, s.key)
}
