package record

import (
	"crypto/rand"
	"embed"
	"encoding/hex"
	"fmt"

	"github.com/pressly/goose/v3"

	"github.com/metalpool/metalpool/core"
)

// Rows of the table meta.
const (
	MetaPool   = "pool id"
	MetaKey    = "key fingerprint"
	MetaDigest = "digest key"
	MetaCopy   = "copy"
	MetaMoved  = "moved"
)

// Newest is the version of the last migration, in the folder of that name.
func Newest(migrations embed.FS) (int64, error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return 0, err
	}
	return goose.NumericComponent(entries[len(entries)-1].Name())
}

// FirstMeta is what is put into meta where it is not there yet: a new pool ID, and the
// fingerprint of the key, where one is known.
func FirstMeta(fingerprint string) map[string]string {
	id := make([]byte, 8)
	rand.Read(id) // never fails (crypto/rand)
	first := map[string]string{MetaPool: hex.EncodeToString(id)}
	if fingerprint != "" {
		first[MetaKey] = fingerprint
	}
	return first
}

// Rekeyed refuses to go on with a store that is sealed with another key, now, than this
// process was started with.
func Rekeyed(store, now, started string) error {
	return &core.Error{Op: "use the store", Kind: core.Denied,
		Err:  core.Outdated(fmt.Errorf("%s is sealed with key %s by now, and this process was started with key %s", store, now, started)),
		Hint: "start it again, with the new key where METALPOOL_KEY names it; nothing was changed"}
}

// Upgraded refuses to go on with a store that a newer program has brought to its schema: what
// this one writes that program may not understand.
func Upgraded(store string, now, known int64) error {
	return &core.Error{Op: "use the store", Kind: core.Invalid,
		Err:  core.Outdated(fmt.Errorf("%s has schema version %d by now, and this process knows %d", store, now, known)),
		Hint: "update this program, and start it again; nothing was changed"}
}

// SelectSchema is the version that a store has.
const SelectSchema = "(SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied)"
