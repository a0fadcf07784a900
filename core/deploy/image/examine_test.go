package image_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/image"
)

// Whatever the format, the same disk comes out.
func TestEveryFormat(t *testing.T) {
	disk := testDisk(t)
	all := files(t, disk)
	all["qcow2 of version 2"] = encodeQcow2(t, disk, 2, 16)
	all["qcow2 with large clusters"] = encodeQcow2(t, disk, 3, 21)
	all["qcow2 with small clusters"] = encodeQcow2(t, disk, 3, 9)
	for name, data := range all {
		t.Run(name, func(t *testing.T) {
			l := image.NewLibrary(t.TempDir())
			format, _, _ := strings.Cut(name, " ")
			file := write(t, data)
			var progress []core.Bytes
			got, err := l.Examine(t.Context(), core.Image{Name: "x", Source: file, User: "debian"}, func(done, total core.Bytes) {
				if total != core.Bytes(len(data)) {
					t.Errorf("a total of %d; the file has %d", total, len(data))
				}
				progress = append(progress, done)
			})
			if err != nil {
				t.Fatal(err)
			}
			want := core.Image{
				Name: "x", Source: file, User: "debian", SHA256: sum(data), Format: format,
				Size: core.Bytes(len(disk)), MinDisk: 11*core.MiB + image.SeedRoom,
			}
			if got != want {
				t.Errorf("examined:\n%+v, want\n%+v", got, want)
			}
			if len(progress) == 0 || !slices.IsSorted(progress) || progress[len(progress)-1] > core.Bytes(len(data)) {
				t.Errorf("progress %d of %d", progress, len(data))
			}
			o := open(t, l, got)
			if !bytes.Equal(lay(t, o), disk) {
				t.Error("another disk came out")
			}
			if m := o.Manifest(); m.Chunks[0] == "" || m.Chunks[1] != "" || m.Chunks[2] == "" {
				t.Errorf("the zero chunk is not the second alone: %q", m.Chunks)
			}
		})
	}
}

func TestExamineKnowsWhatItHasSeen(t *testing.T) {
	disk := testDisk(t)
	dir := t.TempDir()
	first := examine(t, image.NewLibrary(dir), core.Image{Source: write(t, disk)})
	second := examine(t, image.NewLibrary(dir), core.Image{Source: first.Source, SHA256: strings.ToUpper(first.SHA256), Format: "raw"})
	if first != second {
		t.Errorf("first %+v, then %+v", first, second)
	}
}

func TestExamineRelativePath(t *testing.T) {
	file := write(t, testDisk(t))
	t.Chdir(filepath.Dir(file))
	if got := examine(t, image.NewLibrary(t.TempDir()), core.Image{Source: filepath.Base(file)}); got.Source != file {
		t.Errorf("source %q, want %q: another process has another working folder", got.Source, file)
	}
}

func TestExamineRefuses(t *testing.T) {
	disk := testDisk(t)
	all := files(t, disk)
	q := all["qcow2"]
	with := func(data []byte, at int, b ...byte) []byte {
		data = bytes.Clone(data)
		copy(data[at:], b)
		return data
	}
	iso := make([]byte, 100_000)
	copy(iso[32769:], "CD001")
	mbr := make([]byte, 1<<20)
	mbr[450], mbr[510], mbr[511] = 0x83, 0x55, 0xAA
	bare := bytes.Clone(mbr)
	bare[450] = 0
	large := make([]byte, 1<<20)
	copy(large[4096:], "EFI PART")

	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "the file is empty"},
		{"short", []byte("hello"), "a disk of 5 bytes"},
		{"text", bytes.Repeat([]byte("hello\n"), 1000), "no partition table"},
		{"zeros", make([]byte, 1<<20), "no partition table"},
		{"MBR", mbr, "old kind (MBR)"},
		{"boot sector", bare, "a boot sector, and no partition table"},
		{"blocks of 4096", large, "blocks of 4096 bytes"},
		{"installer's CD", iso, "an installer's CD"},
		{"vmdk", []byte("KDMV rest of it"), "VMDK"},
		{"zip", []byte("PK\x03\x04 rest of it"), "zip archive"},
		{"gpt header changed", with(disk, 512+56, 9), "header's checksum"},
		{"gpt entries changed", with(disk, 1024+40, 9), "entries' checksum"},
		{"raw cut", disk[:len(disk)-512], "its partition table is for a disk of more than"},
		{"raw cut in a block", disk[:len(disk)-100], "no whole blocks"},
		{"gz in gz", compress(t, "gz", all["raw.gz"]), "compressed again"},
		{"gz of nothing", compress(t, "gz", nil), "empty"},
		{"gz of text", compress(t, "gz", []byte(strings.Repeat("x", 5000))), "no partition table"},
		{"zst of a cut disk", compress(t, "zst", disk[:9<<20]), "its partition table is for a disk of more than"},
		{"qcow2 header alone", q[:80], "less than its header"},
		{"qcow2 tables cut", q[:70_000], "ends before"},
		{"qcow2 data cut", q[:len(q)-70_000], "ends before"},
		{"qcow2 of version 4", with(q, 4, 0, 0, 0, 4), "version 4"},
		{"qcow2 with a backing file", with(q, 15, 200, 0, 0, 0, 5), "backing file"},
		{"qcow2 encrypted", with(q, 35, 1), "encrypted"},
		{"qcow2 with huge clusters", with(q, 23, 63), "clusters of 2^63"},
		{"qcow2 of no size", with(q, 24, 0, 0, 0, 0, 0, 0, 0, 0), "a disk of 0 bytes"},
		{"qcow2 of all sizes", with(q, 24, 255), "the most is 4 TiB"},
		{"qcow2 with a huge table", with(q, 36, 255, 255, 255, 255), "a table of"},
		{"qcow2 with a table too small", with(q, 36, 0, 0, 0, 0), "a table of 0 entries"},
		{"qcow2 with its table elsewhere", with(q, 40, 0, 0, 1), "its first table ends behind that"},
		{"qcow2 marked corrupt", with(q, 79, 2), "marked as corrupt"},
		{"qcow2 with a data file", with(q, 79, 4), "data in another file"},
		{"qcow2 with extended L2", with(q, 79, 16), "extended L2"},
		{"qcow2 of the future", with(q, 79, 64), "features 0x40"},
		{"qcow2 with a short header", with(q, 103, 3), "a header of 3 bytes"},
		{"qcow2 of text", encodeQcow2(t, bytes.Repeat([]byte("x"), 100_000), 3, 16), "no partition table"},
		{"qcow2 of a cut disk", encodeQcow2(t, disk[:len(disk)-512], 3, 16), "its partition table is for a disk of more than"},
	}
	for _, how := range compressions {
		packed := all["raw."+how]
		for _, cut := range []int{len(packed) - 1, len(packed) / 2, len(packed) / 100} {
			tests = append(tests, struct {
				name string
				data []byte
				want string
			}{how + " cut", packed[:cut], "data ends too early"})
		}
		flipped := bytes.Clone(packed)
		flipped[len(flipped)/2] ^= 0x10
		tests = append(tests, struct {
			name string
			data []byte
			want string
		}{how + " flipped", flipped, "data is damaged"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, tt.data)
			_, err := image.NewLibrary(t.TempDir()).Examine(t.Context(), core.Image{Name: "x", Source: file}, nil)
			if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want an invalid one with %q", err, tt.want)
			}
			if !strings.Contains(err.Error(), file) || !strings.HasPrefix(err.Error(), "examine image x: ") {
				t.Errorf("the error does not say what was asked: %v", err)
			}
		})
	}
}

func TestExamineRefusesRequests(t *testing.T) {
	disk := testDisk(t)
	file := write(t, disk)
	folder := filepath.Dir(file)
	tests := []struct {
		name string
		i    core.Image
		kind core.Kind
		want string
	}{
		{"no source", core.Image{}, core.Invalid, "no file is named"},
		{"not there", core.Image{Source: file + "x"}, core.NotFound, "no such file"},
		{"a folder", core.Image{Source: folder}, core.Invalid, "no file but a folder"},
		{"a device", core.Image{Source: os.DevNull}, core.Invalid, "no file but a folder or a device"},
		{"no digest", core.Image{Source: file, SHA256: "abc"}, core.Invalid, `"abc" is not a SHA-256`},
		{"another digest", core.Image{Source: file, SHA256: sum(nil)}, core.Invalid, "its SHA-256 is " + sum(disk) + ", and " + sum(nil) + " was asked for"},
		{"another format", core.Image{Source: file, Format: "qcow2"}, core.Invalid, "its format is raw, not qcow2"},
		{"ftp", core.Image{Source: "ftp://example.org/x"}, core.Invalid, "of the scheme ftp"},
		{"file URL", core.Image{Source: "file:///x"}, core.Invalid, "path alone"},
		{"no URL", core.Image{Source: "https://[secret"}, core.Invalid, "its URL is not one"},
		{"no host", core.Image{Source: "https:///x"}, core.Invalid, "names no server"},
		{"password in the URL", core.Image{Source: "https://me:secret@example.org/x"}, core.Invalid, "user or password"},
		{"plain http without a digest", core.Image{Source: "http://127.0.0.1/x"}, core.Invalid, "anybody on the way"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := image.NewLibrary(t.TempDir()).Examine(t.Context(), tt.i, nil)
			if !core.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one of kind %s with %q", err, tt.kind, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

// A cut download has another digest: that is what it is told, not what the damage is.
func TestExamineTellsOfTheDigestFirst(t *testing.T) {
	whole := compress(t, "gz", testDisk(t))
	_, err := image.NewLibrary(t.TempDir()).Examine(t.Context(), core.Image{Source: write(t, whole[:len(whole)/2]), SHA256: sum(whole)}, nil)
	if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "was asked for") {
		t.Errorf("error %v", err)
	}
}

// Nothing is left of what was refused.
func TestRefusedLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := image.NewLibrary(dir).Examine(t.Context(), core.Image{Source: write(t, testDisk(t)[:5<<20])}, nil); err == nil {
		t.Fatal("half a disk was taken")
	}
	for _, folder := range []string{"packs", "work"} {
		entries, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() {
				t.Errorf("%s/%s is left", folder, e.Name())
			}
		}
	}
}

func FuzzExamine(f *testing.F) {
	disk := partitioned(f, 64<<10)
	f.Add(compress(f, "zst", encodeQcow2(f, disk, 3, 9)))
	for _, data := range files(f, disk) {
		f.Add(data)
	}
	l := image.NewLibrary(f.TempDir())
	file := filepath.Join(f.TempDir(), "file")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		i, err := l.Examine(t.Context(), core.Image{Source: file}, nil)
		if err != nil {
			if !core.Is(err, core.Invalid) {
				t.Errorf("bad input is %v", err)
			}
			return
		}
		if i.SHA256 != sum(data) || i.Size <= 0 || i.MinDisk <= i.Size {
			t.Errorf("examined as %+v", i)
		}
	})
}
