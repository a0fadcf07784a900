package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/metalpool/metalpool/core"
)

// code is SQLite's result code, or 0 where err is not SQLite's.
func code(err error) int {
	var e *driver.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// duplicate reports whether a row was refused since its key is taken.
func duplicate(err error) bool {
	c := code(err)
	return c == codes.SQLITE_CONSTRAINT_UNIQUE || c == codes.SQLITE_CONSTRAINT_PRIMARYKEY
}

// explain turns a failure of SQLite or of the file system into one that says what
// to do next. It leaves a core.Error and the end of a context as they are.
func (s *Store) explain(op string, err error) error {
	var known *core.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	kind, hint := core.Internal, ""
	switch code(err) & 0xff {
	case codes.SQLITE_NOTADB:
		kind, hint = core.Invalid, "the file is something else than a store; name another path, or move it away"
	case codes.SQLITE_CORRUPT:
		kind, hint = core.Invalid, "the store is damaged: stop all users, keep a copy of the files, and restore a backup or run sqlite3's .recover on the copy"
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		kind, hint = core.Busy, "a program other than metalpool has the file open for writing; close it and try again"
	case codes.SQLITE_READONLY, codes.SQLITE_PERM, codes.SQLITE_AUTH:
		kind, hint = core.Denied, fmt.Sprintf("give user %d the right to write the file and its folder", os.Getuid())
	case codes.SQLITE_CANTOPEN:
		kind, hint = core.Denied, fmt.Sprintf("give user %d the right to read and write the file and its folder", os.Getuid())
	case codes.SQLITE_FULL:
		kind, hint = core.Transient, "free some space on that file system; nothing was changed"
	case codes.SQLITE_IOERR:
		kind, hint = core.Transient, "see the kernel's log for faults of the disk"
	}
	return &core.Error{Op: op, Kind: kind, Err: fmt.Errorf("%s: %w", s.path, err), Hint: hint}
}
