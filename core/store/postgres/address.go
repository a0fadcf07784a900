package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/metalpool/metalpool/core"
)

// address is where a store is.
type address struct {
	config *pgxpool.Config
	shown  string // without user, password, and whatever else may be secret
}

// defaultConnections bounds the open connections of one process, unless the address
// says pool_max_conns. A transaction is short; more at a time would only wait in the
// server.
const defaultConnections = 16

func parse(raw string) (address, error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		// The address itself is not told: who knows where in it the password is.
		return address{}, bad(errors.New("the address is not one of PostgreSQL"))
	}
	config, err := pgxpool.ParseConfig(raw)
	if err != nil {
		return address{}, bad(fmt.Errorf("%s: %w", Shown(u), cause(err)))
	}
	if !u.Query().Has("pool_max_conns") {
		config.MaxConns = defaultConnections
	}
	return address{config: config, shown: Shown(u)}, nil
}

func bad(err error) error {
	return &core.Error{Op: "open the store", Kind: core.Invalid, Err: err,
		Hint: "write it as postgres://user@host:5432/database?sslmode=verify-full, the password in the file that PGPASSFILE names; what is no letter or digit in a password in the address is written as %40"}
}

// cause is what is wrong with an address, without the text of it, which the library's
// own errors repeat.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	var unread interface{ SafeToRetry() bool }
	if errors.As(err, &unread) || strings.Contains(err.Error(), "://") {
		return errors.New("it cannot be read")
	}
	return err
}

// Shown is an address as it may be told: where the store is, and nothing of who opens
// it.
func Shown(u *url.URL) string {
	told := url.URL{Scheme: "postgres", Host: u.Host, Path: u.Path}
	query := u.Query()
	for name := range query {
		if !slices.Contains([]string{"host", "port", "dbname", "search_path"}, name) {
			query.Del(name)
		}
	}
	told.RawQuery = query.Encode()
	return told.String()
}
