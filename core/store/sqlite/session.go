package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/metalpool/metalpool/core/store/internal/record"
)

// session is one connection with the statements prepared on it. One goroutine uses
// it at a time. Statements run without the caller's context: cancelling one in the
// middle of a transaction costs a goroutine per statement and gains nothing, since
// each is short; the transaction looks at the context between them.
type session struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

var background = context.Background()

func (s *session) statement(query string) (*sql.Stmt, error) {
	if stmt, ok := s.statements[query]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(background, query)
	if err != nil {
		return nil, err
	}
	s.statements[query] = stmt
	return stmt, nil
}

func (s *session) exec(query string, args ...any) (sql.Result, error) {
	stmt, err := s.statement(query) //nolint:sqlclosecheck // kept until close
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(background, args...)
}

func (s *session) query(query string, args ...any) (*sql.Rows, error) {
	stmt, err := s.statement(query) //nolint:sqlclosecheck // kept until close
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(background, args...)
}

// row reads the one row that the query yields; sql.ErrNoRows where there is none.
func (s *session) row(query string, args []any, dest ...any) error {
	stmt, err := s.statement(query) //nolint:sqlclosecheck // kept until close
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(background, args...).Scan(dest...)
}

func (s *session) close() error { return errors.Join(s.forget(), s.conn.Close()) }

// forget closes the statements.
func (s *session) forget() error {
	var errs []error
	for _, stmt := range s.statements {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}

// discard closes a session on which a transaction may still be open, which SQLite then
// rolls back. Just closed, its connection would wait for the next session.
func (s *session) discard() {
	_ = s.forget() // nothing depends on it
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
}

// session takes an idle session, the one used last first, since its statements and
// pages are warm; or it opens one.
func (s *Store) session(ctx context.Context) (*session, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, record.ErrClosed
	}
	if n := len(s.idle); n > 0 {
		session := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return session, nil
	}
	s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := s.db.Conn(background)
	if err != nil {
		return nil, s.explain("open the store", err)
	}
	return &session{conn: conn, statements: map[string]*sql.Stmt{}}, nil
}

// giveBack keeps the session for the next transaction.
func (s *Store) giveBack(session *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.idle) >= maxReaders {
		// Nothing depends on it: the transaction has ended.
		_ = session.close()
		return
	}
	s.idle = append(s.idle, session)
}
