package open

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

// RestoreOptions say how to put a backup to use.
type RestoreOptions struct {
	// Replace a pool that has unreleased machines, or is another one than that of the
	// backup, or cannot be opened at all.
	Replace bool
	// KeepTokens leaves those good that were when the backup was made, also such as were
	// revoked since.
	KeepTokens bool
	// KeyFile has the key that the backup is sealed with, or lies beside the .old that has
	// it after a rotate. Empty: that of the pool, the one
	// before it, or the one beside the backup.
	KeyFile string
}

// Restored tells what was restored, and what became of it.
type Restored struct {
	Backup
	core.Restored
	URL string `json:"url"`
	// Aside is where the store is that was replaced; empty: there was none.
	Aside string `json:"aside,omitempty"`
}

// Restore puts a backup in the place of a pool, whether that is in a file or in a
// database. See core.Engine.Distrust for what may not be believed any more.
func Restore(ctx context.Context, url, file string, o RestoreOptions) (r Restored, err error) {
	address, err := ownStore(opRestore, url)
	if err != nil {
		return r, err
	}
	if r.File, err = filepath.Abs(file); err != nil {
		return r, err
	}
	base := address
	if inDatabase(address) {
		// What this host has of that pool is named after its ID, which the backup tells.
		if base, err = baseOf(core.StoreInfo{}); err != nil {
			return r, err
		}
	}
	if err := os.MkdirAll(filepath.Dir(base), 0o700); err != nil {
		return r, &core.Error{Op: opRestore, Kind: core.Denied, Err: err}
	}
	folder, err := workFolder(base)
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(folder)
	made := filepath.Join(folder, "pool.db")
	if r.Size, err = copyNew(r.File, made); errors.Is(err, fs.ErrNotExist) {
		return r, &core.Error{Op: opRestore, Kind: core.NotFound, Err: fmt.Errorf("%s does not exist", r.File), Hint: "name the file that 'metalpool backup' wrote"}
	} else if err != nil {
		return r, &core.Error{Op: opRestore, Kind: core.Denied, Err: err}
	}
	backup, err := infoOf(ctx, made)
	if err != nil {
		return r, err
	}
	if inDatabase(address) {
		if base, err = baseOf(backup); err != nil {
			return r, err
		}
	}
	theirs, ours, err := restoreKeys(base, r.File, backup.Sealing.Fingerprint, o.KeyFile)
	if err != nil {
		return r, err
	}
	if err := theirs.Adopt(backup.Sealing); err != nil {
		return r, err
	}
	if err := r.look(ctx, made, theirs); err != nil {
		return r, err
	}
	r.Key = ours.Fingerprint()
	put := restoring{from: made, base: base, theirs: theirs, ours: ours, RestoreOptions: o}
	if inDatabase(address) {
		err = r.intoDatabase(ctx, address, put)
	} else {
		err = r.intoFile(ctx, address, put)
	}
	if err != nil {
		return r, err
	}
	store, _, _, err := openStore(ctx, address, opening{})
	if err != nil {
		return r, err
	}
	r.URL = store.Info().URL
	return r, store.Close()
}

// restoring is a backup on its way.
type restoring struct {
	from         string // a copy of it, which becomes the store
	base         string // what the pool's own files on this host are named after
	theirs, ours *seal.Key
	RestoreOptions
}

// intoFile puts it in the place of the store at path.
func (r *Restored) intoFile(ctx context.Context, path string, put restoring) error {
	there, err := r.mayReplaceFile(ctx, path, put.Replace)
	if err != nil {
		return err
	}
	if err := r.prepare(ctx, put); err != nil {
		return err
	}
	if there != nothing {
		r.Aside = replacedBy(path)
	}
	if there == unreadable {
		if err := moveAside(path, r.Aside); err != nil {
			return err
		}
	}
	return sqlite.Replace(ctx, path, put.from, r.Aside)
}

// replacedBy names the file that keeps what is replaced now.
func replacedBy(base string) string {
	return base + ".replaced-" + time.Now().UTC().Format("20060102T150405.000Z")
}

const opRestore = "restore"

// Distrust tells a pool whose store was put back by other means, such as PostgreSQL's own
// or a snapshot of a disk, that it is as it was at that time.
func Distrust(ctx context.Context, url string, asOf time.Time, keepTokens bool) (r Restored, err error) {
	address, err := ownStore(opRestore, url)
	if err != nil {
		return r, err
	}
	store, key, _, err := openStore(ctx, address, opening{})
	if err != nil {
		return r, err
	}
	e := core.New(core.Config{Store: store, Sealer: key})
	defer e.Close()
	if r.Restored, err = e.Distrust(ctx, asOf, keepTokens); err != nil {
		return r, err
	}
	r.URL, r.Taken = store.Info().URL, asOf
	return r, r.count(ctx, e)
}

// infoOf tells which pool a backup is of, and its key, before that key is known.
func infoOf(ctx context.Context, file string) (core.StoreInfo, error) {
	store, err := sqlite.Open(ctx, file, sqlite.Options{Backup: true})
	if err != nil {
		return core.StoreInfo{}, err
	}
	return store.Info(), store.Close()
}

// restoreKeys finds the key that the backup is sealed with, and the one that the pool is
// to be sealed with: its own where it has one, which is a later one if it was changed.
func restoreKeys(path, file, want, named string) (theirs, ours *seal.Key, err error) {
	setting, own := os.Getenv(EnvKey), seal.FileOf(path)
	ours, err = seal.Load(setting, own)
	if err != nil && !core.Is(err, core.NotFound) {
		return nil, nil, err
	}
	if ours != nil && ours.Fingerprint() == want {
		return ours, ours, nil
	}
	candidates := []string{seal.FileOf(file)}
	if inFile, err := seal.InFile(setting, own); err == nil {
		candidates = append(candidates, seal.OldFile(inFile), seal.NextFile(inFile))
	}
	if named != "" {
		candidates = []string{named}
		if inFile, err := seal.InFile(named, ""); err == nil {
			// What 'key show' names is today's; after a rotate the backup's is beside it.
			candidates = append(candidates, seal.OldFile(inFile))
		}
	}
	for _, candidate := range candidates {
		theirs, err = seal.Load(candidate, "")
		switch {
		case err == nil && theirs.Fingerprint() == want && ours == nil:
			return theirs, theirs, nil
		case err == nil && theirs.Fingerprint() == want:
			// Another object: what it digests by is going to differ from the backup's own.
			return theirs, ours, nil
		case err != nil && !core.Is(err, core.NotFound):
			return nil, nil, err
		}
	}
	have := "this pool has none"
	if ours != nil {
		have = "this pool's is " + ours.Fingerprint()
	}
	return nil, nil, &core.Error{Op: opRestore, Kind: core.Denied, Err: fmt.Errorf("the backup's secrets are sealed with key %s, and %s; nor is it in %s", want, have, either(candidates)),
		Hint: "name the file that has it with --key: it is the key that the pool had when the backup was made; 'metalpool key show' names the file of today's, and where the one before it is"}
}

// either lists where a key was looked for; a key that was given as its text is not told.
func either(places []string) string {
	told := make([]string, len(places))
	for i, place := range places {
		told[i] = place
		if _, err := seal.InFile(place, ""); err != nil {
			told[i] = "the key that was given"
		}
	}
	if last := len(told) - 1; last > 0 {
		return strings.Join(told[:last], ", ") + " or " + told[last]
	}
	return told[0]
}

// Of the place that a backup is restored to.
type place int

const (
	nothing    place = iota // is there
	whole                   // a store that can be opened
	unreadable              // a file that cannot be
)

// mayReplaceFile looks what is at path, and refuses to replace what may be needed.
func (r *Restored) mayReplaceFile(ctx context.Context, path string, replace bool) (place, error) {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nothing, nil
	}
	store, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		if !replace {
			return unreadable, keepThere(path, "cannot be opened (%w), so that nobody knows who has machines of it", err)
		}
		return unreadable, nil
	}
	return whole, errors.Join(r.mayReplace(ctx, store, path, replace), store.Close())
}

// mayReplace refuses to replace a store whose content may be needed.
func (r *Restored) mayReplace(ctx context.Context, store core.Store, name string, replace bool) error {
	if replace {
		return nil
	}
	e := core.New(core.Config{Store: keptOpen{store}})
	defer e.Close()
	live, err := e.Machines(ctx, core.AllocationFilter{Live: true})
	if err != nil {
		return keepThere(name, "cannot be read (%w), so that nobody knows who has machines of it", err)
	}
	nodes, _ := e.Nodes(ctx, core.NodeFilter{})
	switch other := store.Info().PoolID; {
	case len(live) > 0:
		return keepThere(name, "has %d unreleased machines, such as %s/%s; those that the backup knows otherwise would be lost", len(live), live[0].Owner, live[0].Name)
	case other != r.PoolID && len(nodes) > 0:
		return keepThere(name, "is another pool (%s, with %d nodes) than that of the backup (%s)", other, len(nodes), r.PoolID)
	}
	return nil
}

// keptOpen is a store that an engine borrows.
type keptOpen struct{ core.Store }

func (keptOpen) Close() error { return nil }

func keepThere(name, format string, args ...any) error {
	return &core.Error{Op: opRestore, Kind: core.Exists, Err: fmt.Errorf("%s "+format, append([]any{name}, args...)...), Hint: "to replace it all the same: --replace; it is kept beside the new one"}
}

// prepare makes of the copy of a backup what is to take the place of the store, and sees
// that this host has its key.
func (r *Restored) prepare(ctx context.Context, put restoring) (err error) {
	if r.Restored, err = prepared(ctx, put.from, put.theirs, put.ours, put.KeepTokens); err != nil {
		return err
	}
	return ownKey(put.base, put.ours)
}

// prepared makes of the copy of a backup what is to take the place of the store.
func prepared(ctx context.Context, file string, theirs, ours *seal.Key, keepTokens bool) (r core.Restored, err error) {
	store, err := sqlite.Open(ctx, file, sqlite.Options{Backup: true, KeyFingerprint: theirs.Fingerprint()})
	if err != nil {
		return r, err
	}
	e := core.New(core.Config{Store: store, Sealer: theirs})
	defer e.Close()
	if r, err = e.Distrust(ctx, store.Taken(), keepTokens); err != nil {
		return r, err
	}
	if err := store.PutToUse(); err != nil {
		return r, err
	}
	if ours != theirs {
		sealing, err := ours.Digesting(theirs)
		if err != nil {
			return r, err
		}
		if _, err := e.Rekey(ctx, ours, sealing); err != nil {
			return r, err
		}
	}
	return r, e.Close()
}

// ownKey writes the pool's key where it has none yet.
func ownKey(path string, key *seal.Key) error {
	there, err := seal.Load(os.Getenv(EnvKey), seal.FileOf(path))
	if err == nil && there.Fingerprint() == key.Fingerprint() {
		return nil
	}
	return seal.Write(seal.FileOf(path), key)
}

// moveAside gives other names to the files of a store that cannot be opened. SQLite's
// others go before their database: without it they mean nothing, and in its place they
// would be taken for the next one's.
func moveAside(path, aside string) error {
	for _, suffix := range slices.Backward([]string{"", "-shm", "-wal"}) {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &core.Error{Op: opRestore, Kind: core.Denied, Err: err}
		}
	}
	return nil
}
