package open

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

// intoDatabase puts a backup in the place of what is in the database. What is there is
// backed up into a file of this host first, in the transaction that replaces it, so that
// nothing is written in between; servers that are at work on the pool wait meanwhile.
func (r *Restored) intoDatabase(ctx context.Context, address string, put restoring) (err error) {
	there, err := postgres.Open(ctx, address, postgres.Options{Create: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, there.Close()) }()
	if err := r.mayReplaceRows(ctx, there, put); err != nil {
		return err
	}
	if err := r.prepare(ctx, put); err != nil {
		return err
	}
	base, err := baseOf(there.Info())
	if err != nil {
		return err
	}
	aside := replacedBy(base)
	source, err := sqlite.Open(ctx, put.from, sqlite.Options{})
	if err != nil {
		return err
	}
	defer source.Close()
	return there.Replace(ctx, source.Info(),
		func(old core.Tx) (err error) {
			r.Aside, err = setAside(ctx, old, there.Info(), aside)
			return err
		},
		func(to core.Tx) error {
			return source.View(ctx, func(from core.Tx) error {
				_, err := core.CopyRows(from, to)
				return err
			})
		})
}

// mayReplaceRows also refuses where this host has an older key than the pool: the other
// hosts have the one of today, and the restored pool would be closed to them.
func (r *Restored) mayReplaceRows(ctx context.Context, there core.Store, put restoring) error {
	now := there.Info()
	if key := now.Sealing.Fingerprint; now.PoolID == r.PoolID && key != "" && key != put.ours.Fingerprint() && !put.Replace {
		return &core.Error{Op: opRestore, Kind: core.Denied, Err: fmt.Errorf("%s is sealed with key %s, and this host's key of it is %s", now.URL, key, put.ours.Fingerprint()),
			Hint: "copy the pool's key from a host that opens it; to have it sealed with this one all the same: --replace, and give that key to the other hosts"}
	}
	return r.mayReplace(ctx, there, now.URL, put.Replace)
}

// setAside backs up what a transaction sees, and returns where: "" where it sees nothing.
func setAside(ctx context.Context, old core.Tx, info core.StoreInfo, file string) (string, error) {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) { // of a run before
		return "", err
	}
	// Beside that pool's own folder, which is made once there is something to keep in it: a
	// new database has a pool by now, of which this host is never going to have a file.
	folder, err := workFolder(filepath.Dir(file))
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(folder)
	made := filepath.Join(folder, "pool.db")
	var copied core.Copied
	err = written(ctx, made, func(to *sqlite.Store) (time.Time, error) {
		return old.Now(), to.Import(ctx, info, func(tx core.Tx) (err error) {
			copied, err = core.CopyRows(old, tx)
			return err
		})
	})
	if err != nil || copied == (core.Copied{}) {
		return "", unfit(err, info.URL, "keep it as it is with pg_dump, and restore into an empty database")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", &core.Error{Op: opRestore, Kind: core.Denied, Err: err}
	}
	_, err = copyNew(made, file)
	return file, err
}
