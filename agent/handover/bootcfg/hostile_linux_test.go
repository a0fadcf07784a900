package bootcfg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
)

// TestPipesAreNoFiles: whoever opens a pipe for reading waits until somebody writes,
// and here nobody ever does.
func TestPipesAreNoFiles(t *testing.T) {
	for _, name := range []string{
		"boot/grub/grub.cfg", "EFI", "EFI/debian/grub.cfg", "EFI/systemd/systemd-bootx64.efi", "EFI/Linux/a.efi",
		"loader/entries", "loader/entries/a.conf", "loader/loader.conf", "k",
	} {
		t.Run(strings.ReplaceAll(name, "/", "-"), func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range []string{name, "loader/entries/b.conf"} {
				if _, err := os.Lstat(filepath.Join(dir, filepath.Dir(file))); err != nil && os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o755) != nil {
					continue // below the pipe
				}
				if file == name {
					if err := unix.Mkfifo(filepath.Join(dir, file), 0o600); err != nil {
						t.Fatal(err)
					}
				} else if err := os.WriteFile(filepath.Join(dir, file), []byte("linux /k\n"), 0o600); err != nil && name != "loader/entries" {
					t.Fatal(err)
				}
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = root.Close() }()
			if s, err := Choose([]Volume{{Name: "root", Number: 3, Files: root.FS(), ESP: true}}); err == nil {
				t.Errorf("%+v is chosen", s)
			}
		})
	}
}

// TestScriptsThatTakeMuchAreCutOff: a disk's script must not take the machine's
// memory, nor its time.
func TestScriptsThatTakeMuchAreCutOff(t *testing.T) {
	long := strings.Repeat("a ", 250<<10)
	for name, script := range map[string]string{
		"one word of many":          "x='" + long + "'\ny=\"" + strings.Repeat("$x", 100<<10) + "\"\n",
		"many words of one":         "x='" + long + "'\necho " + strings.Repeat("$x ", 100<<10) + "\n",
		"loops of nothing":          "x='" + long[:20<<10] + "'\n" + strings.Repeat("for i in $x; do\n", 4) + strings.Repeat("done\n", 4),
		"a script of scripts":       "while true; do source /big.cfg; done\n",
		"an environment of megs":    "while true; do load_env -f /env; done\n",
		"entries, again and again":  "while true; do blscfg; done\n",
		"a menu entry that is huge": "menuentry x {\nlinux /k \"" + strings.Repeat("$y", 1000) + "\"\n}\ny='" + long + "'\n",
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{
				"boot/grub/grub.cfg": {Data: []byte(script)}, "k": {}, "big.cfg": {Data: bytes.Repeat([]byte("#\n"), 250<<10)},
				"env": {Data: append([]byte("# GRUB Environment Block\n"), make([]byte, 512<<10)...)},
			}
			for i := range 100 {
				files[fmt.Sprintf("loader/entries/%d.conf", i)] = &fstest.MapFile{Data: []byte("linux /k\ntitle " + strings.Repeat("x", 60<<10))}
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := grubStart([]Volume{{Name: "root", Number: 3, Files: files}})
			runtime.ReadMemStats(&after)
			if !strings.Contains(fmt.Sprint(err), "does not end") {
				t.Errorf("it ends with %.200v", err)
			}
			if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 1024 {
				t.Errorf("it takes %d MiB", took)
			}
		})
	}
}

// crowd is a folder of more entries than anybody has memory for.
type crowd struct{ fstest.MapFS }

func (c crowd) Open(name string) (fs.File, error) {
	f, err := c.MapFS.Open(name)
	if name == "EFI" && err == nil {
		return endless{f}, nil
	}
	return f, err
}

type endless struct{ fs.File }

func (endless) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		return nil, errors.New("all at once")
	}
	found := make([]fs.DirEntry, n)
	for i := range found {
		found[i] = nobody(fmt.Sprintf("%04d", i))
	}
	return found, nil
}

type nobody string

func (n nobody) Name() string             { return string(n) }
func (nobody) IsDir() bool                { return true }
func (nobody) Type() fs.FileMode          { return fs.ModeDir }
func (nobody) Info() (fs.FileInfo, error) { return nil, fs.ErrNotExist }

func TestACrowdedFolder(t *testing.T) {
	files := crowd{fstest.MapFS{"EFI/debian/shimx64.efi": {}}}
	if found, err := list(files, "EFI"); err != nil || len(found) != maxEntries {
		t.Errorf("%d entries, %v", len(found), err)
	}
}

// TestSymbolsAreNotReadIn: the table may be in a hole of the file, which costs its
// owner nothing.
func TestSymbolsAreNotReadIn(t *testing.T) {
	for name, change := range map[string]func(b []byte){
		"symbols": func(b []byte) { binary.LittleEndian.PutUint32(b[80:], 1<<31) },
		"strings": func(b []byte) {
			binary.LittleEndian.PutUint32(b[76:], 4096)
			binary.LittleEndian.PutUint32(b[4096:], 1<<31)
		},
		"both":     func(b []byte) { copy(b[76:84], bytes.Repeat([]byte{0xff}, 8)) },
		"headerat": func(b []byte) { copy(b[60:64], bytes.Repeat([]byte{0xff}, 4)) },
	} {
		image := append(program([2]string{".linux", "kernel"}), make([]byte, 8192)...)
		change(image)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := findSection(hole{bytes.NewReader(image)}, ".linux")
		runtime.ReadMemStats(&after)
		if took := (after.TotalAlloc - before.TotalAlloc) >> 20; err == nil || took > 16 {
			t.Errorf("%s: %v, %v, and took %d MiB", name, s, err, took)
		}
	}
}

// hole is a file that goes on with zeros.
type hole struct{ *bytes.Reader }

func (hole) Stat() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }
func (hole) Close() error               { return nil }

func (h hole) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if _, err := h.Reader.ReadAt(p, off); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return len(p), nil
}
