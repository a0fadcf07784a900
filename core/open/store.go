package open

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/postgres"
)

// opening says which stores are opened.
type opening struct {
	create bool // makes the one that is not there
	moved  bool // also one whose pool has moved elsewhere
}

// openStore opens the store at what find returned, and its key.
func openStore(ctx context.Context, address string, how opening) (store core.Store, key *seal.Key, base string, err error) {
	if inDatabase(address) {
		return openDatabase(ctx, address, how)
	}
	if how.create {
		if err := os.MkdirAll(filepath.Dir(address), 0o700); err != nil {
			return nil, nil, "", &core.Error{Op: "create pool", Kind: core.Invalid, Err: err, Hint: "choose a folder that you may write to: METALPOOL_URL=/path/pool.db"}
		}
	}
	s, key, err := openFile(ctx, address, how)
	if err != nil {
		return nil, nil, "", err
	}
	return s, key, address, nil
}

// openDatabase opens a store that several hosts share. What a host has of its own, the
// key among it, is in a folder that is named for the pool, since one database has many
// addresses. A key is made only with the pool: another host's must be the same.
func openDatabase(ctx context.Context, address string, how opening) (_ core.Store, key *seal.Key, base string, err error) {
	s, err := postgres.Open(ctx, address, postgres.Options{Create: how.create, Moved: how.moved})
	if err != nil {
		return nil, nil, "", err
	}
	if base, err = baseOf(s.Info()); err == nil {
		err = os.MkdirAll(filepath.Dir(base), 0o700)
	}
	file, setting := seal.FileOf(base), os.Getenv(EnvKey)
	switch {
	case err != nil:
	case how.create && s.KeyFingerprint() == "":
		key, err = seal.LoadOrCreate(setting, file)
	default:
		key, err = seal.Load(setting, file)
		if core.Is(err, core.NotFound) && setting == "" {
			err = &core.Error{Op: "open pool", Kind: core.NotFound, Err: errors.New("this host has no key of the pool at " + s.Info().URL + ": " + file + " does not exist"),
				Hint: "copy that file from a host that has it, or name the key with " + EnvKey}
		}
	}
	// Once more, so that the store records the key's fingerprint, or refuses it, and holds
	// every transaction to it.
	if err := errors.Join(err, s.Close()); err != nil {
		return nil, nil, "", err
	}
	key, err = withKey(key, file, func(key *seal.Key) (err error) {
		s, err = postgres.Open(ctx, address, postgres.Options{KeyFingerprint: key.Fingerprint(), Moved: how.moved})
		return err
	})
	if err != nil {
		return nil, nil, "", err
	}
	if err := key.Adopt(s.Info().Sealing); err != nil {
		return nil, nil, "", errors.Join(err, s.Close())
	}
	return s, key, base, nil
}

// baseOf is what the files of a pool in a database are named after on this host.
func baseOf(pool core.StoreInfo) (string, error) {
	folder, err := dataFolder()
	return filepath.Join(folder, "pools", pool.PoolID, "pool"), err
}

// Folder is where this host has its own files of a pool that was opened at url: key,
// cache, certificates.
func Folder(url string, pool core.StoreInfo) (string, error) {
	base, err := find(url)
	if err == nil && inDatabase(base) {
		base, err = baseOf(pool)
	}
	return filepath.Dir(base), err
}
