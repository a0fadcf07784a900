package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	driver "modernc.org/sqlite"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// metaTaken marks a file as a backup, with the time: whoever worked on one as if it were
// the pool would make two of it.
const metaTaken = "backup taken"

// Backup writes the store as it stands at one moment into a new file, which nobody else
// may read, and makes that survive a power cut. Others go on writing meanwhile. It
// returns the moment. The file is a backup: Open takes it only where Options say so.
func (s *Store) Backup(ctx context.Context, path string) (taken time.Time, err error) {
	session, err := s.session(ctx)
	if err != nil {
		return taken, err
	}
	defer s.giveBack(session)
	taken, err = backup(ctx, session.conn, path, s.now().UTC())
	return taken, s.explain("back up the store", err)
}

func backup(ctx context.Context, conn *sql.Conn, path string, now time.Time) (time.Time, error) {
	// SQLite takes an empty file, and its mode with it.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, fileMode)
	if err != nil {
		return now, err
	}
	defer f.Close()
	if _, err := conn.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return now, err
	}
	if err := mark(ctx, path, "INSERT INTO meta (key, value) VALUES (?1, ?2)", metaTaken, now.Format(time.RFC3339Nano)); err != nil {
		return now, err
	}
	return now, errors.Join(f.Sync(), syncFolder(filepath.Dir(path)))
}

// mark changes a file that nobody else has open.
func mark(ctx context.Context, path, statement string, args ...any) error {
	db, err := sql.Open("sqlite", fileURL(path))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, statement, args...)
	return errors.Join(err, db.Close())
}

func fileURL(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

// PutAway makes a backup of the store that s has open, as of that time, and closes it: a
// file of one piece, which survives a power cut. Nobody else may have it open.
func (s *Store) PutAway(taken time.Time) error {
	session, err := s.session(background)
	if err != nil {
		return err
	}
	_, err = session.exec("INSERT INTO meta (key, value) VALUES (?1, ?2)", metaTaken, taken.UTC().Format(time.RFC3339Nano))
	s.giveBack(session)
	// The last one to close it has SQLite write all into the file.
	err = errors.Join(err, s.Close())
	if err != nil {
		return s.explain("put a backup away", err)
	}
	f, err := os.Open(s.path)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close(), syncFolder(filepath.Dir(s.path)))
	}
	return s.explain("put a backup away", err)
}

// PutToUse makes a store of the backup that s has open.
func (s *Store) PutToUse() error {
	session, err := s.session(background)
	if err != nil {
		return err
	}
	defer s.giveBack(session)
	_, err = session.exec("DELETE FROM meta WHERE key = ?", metaTaken)
	return s.explain("put a backup to use", err)
}

// Replace puts the store in the file from in the place of the one at path, if there is
// one, which is backed up to aside first. It is one transaction of the store at path:
// whoever has that open works on with the other from then on, and a crash leaves the
// one or the other. from is a closed store of this schema, which nobody has open.
func Replace(ctx context.Context, path, from, aside string) error {
	const op = "replace the store"
	switch placed, err := place(path, false); {
	case err == nil:
		path = placed
	case !core.Is(err, core.NotFound):
		return err
	default:
		if err := onLocalFilesystem(filepath.Dir(path)); err != nil {
			return err
		}
	}
	s := &Store{path: path}
	var err error
	if s.turnstile, err = openTurnstile(path, defaultPatience); err != nil {
		return notWritable(path, err)
	}
	defer s.turnstile.close()
	if err := s.turnstile.enter(ctx); err != nil {
		return err
	}
	defer s.turnstile.leave()
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return s.explain(op, moveIn(path, from))
	}
	if err != nil {
		return s.explain(op, err)
	}
	db, err := sql.Open("sqlite", dsn(path, defaultPatience))
	if err != nil {
		return record.Broken(op, err)
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return s.explain(op, err)
	}
	defer conn.Close()
	if info.Size() > 0 {
		if _, err := backup(ctx, conn, aside, time.Now().UTC()); err != nil {
			return s.explain("back up the store that is replaced", err)
		}
	}
	if err := copyOver(conn, from); err != nil {
		return s.explain(op, err)
	}
	// What the WAL has is on the disk already; this is to have it in the file, too.
	_, err = conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return s.explain(op, err)
}

// moveIn makes the file from the store at path, where there is none. What SQLite left
// there of an earlier one means nothing without it, and would be taken for this one's.
func moveIn(path, from string) error {
	for _, left := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + left); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(from, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// copyOver makes the database of conn one with that in the file.
func copyOver(conn *sql.Conn, from string) error {
	return conn.Raw(func(raw any) error {
		target, ok := raw.(interface {
			NewRestore(uri string) (*driver.Backup, error)
		})
		if !ok {
			return fmt.Errorf("the SQLite driver %T cannot copy a database", raw)
		}
		b, err := target.NewRestore(fileURL(from))
		if err != nil {
			return err
		}
		more, err := b.Step(-1)
		if err == nil && more {
			err = &core.Error{Op: "copy the store", Kind: core.Internal, Err: errors.New("not all of it was copied")}
		}
		return errors.Join(err, b.Finish())
	})
}
