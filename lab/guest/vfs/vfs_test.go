package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// memory is a Journal with room for so many bytes.
type memory struct {
	changes [][]byte
	room    int
	broken  bool
}

func (m *memory) Replay(apply func([]byte) error) error {
	for _, change := range m.changes {
		if err := apply(change); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Append(change []byte) error {
	used := len(change)
	for _, old := range m.changes {
		used += len(old)
	}
	switch {
	case m.broken:
		return errors.New("the disk is broken")
	case used > m.room:
		return ErrFull
	}
	m.changes = append(m.changes, change)
	return nil
}

func (m *memory) Rewrite(change []byte) error {
	if len(change) > m.room {
		return ErrFull
	}
	m.changes = [][]byte{change}
	return nil
}

var epoch = time.Unix(1e9, 0).UTC()

func testImage() *Image {
	image := NewImage(epoch)
	image.Add("/etc/hosts", 0o644, "localhost\n")
	image.Add("/etc/motd", 0o644, "hello\n")
	image.Add("/lib", fs.ModeSymlink|0o777, "usr/lib")
	image.Add("/usr/lib/os-release", 0o644, "ID=debian\n")
	image.Add("/etc/os-release", fs.ModeSymlink|0o777, "../usr/lib/os-release")
	image.Add("/tmp", fs.ModeDir|fs.ModeSticky|0o777, "")
	image.Add("/root", fs.ModeDir|0o700, "")
	image.Add("/dev/null", fs.ModeDevice|fs.ModeCharDevice|0o666, "null")
	image.Add("/dev/zero", fs.ModeDevice|fs.ModeCharDevice|0o666, "zero")
	return image
}

var sharedImage = testImage()

func boot(t *testing.T, j Journal) *Tree {
	t.Helper()
	tree, err := New(sharedImage, j, func() time.Time { return epoch.Add(time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// dump is the whole tree as text.
func dump(t *testing.T, v View) string {
	t.Helper()
	var out strings.Builder
	var walk func(dir string)
	walk = func(dir string) {
		list, err := v.ReadDir(dir)
		must(t, err)
		for _, e := range list {
			name := path.Join(dir, e.Name())
			info, err := v.Lstat(name)
			must(t, err)
			data := ""
			switch {
			case info.Mode()&fs.ModeSymlink != 0:
				data, err = v.Readlink(name)
			case info.Mode().IsRegular():
				var b []byte
				b, err = v.ReadFile(name)
				data = string(b)
			}
			must(t, err)
			out.WriteString(strings.Join([]string{name, info.Mode().String(), data}, " ") + "\n")
			if e.IsDir() {
				walk(name)
			}
		}
	}
	walk("/")
	return out.String()
}

// A tree that is made from the journal of another is equal to it, but for what was
// volatile; and the image is as it was.
func TestFilesSurviveARestart(t *testing.T) {
	for _, room := range []int{1 << 20, 2600} { // the second has to rewrite its journal
		journal := &memory{room: room}
		v := boot(t, journal).As(0, 0)
		must(t,
			v.MkdirAll("/var/lib/app/data", 0o755),
			v.WriteFile("/var/lib/app/data/a", []byte("a"), 0o600),
			v.Rename("/var/lib/app", "/srv"),
			v.Remove("/etc/motd"),
			v.WriteFile("/etc/hosts", []byte("changed\n"), 0o644),
			v.Chmod("/etc/hosts", 0o640), v.Chown("/etc/hosts", 7, 8), v.Chtimes("/etc/hosts", epoch),
			v.Symlink("data/a", "/srv/link"),
			v.WriteFile("/tmp/forgotten", []byte("x"), 0o644),
		)
		for range 50 {
			must(t, v.WriteFile("/etc/often", []byte(strings.Repeat("x", 40)), 0o644))
		}
		must(t, v.Remove("/tmp/forgotten"))
		before := dump(t, v)
		must(t, v.WriteFile("/tmp/forgotten", []byte("x"), 0o644))
		again := boot(t, journal).As(0, 0)
		if after := dump(t, again); after != before {
			t.Errorf("room %d: after a restart\n%s\nwant\n%s", room, after, before)
		}
		if data, err := again.ReadFile("/srv/link"); string(data) != "a" {
			t.Errorf("through the link: %q, %v", data, err)
		}
		if info, err := again.Stat("/etc/hosts"); err != nil || info.UID() != 7 || info.GID() != 8 || !info.ModTime().Equal(epoch) {
			t.Errorf("owner and time were lost: %+v, %v", info, err)
		}
	}
	fresh := boot(t, &memory{}).As(0, 0)
	if data, err := fresh.ReadFile("/etc/motd"); string(data) != "hello\n" {
		t.Errorf("the image was changed: %q, %v", data, err)
	}
}

func TestFullAndBrokenDisk(t *testing.T) {
	journal := &memory{room: 500}
	v := boot(t, journal).As(0, 0)
	if err := v.WriteFile("/big", make([]byte, 1000), 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a file that does not fit: %v", err)
	}
	must(t, v.WriteFile("/small", []byte("x"), 0o644))
	journal.broken = true
	if err := v.WriteFile("/small", []byte("y"), 0o644); !errors.Is(err, syscall.EIO) {
		t.Errorf("a broken disk: %v", err)
	}
	if data, _ := v.ReadFile("/small"); string(data) != "x" {
		t.Errorf("a write that failed changed the file to %q", data)
	}
	if err := v.WriteFile("/tmp/x", nil, 0o644); err != nil {
		t.Errorf("a volatile file needs no disk: %v", err)
	}
}

func TestPermissions(t *testing.T) {
	tree := boot(t, &memory{room: 1 << 20})
	root, ana, bob := tree.As(0, 0), tree.As(1000, 1000), tree.As(1001, 1001)
	must(t, root.MkdirAll("/home/ana", 0o755), root.Chown("/home/ana", 1000, 1000), root.Chmod("/home/ana", 0o700))
	must(t, ana.WriteFile("/home/ana/key", []byte("k"), 0o600), ana.WriteFile("/tmp/hers", []byte("t"), 0o666))
	for _, c := range []struct {
		what string
		err  error
		want error
	}{
		{"another's home", second(bob.ReadFile("/home/ana/key")), syscall.EACCES},
		{"listing another's home", second(bob.ReadDir("/home/ana")), syscall.EACCES},
		{"root reads all", second(root.ReadFile("/home/ana/key")), nil},
		{"writing the system", ana.WriteFile("/etc/hosts", nil, 0o644), syscall.EACCES},
		{"a new file in the system", ana.WriteFile("/etc/new", nil, 0o644), syscall.EACCES},
		{"mkdir", ana.Mkdir("/x", 0o755), syscall.EACCES},
		{"removing from the system", ana.Remove("/etc/hosts"), syscall.EACCES},
		{"another's file in /tmp", bob.Remove("/tmp/hers"), syscall.EPERM},
		{"renaming it", bob.Rename("/tmp/hers", "/tmp/his"), syscall.EPERM},
		{"writing it", bob.WriteFile("/tmp/hers", []byte("b"), 0), nil},
		{"chmod of another's", bob.Chmod("/tmp/hers", 0o777), syscall.EPERM},
		{"chown", ana.Chown("/tmp/hers", 1001, -1), syscall.EPERM},
		{"what is not there", ana.Remove("/home/ana/none"), syscall.ENOENT},
		{"below a file", second(ana.ReadFile("/etc/hosts/x")), syscall.ENOTDIR},
		{"a directory as file", second(root.ReadFile("/etc")), syscall.EISDIR},
		{"a full directory", root.Remove("/etc"), syscall.ENOTEMPTY},
		{"into itself", root.Rename("/etc", "/etc/sub"), syscall.EINVAL},
		{"over a directory", root.Rename("/etc/hosts", "/tmp"), syscall.EISDIR},
		{"the root", root.Remove("/"), syscall.EBUSY},
		{"no name", second(root.ReadFile("")), syscall.EINVAL},
		{"exclusive", second(root.Open("/etc/hosts", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)), syscall.EEXIST},
		{"mkdir of what is there", root.Mkdir("/etc", 0o755), syscall.EEXIST},
		{"link over a file", root.Symlink("x", "/etc/hosts"), syscall.EEXIST},
		{"parents through a file", root.MkdirAll("/etc/hosts/x", 0o755), syscall.ENOTDIR},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.err, c.want)
		}
	}
	must(t, root.Symlink("/loop2", "/loop1"), root.Symlink("/loop1", "/loop2"))
	if _, err := root.ReadFile("/loop1"); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a circle of links: %v", err)
	}
	if !ana.Access("/home/ana", 7) || bob.Access("/home/ana", 1) || root.Access("/etc/hosts", 1) || !root.Access("/etc", 1) {
		t.Error("Access does not agree with what is allowed")
	}
}

func second[T any](_ T, err error) error { return err }

func TestLinks(t *testing.T) {
	v := boot(t, &memory{room: 1 << 20}).As(0, 0)
	for _, name := range []string{"/etc/os-release", "/lib/os-release", "/etc/../lib/./os-release"} {
		if data, err := v.ReadFile(name); string(data) != "ID=debian\n" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if real, err := v.Real("/etc/os-release"); real != "/usr/lib/os-release" {
		t.Errorf("real name %q, %v", real, err)
	}
	must(t, v.Symlink("/etc/made", "/etc/dangling"), v.WriteFile("/etc/dangling", []byte("x"), 0o644))
	if data, err := v.ReadFile("/etc/made"); string(data) != "x" {
		t.Errorf("written through a link: %q, %v", data, err)
	}
	must(t, v.RemoveAll("/etc"), v.RemoveAll("/etc"))
	if list, err := v.ReadDir("/"); err != nil || slices.ContainsFunc(list, func(e fs.DirEntry) bool { return e.Name() == "etc" }) {
		t.Errorf("after RemoveAll: %v, %v", list, err)
	}
	if _, err := v.Stat("/usr/lib/os-release"); err != nil {
		t.Errorf("removing a link removed its target: %v", err)
	}
}

func TestOpenFile(t *testing.T) {
	v := boot(t, &memory{room: 1 << 20}).As(0, 0)
	f, err := v.Open("/f", os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	for _, w := range []struct {
		at   int64
		text string
	}{{4, "efgh"}, {0, "abcd"}} { // SFTP may write in any order
		if _, err := f.WriteAt([]byte(w.text), w.at); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := v.Stat("/f"); err != nil || info.Size() != 0 {
		t.Errorf("seen before it was closed: %d bytes, %v", info.Size(), err)
	}
	if data, _ := io.ReadAll(f); string(data) != "abcdefgh" {
		t.Errorf("read back %q", data)
	}
	must(t, f.Close(), f.Close())
	a, err := v.Open("/f", os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	b, err := v.Open("/f", os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	must(t, second(a.Write([]byte("1"))), second(b.Write([]byte("2"))), a.Close(), b.Close())
	if data, _ := v.ReadFile("/f"); string(data) != "abcdefgh12" {
		t.Errorf("two who append: %q", data)
	}
	if _, err := a.Write(nil); !errors.Is(err, syscall.EBADF) {
		t.Errorf("writing after Close: %v", err)
	}
	gone, err := v.Open("/f", os.O_WRONLY, 0)
	must(t, err)
	must(t, second(gone.Write([]byte("x"))), v.Remove("/f"), gone.Close())
	if _, err := v.Stat("/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("closing brought a removed file back: %v", err)
	}
	null, err := v.Open("/dev/null", os.O_RDWR, 0)
	must(t, err)
	if n, err := null.Write([]byte("xyz")); n != 3 || err != nil {
		t.Errorf("null takes %d, %v", n, err)
	}
	if data, err := io.ReadAll(null); len(data) != 0 || err != nil {
		t.Errorf("null gives %q, %v", data, err)
	}
	zero, err := v.Open("/dev/zero", os.O_RDONLY, 0)
	must(t, err)
	buf := []byte{1, 2}
	if _, err := io.ReadFull(zero, buf); err != nil || buf[0]+buf[1] != 0 {
		t.Errorf("zero gives %v, %v", buf, err)
	}
	huge, err := v.Open("/huge", os.O_WRONLY|os.O_CREATE, 0o644)
	must(t, err)
	if _, err := huge.WriteAt([]byte("x"), maxFile); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("beyond the limit: %v", err)
	}
}
