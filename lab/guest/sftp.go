package guest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/pkg/sftp"

	"github.com/metalpool/metalpool/lab/guest/vfs"
)

// files answers SFTP from a machine's files.
type files struct {
	v    vfs.View
	mu   *sync.Mutex
	open map[string]*vfs.File // for writing, by name; a client may truncate what it has open
}

func newFiles(v vfs.View) files {
	return files{v: v, mu: &sync.Mutex{}, open: map[string]*vfs.File{}}
}

// written is a file that a client has open for writing.
type written struct {
	*vfs.File
	closed func()
}

func (w written) Close() error {
	w.closed()
	return w.File.Close()
}

func (f files) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	return f.v.Open(r.Filepath, os.O_RDONLY, 0)
}

func (f files) Filewrite(r *sftp.Request) (io.WriterAt, error) { return f.OpenFile(r) }

// OpenFile opens a file for reading and writing.
func (f files) OpenFile(r *sftp.Request) (sftp.WriterAtReaderAt, error) {
	asked := r.Pflags()
	flag := os.O_RDONLY
	switch {
	case asked.Read && asked.Write:
		flag = os.O_RDWR
	case asked.Write:
		flag = os.O_WRONLY
	}
	for _, f := range []struct {
		set  bool
		flag int
	}{{asked.Append, os.O_APPEND}, {asked.Creat, os.O_CREATE}, {asked.Trunc, os.O_TRUNC}, {asked.Excl, os.O_EXCL}} {
		if f.set {
			flag |= f.flag
		}
	}
	file, err := f.v.Open(r.Filepath, flag, 0o644)
	if err != nil || !asked.Write {
		return file, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[r.Filepath] = file
	return written{file, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.open[r.Filepath] == file {
			delete(f.open, r.Filepath)
		}
	}}, nil
}

func (f files) Filecmd(r *sftp.Request) error {
	switch r.Method {
	case "Setstat":
		return f.setstat(r)
	case "Rename":
		if _, err := f.v.Lstat(r.Target); err == nil {
			return fs.ErrExist
		}
		return f.v.Rename(r.Filepath, r.Target)
	case "Rmdir", "Remove":
		info, err := f.v.Lstat(r.Filepath)
		if err == nil && info.IsDir() != (r.Method == "Rmdir") {
			return sftp.ErrSSHFxFailure
		}
		return f.v.Remove(r.Filepath)
	case "Mkdir":
		return f.v.Mkdir(r.Filepath, 0o755)
	case "Symlink":
		return f.v.Symlink(r.Filepath, r.Target)
	}
	return sftp.ErrSSHFxOpUnsupported
}

// PosixRename replaces what is at the new name.
func (f files) PosixRename(r *sftp.Request) error { return f.v.Rename(r.Filepath, r.Target) }

func (f files) setstat(r *sftp.Request) error {
	what, to := r.AttrFlags(), r.Attributes()
	if what.Size {
		if err := f.truncate(r.Filepath, int64(to.Size)); err != nil {
			return err
		}
	}
	if what.Permissions {
		if err := f.v.Chmod(r.Filepath, to.FileMode()); err != nil {
			return err
		}
	}
	if what.UidGid {
		if err := f.v.Chown(r.Filepath, int(to.UID), int(to.GID)); err != nil {
			return err
		}
	}
	if what.Acmodtime {
		return f.v.Chtimes(r.Filepath, time.Unix(int64(to.Mtime), 0))
	}
	return nil
}

func (f files) truncate(name string, size int64) error {
	f.mu.Lock()
	file := f.open[name]
	f.mu.Unlock()
	if file != nil {
		return file.Truncate(size)
	}
	file, err := f.v.Open(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(size), file.Close())
}

func (f files) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method == "List" {
		entries, err := f.v.ReadDir(r.Filepath)
		if err != nil {
			return nil, err
		}
		var list infos
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				return nil, err
			}
			list = append(list, info)
		}
		return list, nil
	}
	info, err := f.v.Stat(r.Filepath)
	return infos{info}, err
}

// Readlink is the target of a link.
func (f files) Readlink(name string) (string, error) { return f.v.Readlink(name) }

// Lstat tells of a link itself.
func (f files) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	info, err := f.v.Lstat(r.Filepath)
	return infos{info}, err
}

// infos is a list that SFTP reads piece by piece.
type infos []fs.FileInfo

func (l infos) ListAt(p []fs.FileInfo, at int64) (int, error) {
	if at >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(p, l[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
