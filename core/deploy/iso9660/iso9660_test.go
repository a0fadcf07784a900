package iso9660_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	diskfs "github.com/diskfs/go-diskfs/filesystem/iso9660"

	"github.com/metalpool/metalpool/core/deploy/iso9660"
)

func volume(id string, files map[string]string) iso9660.Volume {
	v := iso9660.Volume{ID: id}
	for name, data := range files {
		v.Files = append(v.Files, iso9660.File{Name: name, Size: int64(len(data)), Data: strings.NewReader(data)})
	}
	return v
}

func write(t *testing.T, v iso9660.Volume) []byte {
	t.Helper()
	l, err := iso9660.Plan(v)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := l.Write(&b); err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) != l.Size() {
		t.Fatalf("wrote %d bytes, planned %d", b.Len(), l.Size())
	}
	return b.Bytes()
}

var samples = map[string]map[string]string{
	"empty":        {},
	"empty file":   {"nothing": ""},
	"seed":         {"meta-data": "a: b\n", "user-data": "#!/bin/sh\n", "vendor-data": "x", "network-config": strings.Repeat("n", 5000)},
	"sector sizes": {"A.BIN": strings.Repeat("a", 2048), "B.BIN": strings.Repeat("b", 2049), "C.BIN": strings.Repeat("c", 4096)},
	"many":         many(120),
}

func many(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("file-%03d.data", i)] = strings.Repeat("x", i*50)
	}
	return files
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for name, files := range samples {
		t.Run(name, func(t *testing.T) {
			image := write(t, volume("LABEL", files))
			l, err := iso9660.List(bytes.NewReader(image))
			if err != nil {
				t.Fatal(err)
			}
			if l.Label != "LABEL" || len(l.Files) != len(files) {
				t.Fatalf("label %q with %d files, want LABEL with %d", l.Label, len(l.Files), len(files))
			}
			for name, want := range files {
				e, ok := l.Find(name)
				if !ok {
					t.Fatalf("%s is not among %v", name, l.Files)
				}
				got, err := iso9660.ReadFile(bytes.NewReader(image), e, 1<<20)
				if err != nil || string(got) != want {
					t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
				}
			}
			if !bytes.Equal(image, write(t, volume("LABEL", files))) {
				t.Error("the same files gave other bytes")
			}
		})
	}
}

// Another implementation reads the same, by Rock Ridge names.
func TestAnotherReaderAgrees(t *testing.T) {
	for name, files := range samples {
		t.Run(name, func(t *testing.T) {
			image := write(t, volume("cidata", files))
			file := path.Join(t.TempDir(), "image.iso")
			if err := os.WriteFile(file, image, 0o600); err != nil {
				t.Fatal(err)
			}
			fs := openOther(t, file)
			if got := strings.TrimRight(fs.Label(), " "); got != "cidata" {
				t.Errorf("label %q", got)
			}
			list, err := fs.ReadDir(".")
			if err != nil {
				t.Fatal(err)
			}
			if len(list) != len(files) {
				t.Errorf("%d files, want %d", len(list), len(files))
			}
			for name, want := range files {
				f, err := fs.OpenFile(name, os.O_RDONLY)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(f)
				if err != nil || string(got) != want {
					t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
				}
			}
		})
	}
}

func openOther(t *testing.T, name string) *diskfs.FileSystem {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	fs, err := diskfs.Read(file.New(f, true), info.Size(), 0, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestPlanRefuses(t *testing.T) {
	tests := []struct {
		name string
		v    iso9660.Volume
		want string
	}{
		{"no label", volume("", nil), "label"},
		{"long label", volume(strings.Repeat("x", 33), nil), "label"},
		{"odd label", volume("a b", nil), "label"},
		{"no name", volume("X", map[string]string{"": ""}), "file name"},
		{"path", volume("X", map[string]string{"../x": ""}), "file name"},
		{"equal but for case", volume("X", map[string]string{"a": "", "A": ""}), "too much like"},
		{"too large", iso9660.Volume{ID: "X", Files: []iso9660.File{{Name: "a", Size: 4 << 30}}}, "4 GiB"},
		{"negative", iso9660.Volume{ID: "X", Files: []iso9660.File{{Name: "a", Size: -1}}}, "4 GiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := iso9660.Plan(tt.v); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestWriteRefusesAnotherSize(t *testing.T) {
	for _, size := range []int64{4, 6} {
		l, err := iso9660.Plan(iso9660.Volume{ID: "X", Files: []iso9660.File{{Name: "a", Size: size, Data: strings.NewReader("12345")}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Write(io.Discard); err == nil {
			t.Errorf("a file of 5 bytes was written as one of %d", size)
		}
	}
}

func FuzzList(f *testing.F) {
	l, err := iso9660.Plan(volume("cidata", samples["seed"]))
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := l.Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, image []byte) {
		r := bytes.NewReader(image)
		l, err := iso9660.List(r)
		if err != nil {
			return
		}
		for _, e := range l.Files {
			data, err := iso9660.ReadFile(r, e, 1<<20)
			if err == nil && !bytes.Equal(data, image[e.Offset:e.Offset+e.Size]) {
				t.Errorf("%s is not what is at its place", e.Name)
			}
		}
	})
}
