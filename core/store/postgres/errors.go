package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/metalpool/metalpool/core"
)

// code is PostgreSQL's SQLSTATE, or "" where err is not an answer of the server.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// What the server says, as far as something depends on it.
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	lockNotAvailable     = "55P03"
	cannotConnectNow     = "57P03"
	invalidParameter     = "22023"
	queryCanceled        = "57014"
)

// overtaken reports whether another transaction got in between, so that the same one
// may succeed when it is run again.
func overtaken(err error) bool {
	switch code(err) {
	case uniqueViolation, serializationFailure, deadlockDetected:
		return true
	}
	return false
}

// gone reports whether the server said that it goes away, or is not there yet: it
// restarts, or another one takes over. A statement that it was asked to stop, though we
// did not ask, counts as well: a request to stop names a connection, and one that was
// meant for the statement before may come late.
func gone(err error) bool {
	c := code(err)
	return strings.HasPrefix(c, "08") || strings.HasPrefix(c, "57P") || c == "25P03" || c == "53300" || c == queryCanceled || errors.As(err, new(*standbyError))
}

// unreached reports whether err, of an attempt to connect, may pass: it is no answer
// that will be the same next time.
func unreached(err error) bool {
	return gone(err) || (code(err) == "" && !errors.As(err, new(*core.Error)))
}

// explain turns a failure of PostgreSQL or of the network into one that says what to do
// next. It leaves a core.Error and the end of a context as they are.
func (s *Store) explain(op string, err error) error {
	var known *core.Error
	var connecting *pgconn.ConnectError
	var network net.Error
	connection := errors.As(err, &connecting)
	if err == nil || errors.As(err, &known) || !connection && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	kind, hint := core.Internal, ""
	user := s.address.config.ConnConfig.User
	switch c := code(err); {
	case c == "28P01":
		kind, hint = core.Denied, fmt.Sprintf("put the password of user %q into the file that PGPASSFILE names (default ~/.pgpass), which only you may read", user)
	case strings.HasPrefix(c, "28"):
		kind, hint = core.Denied, fmt.Sprintf("have pg_hba.conf of the server let user %q in from here, and see sslmode in the address", user)
	case c == "3D000":
		kind, hint = core.NotFound, fmt.Sprintf("create it: createdb --encoding=UTF8 --template=template0 %s; or name another one in METALPOOL_URL", s.address.config.ConnConfig.Database)
	case c == "42501":
		kind, hint = core.Denied, fmt.Sprintf("make user %q the owner of the database, or GRANT it CREATE and USAGE on the schema and all rights on its tables", user)
	case c == "25006":
		kind, hint = core.Denied, "the server can only be read; name the primary"
	case c == lockNotAvailable:
		kind, hint = core.Busy, "another transaction holds the same rows; try again, and if it stays so, see pg_stat_activity"
	case c == queryCanceled:
		kind, hint = core.Transient, "somebody stops our statements, or statement_timeout does: ALTER ROLE … SET statement_timeout = 0"
	case c == "53100":
		kind, hint = core.Transient, "free some space on the server's disk; nothing was changed"
	case c == "53300":
		kind, hint = core.Transient, "the server has no connection left: raise max_connections, or lower pool_max_conns in the addresses of its users"
	case strings.HasPrefix(c, "53"), strings.HasPrefix(c, "58"):
		kind, hint = core.Transient, "see the server's log"
	case c == "XX001", c == "XX002":
		kind, hint = core.Invalid, "the database is damaged: stop all users and restore a backup"
	case c == "42P01", c == "42703":
		kind, hint = core.Invalid, "the tables are not those of a store of this version; restore a backup"
	case gone(err), connection, errors.As(err, &network), errors.As(err, new(*goneError)):
		kind, hint = core.Transient, "see whether the server runs and is reached from here; the same call again goes on"
	}
	return &core.Error{Op: op, Kind: kind, Err: fmt.Errorf("%s: %w", s.address.shown, told(err)), Hint: hint}
}

// told is an error of the library in one line.
func told(err error) error {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		text := answer.Message
		if answer.Detail != "" {
			text += " (" + answer.Detail + ")"
		}
		return &toldError{text, err}
	}
	return &toldError{strings.Join(strings.Fields(err.Error()), " "), err}
}

type toldError struct {
	text  string
	cause error
}

func (e *toldError) Error() string { return e.text }
func (e *toldError) Unwrap() error { return e.cause }
