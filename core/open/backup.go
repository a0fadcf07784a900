package open

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

// Backup tells what a backup holds.
type Backup struct {
	File     string     `json:"file"`
	PoolID   string     `json:"pool_id"`
	Schema   int64      `json:"schema"`
	Taken    time.Time  `json:"taken"`
	Size     core.Bytes `json:"size"`
	Nodes    int        `json:"nodes"`
	Machines int        `json:"machines"` // unreleased
	// Key is the fingerprint of the key that its secrets are sealed with. KeyFile is
	// where that was written with the backup; empty: it was not.
	Key     string `json:"key"`
	KeyFile string `json:"key_file,omitempty"`
	// Findings are what 'metalpool check' finds in it.
	Findings []core.Violation `json:"findings"`
}

// WriteBackup backs a pool up into a new file, while others work on the pool. Of a file
// and of a database it is the same kind of file, and may be restored into either. The key
// is written beside the backup where withKey says so; seal.FileOf names that file.
func WriteBackup(ctx context.Context, url, file string, withKey bool) (b Backup, err error) {
	address, err := ownStore("back up", url)
	if err != nil {
		return b, err
	}
	store, key, base, err := openStore(ctx, address, opening{})
	if err != nil {
		return b, err
	}
	defer store.Close()
	if b.File, err = filepath.Abs(file); err != nil {
		return b, err
	}
	targets := []string{b.File}
	if withKey {
		b.KeyFile = seal.FileOf(b.File)
		targets = append(targets, b.KeyFile)
	}
	for _, target := range targets {
		switch _, err := os.Lstat(target); {
		case err == nil:
			return b, &core.Error{Op: "back up", Kind: core.Exists, Err: fmt.Errorf("%s is there already, and a backup replaces no file", target), Hint: "choose another name, such as one with the date"}
		case !errors.Is(err, fs.ErrNotExist):
			return b, &core.Error{Op: "back up", Kind: core.Denied, Err: err, Hint: "name a file in a folder that you may write"}
		}
	}
	// It is made and looked at beside the store: where it is to go may be another host's,
	// and no place for SQLite.
	folder, err := workFolder(base)
	if err != nil {
		return b, err
	}
	defer os.RemoveAll(folder)
	made := filepath.Join(folder, "pool.db")
	if err := backUp(ctx, store, made); err != nil {
		return b, err
	}
	if err := b.look(ctx, made, key); err != nil {
		return b, err
	}
	return b, b.put(made, key)
}

// put writes what was made to where it is to go, and the key with it, or neither. The key
// comes last, so that it lies nowhere without a backup.
func (b *Backup) put(made string, key *seal.Key) (err error) {
	if b.Size, err = copyNew(made, b.File); err != nil {
		return &core.Error{Op: "write the backup", Kind: core.Denied, Err: err, Hint: "look at the space and the rights there; the pool was only read"}
	}
	if b.KeyFile == "" {
		return nil
	}
	if err := seal.Write(b.KeyFile, key); err != nil {
		return errors.Join(err, os.Remove(b.File)) // or it stands in the way of the next try
	}
	return nil
}

// backUp writes the store as it stands at one moment into the new file made, in a folder
// that nobody else uses.
func backUp(ctx context.Context, store core.Store, made string) error {
	if file, ok := store.(*sqlite.Store); ok {
		_, err := file.Backup(ctx, made)
		return err
	}
	err := written(ctx, made, func(to *sqlite.Store) (time.Time, error) { return core.Snapshot(ctx, store, to) })
	return unfit(err, store.Info().URL, "keep it as it is with pg_dump; 'metalpool check' says more")
}

// unfit explains why the rows of a database are refused by the file that they are written
// to: they are such as no store takes, and something else has written them.
func unfit(err error, url, hint string) error {
	if !core.Is(err, core.Exists) {
		return err
	}
	return &core.Error{Op: "back up", Kind: core.Invalid, Err: fmt.Errorf("the pool in %s is broken, and a backup is of a whole one (%w)", url, err), Hint: hint}
}

// written makes a backup of what fill writes, as of the time that it returns.
func written(ctx context.Context, made string, fill func(to *sqlite.Store) (time.Time, error)) error {
	to, err := sqlite.Open(ctx, made, sqlite.Options{Create: true})
	if err != nil {
		return err
	}
	taken, err := fill(to)
	if err == nil {
		err = to.PutAway(taken)
	}
	return errors.Join(err, to.Close())
}

// workFolder is a folder beside the store, or beside what this host has of it, which
// nobody else may read.
func workFolder(base string) (string, error) {
	folder, err := os.MkdirTemp(filepath.Dir(base), ".metalpool-copy-")
	if err != nil {
		return "", &core.Error{Op: "make room for a copy of the store", Kind: core.Denied, Err: err, Hint: fmt.Sprintf("give user %d the right to write that folder", os.Getuid())}
	}
	return folder, nil
}

// look opens a backup, as whoever restores it will, and counts.
func (b *Backup) look(ctx context.Context, file string, key *seal.Key) error {
	store, err := sqlite.Open(ctx, file, sqlite.Options{Backup: true, KeyFingerprint: key.Fingerprint()})
	if err != nil {
		return err
	}
	e := core.New(core.Config{Store: store, Sealer: key})
	defer e.Close()
	b.Taken = store.Taken()
	return errors.Join(b.count(ctx, e), e.Close())
}

// count looks over the pool that e has.
func (b *Backup) count(ctx context.Context, e *core.Engine) (err error) {
	info := e.Info()
	b.PoolID, b.Schema, b.Key = info.PoolID, info.Schema, info.Sealing.Fingerprint
	if b.Findings, err = e.Verify(ctx); err != nil {
		return err
	}
	nodes, err := e.Nodes(ctx, core.NodeFilter{})
	if err != nil {
		return err
	}
	machines, err := e.Machines(ctx, core.AllocationFilter{Live: true})
	b.Nodes, b.Machines = len(nodes), len(machines)
	return err
}

// copyNew copies a file to a new name, whole or not at all, so that it survives a power
// cut, and reads it back.
func copyNew(from, to string) (size core.Bytes, err error) {
	source, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer source.Close()
	target, err := os.CreateTemp(filepath.Dir(to), ".metalpool-backup-*") // 0600
	if err != nil {
		return 0, err
	}
	defer os.Remove(target.Name()) // not there any more where all went well
	defer target.Close()
	want, got := sha256.New(), sha256.New()
	n, err := io.Copy(io.MultiWriter(target, want), source)
	if err = errors.Join(err, target.Sync()); err != nil {
		return 0, err
	}
	if _, err := target.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	if _, err := io.Copy(got, target); err != nil {
		return 0, err
	}
	if string(want.Sum(nil)) != string(got.Sum(nil)) {
		return 0, fmt.Errorf("%s: what is read back is not what was written", to)
	}
	if err := moveNew(target.Name(), to); err != nil {
		return 0, err
	}
	folder, err := os.Open(filepath.Dir(to))
	if err != nil {
		return 0, err
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil && !errors.Is(err, unix.EINVAL) { // some file systems know no such thing
		return 0, err
	}
	return core.Bytes(n), nil
}

// moveNew gives a file a name that nothing has. Rename alone would replace what is there.
func moveNew(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) {
		return os.Rename(from, to) // FAT has no links; that there was no such file was seen before
	}
	return err
}
