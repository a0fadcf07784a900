package open

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
)

// Locate returns the address at which the pool that raw names is found later and
// from any folder, for a caller that writes it down: absolute, the default spelled
// out, and without a secret. An empty raw means METALPOOL_URL, else the embedded
// default. Nothing is opened.
func Locate(raw string) (string, error) {
	if raw == "" {
		raw = os.Getenv(EnvURL)
	}
	return locate(raw)
}

// locate reads METALPOOL_URL's forms and returns the path of the embedded store, or the
// address of a server.
func locate(raw string) (string, error) {
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
	case scheme == "postgres" || scheme == "postgresql":
		return "", badURL(scheme+"://"+withoutSecrets(rest), "this version opens SQLite pools only: give a path")
	}
	return "", badURL(scheme+"://"+withoutSecrets(rest), "give a path, sqlite:///absolute/path/pool.db, or https://host:port of a server")
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
	base := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(base) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", &core.Error{Op: "open pool", Kind: core.Invalid, Err: err, Hint: "say where the pool is: METALPOOL_URL=/path/pool.db"}
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "metalpool", "pool.db"), nil
}
