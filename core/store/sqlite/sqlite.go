// Package sqlite keeps a pool in one SQLite file: the store of the embedded
// engine, shared by every process of one host.
//
// Besides pool.db itself there are pool.db-wal and pool.db-shm, SQLite's own, and
// pool.db.lock and pool.db.queue, which writers wait at (see turnstile). They
// belong together; a copy of pool.db alone while somebody works is no backup.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	driver "modernc.org/sqlite"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// Options say how to open a store.
type Options struct {
	// Create makes the store, and the folder it is in, where there is none.
	Create bool
	// KeyFingerprint is that of the key the secrets are sealed with. The first one
	// given is recorded; another is refused from then on, until PutSealing. Empty: secrets are not
	// going to be sealed or opened, and nothing is checked.
	KeyFingerprint string
	// Backup opens what Backup wrote, and nothing else.
	Backup bool
	// Moved opens also a store whose pool has moved elsewhere.
	Moved bool
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Patience is how long a writer waits for its turn; default 30 s. A context ends
	// that wait too, but not one for a program that knows nothing of the turn.
	Patience time.Duration
}

const defaultPatience = 30 * time.Second

// Store is a core.Store.
type Store struct {
	path      string
	key       string // fingerprint of the one it was opened with; "" where none was given
	taken     time.Time
	mover     record.Mover
	info      core.StoreInfo
	now       func() time.Time
	db        *sql.DB
	turnstile *turnstile
	writers   writers
	stories   record.Stories
	readers   chan struct{} // one place for each View under way

	mu     sync.Mutex
	idle   []*session // the one used last at the end
	closed bool
}

// maxReaders bounds the open connections. A View is short; more at a time would
// only take memory.
const maxReaders = 8

var _ core.Store = (*Store)(nil)

// Open opens the store in the file at path. It returns an Error of kind NotFound
// where there is none and o.Create is not set; Denied where rights are missing, or
// for another key than the store's; Invalid for a file that is no store, a newer
// one, or one on a network file system.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	path, err := place(path, o.Create)
	if err != nil {
		return nil, err
	}
	s := &Store{
		path:    path,
		now:     o.Now,
		readers: make(chan struct{}, maxReaders),
		info:    core.StoreInfo{URL: (&url.URL{Scheme: "sqlite", Path: path}).String()},
	}
	if s.turnstile, err = openTurnstile(path, o.Patience); err != nil {
		return nil, notWritable(path, err)
	}
	connector, err := driver.NewConnector(dsn(path, o.Patience))
	if err != nil {
		return nil, errors.Join(record.Broken("open the store", err), s.turnstile.close())
	}
	s.db = sql.OpenDB(connector)
	if err := s.ready(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// dsn holds what is set on every connection. FULL, since NORMAL loses the last
// commits in a power cut, and what was written ahead must be there after it. MEMORY,
// since what is kept to undo a savepoint would else go to the folder for temporary files.
func dsn(path string, patience time.Duration) string {
	settings := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", patience.Milliseconds()),
			"synchronous(FULL)",
			"foreign_keys(1)",
			"temp_store(MEMORY)",
		},
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: settings.Encode()}).String()
}

// Info says what store this is.
func (s *Store) Info() core.StoreInfo { return s.info }

// Taken is when a backup was made; zero for a store.
func (s *Store) Taken() time.Time { return s.taken }

// Close lets go of the file. Transactions under way end by themselves.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, session := range s.idle {
		errs = append(errs, session.close())
	}
	s.idle = nil
	if err := errors.Join(append(errs, s.db.Close(), s.turnstile.close())...); err != nil {
		return s.explain("close the store", err)
	}
	return nil
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// What a store makes on disk, nobody else may read.
const (
	fileMode   = 0o600
	folderMode = 0o700
)

// place checks where the store is to be, makes the file where that was asked for,
// and returns its one true path: whoever comes by a symbolic link must find the
// same lock files.
func place(path string, create bool) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", record.Broken("open the store", err)
	}
	if create {
		if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
			return "", notWritable(path, err)
		}
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	} else if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(folder, filepath.Base(path))
	}
	folder := filepath.Dir(path)
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return "", &core.Error{Op: "open the store", Kind: core.Invalid, Err: fmt.Errorf("%s is a directory", path), Hint: "name a file in it, such as " + filepath.Join(path, "pool.db")}
	case err == nil && !info.Mode().IsRegular():
		return "", &core.Error{Op: "open the store", Kind: core.Invalid, Err: fmt.Errorf("%s is not a regular file", path), Hint: "name another path"}
	case err == nil:
		return path, onLocalFilesystem(path)
	case !errors.Is(err, os.ErrNotExist):
		return "", notWritable(path, err)
	}
	if _, err := os.Stat(folder); err != nil {
		return "", &core.Error{Op: "open the store", Kind: core.NotFound, Err: fmt.Errorf("%s: the folder does not exist", path), Hint: "make it, or name another path"}
	}
	if !create {
		return "", &core.Error{Op: "open the store", Kind: core.NotFound, Err: fmt.Errorf("%s does not exist", path), Hint: "enroll a node to make it, or name the right path in METALPOOL_URL"}
	}
	if err := onLocalFilesystem(folder); err != nil {
		return "", err
	}
	// SQLite gives its other files the mode of this one. Racing creators all get it.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return "", notWritable(path, err)
	}
	return path, errors.Join(f.Close(), syncFolder(folder))
}

// syncFolder makes a new name in the folder survive a power cut.
func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func notWritable(path string, err error) error {
	return &core.Error{Op: "open the store", Kind: core.Denied, Err: fmt.Errorf("%s: %w", path, err),
		Hint: fmt.Sprintf("give user %d the right to write the file and its folder, or name another path in METALPOOL_URL", os.Getuid())}
}
