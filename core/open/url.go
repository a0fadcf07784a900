package open

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
)

// Locate returns the address at which the pool that raw names is found later and
// from any folder, for an adapter, which writes it down: absolute, the default spelled
// out, and without a secret. An empty raw means METALPOOL_URL, else the embedded
// default. Nothing is opened.
func Locate(raw string) (string, error) {
	address, err := find(raw)
	if err == nil && inDatabase(address) {
		return "", &core.Error{Op: "open pool", Kind: core.Invalid, Err: errors.New("a PostgreSQL database is no address for users of a pool: whoever holds it, and the pool's key, is its operator"),
			Hint: "run 'metalpool serve' on that database, and name the server, https://host:port"}
	}
	return address, err
}

// inDatabase reports whether what find returned is a database's address, which may hold
// a password.
func inDatabase(address string) bool {
	return strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://")
}

// find reads METALPOOL_URL's forms and returns the path of the embedded store, or the
// address of a server or of a database.
func find(raw string) (string, error) {
	if raw == "" {
		raw = os.Getenv(EnvURL)
	}
	scheme, rest, has := strings.Cut(raw, "://")
	switch {
	case raw == "":
		return defaultPath()
	case !has:
		return filepath.Abs(raw)
	case scheme == "sqlite":
		u, err := url.Parse(raw)
		if err != nil || u.Host != "" || u.Path == "" || u.RawQuery != "" {
			return "", badURL(scheme+"://"+withoutSecrets(rest), "a SQLite address is sqlite:///absolute/path/pool.db")
		}
		return filepath.Clean(u.Path), nil
	case scheme == "https":
		return client.Address(raw)
	case inDatabase(raw):
		return database(raw)
	}
	return "", badURL(scheme+"://"+withoutSecrets(rest), "give a path, sqlite:///absolute/path/pool.db, https://host:port of a server, or postgres://user@host/database")
}

// filesOfDatabase are the settings of a database's address that name files.
var filesOfDatabase = []string{"sslrootcert", "sslcert", "sslkey", "passfile", "servicefile"}

// database returns a database's address as it is understood from any folder.
func database(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", badURL("postgres://…", "a PostgreSQL address is postgres://user@host:5432/database?sslmode=verify-full, and the password is in the file that PGPASSFILE names")
	}
	query := u.Query()
	for _, name := range filesOfDatabase {
		if path := query.Get(name); path != "" && path != "system" {
			if path, err = filepath.Abs(path); err != nil {
				return "", err
			}
			query.Set(name, path)
		}
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func badURL(shown, hint string) error {
	return &core.Error{Op: "open pool", Kind: core.Invalid, Err: fmt.Errorf("%q is not a pool's address here", shown), Hint: hint}
}

// withoutSecrets drops user:password@ and the query, which may hold a password.
func withoutSecrets(rest string) string {
	rest, _, _ = strings.Cut(rest, "?")
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		rest = rest[i+1:]
	}
	return rest
}

// defaultPath is where the embedded pool lives when nothing is said.
func defaultPath() (string, error) {
	folder, err := dataFolder()
	return filepath.Join(folder, "pool.db"), err
}

// dataFolder is where this user's pools have their files.
func dataFolder() (string, error) {
	base := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(base) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", &core.Error{Op: "open pool", Kind: core.Invalid, Err: err, Hint: "say where the pool is: METALPOOL_URL=/path/pool.db"}
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "metalpool"), nil
}
