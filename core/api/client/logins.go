package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/metalpool/metalpool/core"
)

// Login is what is kept of one server, by its address, in a file that only its user can
// read.
type Login struct {
	Fingerprint string `json:"fingerprint,omitempty"` // of the server's own CA
	Token       string `json:"token,omitempty"`       // a secret
}

type logins struct {
	Servers map[string]Login `json:"servers"`
}

// loginsFile is where logins are kept.
func loginsFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "metalpool", "servers.json"), nil
}

// Known is what was kept of a server; the zero Login where nothing was.
func Known(address string) (Login, error) {
	base, err := Address(address)
	if err != nil {
		return Login{}, err
	}
	path, err := loginsFile()
	if err != nil {
		return Login{}, nil //nolint:nilerr // without a home nothing was kept
	}
	l, err := load(path)
	return l.Servers[base], err
}

func load(path string) (logins, error) {
	l := logins{Servers: map[string]Login{}}
	fail := func(err error, hint string) (logins, error) {
		return l, &core.Error{Op: "read logins", Kind: core.Invalid, Err: err, Hint: hint}
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return l, nil
	case err != nil:
		return fail(err, "see that you may read it")
	case info.Mode().Perm()&0o077 != 0:
		return fail(fmt.Errorf("%s may be read by others, and holds tokens", path), "chmod 600 "+path+", and have the tokens revoked if others could")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fail(err, "see that you may read it")
	}
	if json.Unmarshal(text, &l) != nil { // its error would quote what is in it
		return fail(fmt.Errorf("%s is not what 'metalpool login' has written", path), "remove it, and log in again")
	}
	return l, nil
}

// Keep writes down what is needed to come back to a server.
func Keep(address string, login Login) (path string, err error) {
	base, err := Address(address)
	if err != nil {
		return "", err
	}
	if path, err = loginsFile(); err != nil {
		return "", err
	}
	l, err := load(path)
	if err != nil {
		return path, err
	}
	if l.Servers == nil {
		l.Servers = map[string]Login{}
	}
	l.Servers[base] = login
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return path, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return path, err
	}
	return path, renameio.WriteFile(path, append(text, '\n'), 0o600, renameio.IgnoreUmask())
}
