package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
)

// A key is changed in this order, so that at every line one of two files has the key
// that the store is sealed with: the next key is written beside the present one; the
// store is sealed anew, in one transaction; the present file becomes the old one, and the
// next takes its place. Whoever opens the store in between finds the next key there,
// and does the last step.

// NextFile is where the next key lies while it is not in use yet.
func NextFile(file string) string { return file + ".new" }

// OldFile is where the key before this one stays: backups from its time are sealed with it.
func OldFile(file string) string { return file + ".old" }

const opChange = "change the key"

// InFile is the path of the key that Load loads; an error where the key's text itself
// was given, which nobody can change for its owner. A link to the file is followed: the
// next key and the old one lie beside the file, and take its place, while the link stays
// as its owner has made it.
func InFile(setting, file string) (string, error) {
	setting = strings.TrimSpace(setting)
	switch {
	case isText(setting):
		return "", &core.Error{Op: opChange, Kind: core.Invalid, Err: errors.New(Environment + " holds the key itself"), Hint: "write it into a file that only you may read, name that file in " + Environment + ", and run this again"}
	case setting != "":
		file = setting
	}
	if behind, err := filepath.EvalSymlinks(file); err == nil {
		return behind, nil
	}
	return file, nil // which Load says more of
}

// Write puts a key into a new file, whole or not at all, and never over another.
func Write(file string, key *Key) error {
	err := write(file, key)
	if errors.Is(err, fs.ErrExist) {
		return &core.Error{Op: "write the key", Kind: core.Exists, Err: fmt.Errorf("%s is there already", file), Hint: "move it away"}
	}
	if err != nil {
		return &core.Error{Op: "write the key", Kind: core.Denied, Err: err, Hint: fmt.Sprintf("give user %d the right to write that folder", os.Getuid())}
	}
	return nil
}

// Lock keeps others from changing the key in file at the same time. The kernel drops it
// with the process.
func Lock(file string) (unlock func(), err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, &core.Error{Op: opChange, Kind: core.Denied, Err: err}
	}
	busy := &core.Error{Op: opChange, Kind: core.Busy, Err: fmt.Errorf("another process changes %s right now", file), Hint: "see what it says; then look with 'metalpool key show'"}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		f.Close()
		return nil, busy
	}
	// It may have been changed between our opening it and our lock on it.
	locked, err := f.Stat()
	now, nowErr := os.Stat(file)
	if err != nil || nowErr != nil || !os.SameFile(locked, now) {
		f.Close()
		return nil, busy
	}
	return func() { f.Close() }, nil
}

// Swap makes the next key the present one, and the present one the old. Where another
// process has done so meanwhile, it does nothing.
func Swap(file string) error {
	if _, err := os.Stat(NextFile(file)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := os.Link(file, OldFile(file))
	if errors.Is(err, fs.ErrExist) {
		err = nil // by a swap that was cut short
	}
	if err == nil {
		err = os.Rename(NextFile(file), file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = syncFolder(filepath.Dir(file))
	}
	if err != nil {
		return &core.Error{Op: opChange, Kind: core.Denied, Err: err, Hint: fmt.Sprintf("give user %d the right to write that folder; the store is sealed with the key in %s by now", os.Getuid(), NextFile(file))}
	}
	return nil
}

func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
