package seal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/metalpool/metalpool/core"
)

// Environment names the variable that holds the key, or the path of its file.
const Environment = "METALPOOL_KEY"

const (
	opLoad = "load the key"
	prefix = "AGE-SECRET-KEY-1"
	// A key file is three lines; more is something else, and not worth reading.
	maxFile = 64 << 10
)

// FileOf is where the key of a store in a file lies: beside it.
func FileOf(store string) string { return store + ".key" }

// Load returns the key from setting, the value of Environment, which is the key
// itself or a path; where it is empty, from file.
func Load(setting, file string) (*Key, error) {
	setting = strings.TrimSpace(setting)
	if isText(setting) {
		return parse(strings.NewReader(setting), Environment)
	}
	if setting != "" {
		return read(setting)
	}
	return read(file)
}

// isText: what looks like a key, though mistyped, or like a key file's text, must not
// be taken for a path and printed.
func isText(setting string) bool {
	return strings.HasPrefix(setting, "AGE-SECRET") || strings.Contains(setting, "\n")
}

// Absolute is the setting as it is understood from any folder.
func Absolute(setting string) (string, error) {
	setting = strings.TrimSpace(setting)
	if setting == "" || isText(setting) {
		return setting, nil
	}
	return filepath.Abs(setting)
}

// LoadOrCreate is Load for a store that is about to be made: where no key is
// named and file does not exist, it is made, with its folder. Of several
// processes that race, all return the one key that stays.
func LoadOrCreate(setting, file string) (*Key, error) {
	key, err := Load(setting, file)
	if strings.TrimSpace(setting) != "" || !core.Is(err, core.NotFound) {
		return key, err
	}
	if key, err = Generate(); err != nil {
		return nil, err
	}
	switch err := write(file, key); {
	case errors.Is(err, fs.ErrExist):
		return read(file)
	case err != nil:
		return nil, &core.Error{Op: "make a key", Kind: core.Denied, Err: err, Hint: fmt.Sprintf("give user %d the right to write that folder, or name a key with %s", os.Getuid(), Environment)}
	}
	return key, nil
}

// write puts the key at path, whole or not at all, and never over another.
func write(path string, key *Key) (err error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".key-*") // 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = fmt.Fprintf(f, "# The key of the metalpool store beside it. Without it, the secrets in that store are lost.\n# public key: %s\n%s\n", key.identity.Recipient(), key.identity)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// Link, unlike rename, refuses a name that exists.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

// read reads a key file. Like ssh, it refuses one that others may read, since a
// warning in the output of a plugin would be seen by nobody.
func read(path string) (*Key, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &core.Error{Op: opLoad, Kind: core.NotFound, Err: fmt.Errorf("%s does not exist", path), Hint: "put the store's key there, or name it with " + Environment}
	case err != nil:
		return nil, &core.Error{Op: opLoad, Kind: core.Denied, Err: err, Hint: fmt.Sprintf("give user %d the right to read it, or name another with %s", os.Getuid(), Environment)}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, &core.Error{Op: opLoad, Kind: core.Denied, Err: err}
	}
	if info.IsDir() {
		return nil, &core.Error{Op: opLoad, Kind: core.Invalid, Err: fmt.Errorf("%s is a directory", path), Hint: "name the key file in it"}
	}
	if mode := info.Mode().Perm(); info.Mode().IsRegular() && mode&0o077 != 0 {
		return nil, &core.Error{Op: opLoad, Kind: core.Denied, Err: fmt.Errorf("%s may be read or written by others (mode %04o)", path, mode), Hint: "chmod 600 " + path}
	}
	return parse(io.LimitReader(f, maxFile), path)
}

// parse finds the one key in the text of where. No part of a text that is not a key
// is told, since it may be another secret.
func parse(r io.Reader, where string) (*Key, error) {
	refuse := func(why string) error {
		return &core.Error{Op: opLoad, Kind: core.Invalid, Err: fmt.Errorf("%s %s", where, why), Hint: "it holds one line that starts with " + prefix + ", as age-keygen makes it"}
	}
	var key *Key
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		identity, err := age.ParseX25519Identity(line)
		if err != nil {
			return nil, refuse("holds something that is not an age X25519 key")
		}
		if key != nil {
			return nil, refuse("holds more than one key")
		}
		key = newKey(identity)
	}
	if err := lines.Err(); err != nil {
		return nil, refuse("cannot be read as a key")
	}
	if key == nil {
		return nil, refuse("holds no key")
	}
	return key, nil
}
