package bootcfg

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// What is opened here was laid down by others: a name may be that of a pipe, at which
// an open waits for ever, and a file or folder may be of any size.

// clean makes a path of a configuration one of fs.FS. It cannot lead out.
func clean(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return "."
	}
	return name
}

// open opens regular files alone.
func open(volume fs.FS, name string) (fs.File, error) {
	name = clean(name)
	info, err := fs.Stat(volume, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("it is no file")}
	}
	return volume.Open(name)
}

func exists(volume fs.FS, name string) bool {
	_, err := fs.Stat(volume, clean(name))
	return err == nil
}

// Bounds of what is read, in bytes; os-release and boot loader entries are small.
const (
	maxConfig = 1 << 20
	maxSmall  = 64 << 10
)

// readConfig fails for a file of more than maximum bytes.
func readConfig(volume fs.FS, name string, maximum int64) (string, error) {
	f, err := open(volume, name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // nothing was written
	b, err := io.ReadAll(io.LimitReader(f, maximum+1))
	if err == nil && int64(len(b)) > maximum {
		err = fmt.Errorf("%s is larger than %d bytes", name, maximum)
	}
	return string(b), err
}

// maxEntries bounds how many files of a folder count, and how many boot loader entries.
const maxEntries = 256

// readDir returns at most maxEntries of a folder, by name.
func readDir(volume fs.FS, name string) ([]fs.DirEntry, error) {
	info, err := fs.Stat(volume, name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("it is no folder")}
	}
	f, err := volume.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	dir, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.ErrUnsupported}
	}
	found, err := dir.ReadDir(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.SortFunc(found, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return found, nil
}

// lookup finds a file as firmware does, whatever the case of letters.
func lookup(volume fs.FS, name string) (string, bool) {
	at := "."
	for _, part := range strings.Split(name, "/") {
		files, err := readDir(volume, at)
		if err != nil {
			return "", false
		}
		i := slices.IndexFunc(files, func(f fs.DirEntry) bool { return strings.EqualFold(f.Name(), part) })
		if i < 0 {
			return "", false
		}
		at = path.Join(at, files[i].Name())
	}
	return at, true
}

// list reads a directory; one that is not there is empty.
func list(volume fs.FS, name string) ([]fs.DirEntry, error) {
	found, ok := lookup(volume, name)
	if !ok {
		return nil, nil
	}
	return readDir(volume, found)
}
