package vfs

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// View is a tree as one user sees it. Names are absolute. Errors are
// *fs.PathError around a syscall.Errno, with the name that was asked for.
type View struct {
	t        *Tree
	uid, gid int
}

// UID is the user that v acts as.
func (v View) UID() int { return v.uid }

// GID is the group that v acts as.
func (v View) GID() int { return v.gid }

const (
	mayRead  fs.FileMode = 4
	mayWrite fs.FileMode = 2
	mayEnter fs.FileMode = 1
	maxLinks             = 40
)

// may reports whether v's user has the wanted permission.
func (v View) may(n *inode, want fs.FileMode) bool {
	switch {
	case v.uid == 0:
		return true
	case v.uid == n.UID:
		return n.Mode.Perm()>>6&want == want
	case v.gid == n.GID:
		return n.Mode.Perm()>>3&want == want
	}
	return n.Mode.Perm()&want == want
}

// resolve finds where name leads, through links; the last part's link is followed
// only if follow is set. The inode is nil where everything but the last part exists.
func (v View) resolve(name string, follow bool) (string, *inode, error) {
	if !path.IsAbs(name) {
		return "", nil, syscall.EINVAL
	}
	at, rest, links := "/", strings.Split(name, "/"), 0
	node := v.t.get("/")
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		if node == nil {
			return "", nil, syscall.ENOENT
		}
		if !node.Mode.IsDir() {
			return "", nil, syscall.ENOTDIR
		}
		if !v.may(node, mayEnter) {
			return "", nil, syscall.EACCES
		}
		next := path.Join(at, part)
		n := v.t.get(next)
		if n != nil && n.Mode&fs.ModeSymlink != 0 && (follow || len(rest) > 0) {
			if links++; links > maxLinks {
				return "", nil, syscall.ELOOP
			}
			target := string(n.Data)
			if path.IsAbs(target) {
				at, node = "/", v.t.get("/")
			}
			rest = append(strings.Split(target, "/"), rest...)
			continue
		}
		at, node = next, n
	}
	return at, node, nil
}

// existing is resolve for what must be there.
func (v View) existing(name string, follow bool) (string, *inode, error) {
	at, n, err := v.resolve(name, follow)
	if err == nil && n == nil {
		err = syscall.ENOENT
	}
	return at, n, err
}

// mayChange checks that v's user may add or remove entries of the directory that
// holds name; n is what is at name now, if anything.
func (v View) mayChange(name string, n *inode) error {
	dir := v.t.get(path.Dir(name))
	switch {
	case dir == nil:
		return syscall.ENOENT
	case !dir.Mode.IsDir():
		return syscall.ENOTDIR
	case !v.may(dir, mayWrite|mayEnter):
		return syscall.EACCES
	case n != nil && dir.Mode&fs.ModeSticky != 0 && v.uid != 0 && v.uid != n.UID && v.uid != dir.UID:
		return syscall.EPERM
	}
	return nil
}

// change runs fn with the tree locked and makes the change that it returns.
func (v View) change(op, name string, fn func() (map[string]*inode, error)) error {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	change, err := fn()
	if err == nil && len(change) > 0 {
		err = v.t.apply(change)
	}
	return wrap(op, name, err)
}

func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// Stat tells of a file; a link is followed.
func (v View) Stat(name string) (Info, error) { return v.stat("stat", name, true) }

// Lstat tells of a file; a link is told of itself.
func (v View) Lstat(name string) (Info, error) { return v.stat("lstat", name, false) }

func (v View) stat(op, name string, follow bool) (Info, error) {
	v.t.mu.RLock()
	defer v.t.mu.RUnlock()
	_, n, err := v.existing(name, follow)
	if err != nil {
		return Info{}, wrap(op, name, err)
	}
	return Info{name: path.Base(name), node: n}, nil
}

// Access reports whether v's user may use the file so; want is a sum of 4 to read,
// 2 to write, 1 to execute or enter. Root may execute only what somebody may.
func (v View) Access(name string, want fs.FileMode) bool {
	info, err := v.Stat(name)
	if err != nil || !v.may(info.node, want) {
		return false
	}
	return want&mayEnter == 0 || info.IsDir() || info.Mode().Perm()&0o111 != 0
}

// Real is the name that name leads to once every link is followed.
func (v View) Real(name string) (string, error) {
	v.t.mu.RLock()
	defer v.t.mu.RUnlock()
	at, _, err := v.existing(name, true)
	return at, wrap("realpath", name, err)
}

// ReadDir lists a directory by name.
func (v View) ReadDir(name string) ([]fs.DirEntry, error) {
	v.t.mu.RLock()
	defer v.t.mu.RUnlock()
	at, n, err := v.existing(name, true)
	switch {
	case err != nil:
	case !n.Mode.IsDir():
		err = syscall.ENOTDIR
	case !v.may(n, mayRead):
		err = syscall.EACCES
	}
	if err != nil {
		return nil, wrap("open", name, err)
	}
	var list []fs.DirEntry
	for _, child := range v.t.children(at) {
		list = append(list, fs.FileInfoToDirEntry(Info{name: child, node: v.t.get(path.Join(at, child))}))
	}
	return list, nil
}

// Readlink is the target of a link.
func (v View) Readlink(name string) (string, error) {
	info, err := v.Lstat(name)
	if err != nil {
		return "", err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return "", wrap("readlink", name, syscall.EINVAL)
	}
	return string(info.node.Data), nil
}

// ReadFile is the content of a file.
func (v View) ReadFile(name string) ([]byte, error) {
	v.t.mu.RLock()
	defer v.t.mu.RUnlock()
	_, n, err := v.existing(name, true)
	switch {
	case err != nil:
	case n.Mode.IsDir():
		err = syscall.EISDIR
	case !v.may(n, mayRead):
		err = syscall.EACCES
	}
	if err != nil {
		return nil, wrap("open", name, err)
	}
	return bytes.Clone(n.Data), nil
}

// WriteFile sets the content of a file, which gets perm if it is new. The
// directory must exist.
func (v View) WriteFile(name string, data []byte, perm fs.FileMode) error {
	f, err := v.Open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// Mkdir makes a directory.
func (v View) Mkdir(name string, perm fs.FileMode) error {
	return v.change("mkdir", name, func() (map[string]*inode, error) {
		at, n, err := v.resolve(name, true)
		if err == nil && n != nil {
			err = syscall.EEXIST
		}
		if err == nil {
			err = v.mayChange(at, nil)
		}
		if err != nil {
			return nil, err
		}
		return map[string]*inode{at: v.fresh(fs.ModeDir|perm.Perm(), nil)}, nil
	})
}

// MkdirAll makes a directory and those above it, as far as they are missing.
func (v View) MkdirAll(name string, perm fs.FileMode) error {
	info, err := v.Stat(name)
	if err == nil {
		if !info.IsDir() {
			return wrap("mkdir", name, syscall.ENOTDIR)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := v.MkdirAll(path.Dir(name), perm); err != nil {
		return err
	}
	err = v.Mkdir(name, perm)
	if info, there := v.Stat(name); errors.Is(err, fs.ErrExist) && there == nil && info.IsDir() {
		return nil // another has made it meanwhile
	}
	return err
}

// fresh is an inode of v's user, as of now.
func (v View) fresh(mode fs.FileMode, data []byte) *inode {
	return &inode{Mode: mode, UID: v.uid, GID: v.gid, Mod: v.t.now(), Data: data}
}

// Symlink makes name a link to target.
func (v View) Symlink(target, name string) error {
	return v.change("symlink", name, func() (map[string]*inode, error) {
		at, n, err := v.resolve(name, false)
		if err == nil && n != nil {
			err = syscall.EEXIST
		}
		if err == nil {
			err = v.mayChange(at, nil)
		}
		if err != nil {
			return nil, err
		}
		return map[string]*inode{at: v.fresh(fs.ModeSymlink|0o777, []byte(target))}, nil
	})
}

// Remove removes a file or an empty directory.
func (v View) Remove(name string) error {
	return v.change("remove", name, func() (map[string]*inode, error) {
		at, n, err := v.existing(name, false)
		switch {
		case err != nil:
		case at == "/":
			err = syscall.EBUSY
		case n.Mode.IsDir() && len(v.t.children(at)) > 0:
			err = syscall.ENOTEMPTY
		default:
			err = v.mayChange(at, n)
		}
		if err != nil {
			return nil, err
		}
		return map[string]*inode{at: nil}, nil
	})
}

// RemoveAll removes name and everything below it; it is no error if nothing is there.
func (v View) RemoveAll(name string) error {
	info, err := v.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		list, err := v.ReadDir(name)
		if err != nil {
			return err
		}
		for _, entry := range list {
			if err := v.RemoveAll(path.Join(name, entry.Name())); err != nil {
				return err
			}
		}
	}
	return v.Remove(name)
}

// Rename moves a file or a directory; a file at the new name is replaced.
func (v View) Rename(from, to string) error {
	return v.change("rename", from, func() (map[string]*inode, error) {
		source, n, err := v.existing(from, false)
		if err != nil {
			return nil, err
		}
		target, old, err := v.resolve(to, false)
		switch {
		case err != nil:
		case source == target:
			return nil, nil
		case strings.HasPrefix(target, source+"/"):
			err = syscall.EINVAL
		case old != nil && old.Mode.IsDir() && !n.Mode.IsDir():
			err = syscall.EISDIR
		case old != nil && old.Mode.IsDir() && len(v.t.children(target)) > 0:
			err = syscall.ENOTEMPTY
		case old != nil && !old.Mode.IsDir() && n.Mode.IsDir():
			err = syscall.ENOTDIR
		default:
			err = errors.Join(v.mayChange(source, n), v.mayChange(target, old))
		}
		if err != nil {
			return nil, err
		}
		change := map[string]*inode{source: nil, target: n}
		if n.Mode.IsDir() {
			for _, name := range v.t.below(source) {
				change[name] = nil
				change[target+strings.TrimPrefix(name, source)] = v.t.get(name)
			}
		}
		return change, nil
	})
}

// Chmod sets the permissions of a file.
func (v View) Chmod(name string, mode fs.FileMode) error {
	const settable = fs.ModePerm | fs.ModeSticky | fs.ModeSetuid | fs.ModeSetgid
	return v.alter("chmod", name, func(n *inode) error {
		n.Mode = n.Mode&^settable | mode&settable
		return nil
	})
}

// Chown sets the owner of a file, which only root may; -1 keeps what is there.
func (v View) Chown(name string, uid, gid int) error {
	return v.alter("chown", name, func(n *inode) error {
		if v.uid != 0 {
			return syscall.EPERM
		}
		if uid >= 0 {
			n.UID = uid
		}
		if gid >= 0 {
			n.GID = gid
		}
		return nil
	})
}

// Chtimes sets a file's time of change.
func (v View) Chtimes(name string, mod time.Time) error {
	return v.alter("chtimes", name, func(n *inode) error {
		n.Mod = mod
		return nil
	})
}

func (v View) alter(op, name string, fn func(n *inode) error) error {
	return v.change(op, name, func() (map[string]*inode, error) {
		at, n, err := v.existing(name, true)
		if err != nil {
			return nil, err
		}
		if v.uid != 0 && v.uid != n.UID {
			return nil, syscall.EPERM
		}
		other := *n
		if err := fn(&other); err != nil {
			return nil, err
		}
		return map[string]*inode{at: &other}, nil
	})
}
