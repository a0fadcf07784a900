package open

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

// Copy tells what was copied, and where it is.
type Copy struct {
	PoolID string      `json:"pool_id"`
	From   string      `json:"from"`
	To     string      `json:"to"`
	Copied core.Copied `json:"copied"`
	// KeyFile is where the pool's key is beside its new place; empty where METALPOOL_KEY
	// names the key, which it goes on with.
	KeyFile string `json:"key_file,omitempty"`
}

// CopyStore copies the pool at from, with its history and its key, to an empty place at
// to: a file that is not there yet, or a database. Both are addresses as METALPOOL_URL
// has them. It is kept at to from then on, and from is refused to all. Where that was cut
// short, the same call goes on.
func CopyStore(ctx context.Context, from, to string) (c Copy, err error) {
	source, err := ownStore(opCopy, from)
	if err != nil {
		return c, err
	}
	target, err := ownStore(opCopy, to)
	if err != nil {
		return c, err
	}
	there, key, _, err := openStore(ctx, source, opening{moved: true})
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, there.Close()) }()
	c.PoolID, c.From = there.Info().PoolID, there.Info().URL
	copied, err := openEmpty(ctx, target)
	if err != nil {
		return c, err
	}
	c.To = copied.Info().URL
	c.Copied, err = core.CopyStore(ctx, there, copied, core.Timing{})
	if err := errors.Join(err, copied.Close()); err != nil {
		return c, err
	}
	if os.Getenv(EnvKey) == "" {
		if c.KeyFile, err = giveKey(target, there.Info(), key); err != nil {
			return c, err
		}
	}
	// As whoever uses it from now on.
	e, _, err := assemble(ctx, target, Options{})
	if err != nil {
		return c, err
	}
	return c, e.Close()
}

// ReopenStore has the pool at url be kept there again, where it was copied elsewhere and
// that copy was given up, and returns where it had gone. Nobody may use that one any more.
func ReopenStore(ctx context.Context, url string) (pool core.StoreInfo, err error) {
	const op = "reopen the store"
	address, err := ownStore(op, url)
	if err != nil {
		return pool, err
	}
	store, _, _, err := openStore(ctx, address, opening{moved: true})
	if err != nil {
		return pool, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if pool = store.Info(); pool.Moved.Copy == "" {
		return pool, &core.Error{Op: op, Kind: core.Invalid, Err: errors.New("the pool in " + pool.URL + " was copied nowhere, and is open to all")}
	}
	return pool, store.Update(ctx, func(tx core.Tx) error {
		return errors.Join(tx.PutMoved(core.Moved{}), tx.AddEvent(core.Event{Type: core.Note, Message: "the pool is kept here again; it had been copied to " + pool.Moved.To}))
	})
}

const opCopy = "copy the store"

// ownStore finds a store that is not behind a server.
func ownStore(op, url string) (string, error) {
	address, err := find(url)
	if err == nil && Served(address) {
		err = &core.Error{Op: op, Kind: core.Invalid, Err: errors.New("the pool at " + address + " is open in its server"), Hint: "name the pool's own store, on the host that has it"}
	}
	return address, err
}

// openEmpty opens the place that a pool is copied to.
func openEmpty(ctx context.Context, address string) (core.Importer, error) {
	if inDatabase(address) {
		return postgres.Open(ctx, address, postgres.Options{Create: true, Moved: true})
	}
	return sqlite.Open(ctx, address, sqlite.Options{Create: true, Moved: true})
}

// giveKey puts the pool's key beside its new place, where it is not there already.
func giveKey(address string, pool core.StoreInfo, key *seal.Key) (file string, err error) {
	if inDatabase(address) {
		if address, err = baseOf(pool); err != nil {
			return "", err
		}
	}
	file = seal.FileOf(address)
	if there, err := seal.Load(file, ""); err == nil && there.Fingerprint() == key.Fingerprint() {
		return file, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", &core.Error{Op: "copy the key", Kind: core.Denied, Err: err}
	}
	return file, seal.Write(file, key)
}
