package vfs

import (
	"bytes"
	"crypto/rand"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxFile bounds a file, and with it what a command can make the host hold.
const maxFile = 64 << 20

// Info tells of a file. It implements fs.FileInfo.
type Info struct {
	name string
	node *inode
}

// Name is the last part of the file's name.
func (i Info) Name() string { return i.name }

// Size is in bytes.
func (i Info) Size() int64 { return int64(len(i.node.Data)) }

// Mode is the kind of the file and its permissions.
func (i Info) Mode() fs.FileMode { return i.node.Mode }

// ModTime is when the file was changed last.
func (i Info) ModTime() time.Time { return i.node.Mod }

// IsDir reports whether it is a directory.
func (i Info) IsDir() bool { return i.node.Mode.IsDir() }

// Sys is nil: there is no host file behind it.
func (i Info) Sys() any { return nil }

// UID is the file's owner.
func (i Info) UID() int { return i.node.UID }

// GID is the file's group.
func (i Info) GID() int { return i.node.GID }

// Same reports whether both are one file.
func (i Info) Same(other Info) bool { return i.node == other.node }

// Uid is UID, as an SFTP server asks for it.
func (i Info) Uid() uint32 { return uint32(i.node.UID) }

// Gid is GID, as an SFTP server asks for it.
func (i Info) Gid() uint32 { return uint32(i.node.GID) }

// File is an open file. What is written becomes visible to others on Close, which
// is also when it is kept; so a file is never seen half written. It is safe for
// concurrent use.
type File struct {
	view View
	name string // as asked for
	at   string // where that led
	flag int

	mu     sync.Mutex
	data   []byte // with O_APPEND only what was added
	device string
	offset int64
	dirty  bool
	closed bool
}

// Open opens a file with the flags of os.OpenFile; a new one gets perm.
func (v View) Open(name string, flag int, perm fs.FileMode) (*File, error) {
	writes := flag&(os.O_WRONLY|os.O_RDWR) != 0
	f := &File{view: v, name: name, flag: flag}
	err := v.change("open", name, func() (map[string]*inode, error) {
		at, n, err := v.resolve(name, true)
		if err != nil {
			return nil, err
		}
		f.at = at
		if n == nil {
			if flag&os.O_CREATE == 0 {
				return nil, syscall.ENOENT
			}
			if err := v.mayChange(at, nil); err != nil {
				return nil, err
			}
			return map[string]*inode{at: v.fresh(perm.Perm(), nil)}, nil
		}
		switch {
		case flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
			return nil, syscall.EEXIST
		case n.Mode.IsDir() && writes:
			return nil, syscall.EISDIR
		case writes && !v.may(n, mayWrite), flag&os.O_WRONLY == 0 && !v.may(n, mayRead):
			return nil, syscall.EACCES
		}
		switch {
		case n.Mode&fs.ModeDevice != 0:
			f.device = string(n.Data)
		case flag&os.O_TRUNC != 0 && writes:
			f.dirty = len(n.Data) > 0
		case flag&os.O_APPEND == 0:
			f.data = n.Data
		}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Read reads on from where the last Read or Write ended.
func (f *File) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.readAt(p, f.offset)
	f.offset += int64(n)
	return n, err
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.readAt(p, off)
}

func (f *File) readAt(p []byte, off int64) (int, error) {
	switch f.device {
	case "":
	case "zero":
		clear(p)
		return len(p), nil
	case "random":
		return rand.Read(p)
	default:
		return 0, io.EOF
	}
	if off < 0 {
		return 0, wrap("read", f.name, syscall.EINVAL)
	}
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Write writes on from where the last Read or Write ended, or at the end with
// O_APPEND.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flag&os.O_APPEND != 0 {
		f.offset = int64(len(f.data))
	}
	n, err := f.writeAt(p, f.offset)
	f.offset += int64(n)
	return n, err
}

// WriteAt implements io.WriterAt. With O_APPEND off is ignored.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flag&os.O_APPEND != 0 {
		off = int64(len(f.data))
	}
	return f.writeAt(p, off)
}

func (f *File) writeAt(p []byte, off int64) (int, error) {
	switch {
	case f.closed || f.flag&(os.O_WRONLY|os.O_RDWR) == 0:
		return 0, wrap("write", f.name, syscall.EBADF)
	case f.device != "":
		return len(p), nil
	case off < 0 || off+int64(len(p)) > maxFile:
		return 0, wrap("write", f.name, syscall.EFBIG)
	}
	if !f.dirty {
		f.data = bytes.Clone(f.data) // until now it was the tree's own
		f.dirty = true
	}
	if grow := off + int64(len(p)) - int64(len(f.data)); grow > 0 {
		f.data = append(f.data, make([]byte, grow)...)
	}
	return copy(f.data[off:], p), nil
}

// Truncate cuts the file at size, or fills it up with zeros.
func (f *File) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if size > int64(len(f.data)) {
		_, err := f.writeAt(make([]byte, 1), size-1)
		return err
	}
	if _, err := f.writeAt(nil, size); err != nil {
		return err
	}
	if f.device == "" {
		f.data = f.data[:size]
	}
	return nil
}

// Close makes what was written visible, and keeps it. A second Close does nothing.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	if !f.dirty {
		return nil
	}
	return f.view.change("close", f.name, func() (map[string]*inode, error) {
		n := f.view.t.get(f.at)
		if n == nil {
			return nil, nil // removed while it was open
		}
		other := *n
		other.Mod = f.view.t.now()
		if f.flag&os.O_APPEND != 0 {
			other.Data = append(bytes.Clone(n.Data), f.data...)
		} else {
			other.Data = bytes.Clone(f.data)
		}
		return map[string]*inode{f.at: &other}, nil
	})
}
