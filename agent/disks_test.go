package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	diskgpt "github.com/diskfs/go-diskfs/partition/gpt"

	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/agent/gpt"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
	"github.com/metalpool/metalpool/internal/needs"
)

func newDisk(t *testing.T, info core.Disk) *filedisk.Disk {
	t.Helper()
	d, err := filedisk.Open(filepath.Join(t.TempDir(), "disk"), info, filedisk.Faults{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// shelf is a host of nothing but disks.
type shelf []Disk

func (s shelf) Disks(context.Context) ([]Disk, error) { return s, nil }

func (shelf) Inventory(context.Context) (core.Inventory, error) { return core.Inventory{}, nil }

func (shelf) Boot(context.Context, Disk, core.BootMode) (func() error, error) { return nil, nil }

func (shelf) Reset(context.Context) ([]string, error) { return nil, nil }

func (shelf) Run(context.Context, core.Script, io.Writer) (int, error) { return 0, nil }

func (shelf) PowerOff() error { return nil }

func TestGaps(t *testing.T) {
	const x = "x" // any digest
	for _, test := range []struct {
		chunks []string
		size   core.Bytes
		want   []span
	}{
		{[]string{x, x}, 20, nil},
		{[]string{"", x}, 20, []span{{0, 10}}},
		{[]string{x, ""}, 15, []span{{10, 5}}},
		{[]string{"", "", x, "", "", "", x}, 70, []span{{0, 20}, {30, 30}}},
		{[]string{"", ""}, 20, []span{{0, 20}}},
	} {
		m := core.Manifest{Size: test.size, ChunkSize: 10, Chunks: test.chunks}
		if got := gaps(m); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q of %d: %v, want %v", test.chunks, test.size, got, test.want)
		}
	}
}

func TestRest(t *testing.T) {
	const image = 2<<30 + 512
	for _, test := range []struct {
		disk   int64
		ends   []span
		middle span
	}{
		{image, nil, span{}},
		{image + 1, []span{{image, 1}}, span{}},
		{image + 2*edge, []span{{image, 2 * edge}}, span{}},
		{image + 2*edge + 1, []span{{image, edge}, {image + edge + 1, edge}}, span{image + edge, 1}},
		{8 << 40, []span{{image, edge}, {8<<40 - edge, edge}}, span{image + edge, 8<<40 - image - 2*edge}},
	} {
		ends, middle := rest(image, test.disk)
		if !reflect.DeepEqual(ends, test.ends) || middle != test.middle {
			t.Errorf("behind the image on a disk of %d: %v and %v, want %v and %v", test.disk, ends, middle, test.ends, test.middle)
		}
	}
}

func TestFindDisk(t *testing.T) {
	h := shelf{
		newDisk(t, core.Disk{Serial: "A", WWN: "w1", Size: core.MiB}),
		newDisk(t, core.Disk{Serial: "A", WWN: "w2", Size: core.MiB}),
		newDisk(t, core.Disk{Serial: "B", Size: core.MiB}),
		newDisk(t, core.Disk{Size: core.MiB}),
	}
	for name, want := range map[string]Disk{"w1": h[0], "w2": h[1], "B": h[2]} {
		if got, err := findDisk(t.Context(), h, "test", name); err != nil || got != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{"A": "2 disks are called", "": "there is no disk", "C": "there are: A (1.05 MB)"} {
		if got, err := findDisk(t.Context(), h, "test", name); !core.Is(err, core.Backend) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", name, got, err, want)
		}
	}
	if _, err := findDisk(t.Context(), shelf{}, "test", "A"); err == nil || !strings.Contains(err.Error(), "there are: none") {
		t.Errorf("without disks: %v", err)
	}
}

func TestChooseErase(t *testing.T) {
	builtIn, other := newDisk(t, core.Disk{Serial: "A", Size: core.MiB}), newDisk(t, core.Disk{WWN: "B", Size: core.MiB})
	stick := newDisk(t, core.Disk{Serial: "U", Size: core.MiB, Removable: true})
	all := []Disk{builtIn, other, stick}
	for _, test := range []struct {
		ordered []string
		chosen  []Disk
		missing []string
	}{
		{nil, []Disk{builtIn, other}, nil},
		{[]string{"A"}, []Disk{builtIn, other}, nil},
		{[]string{"U", "B"}, all, nil},
		{[]string{"C", "A", "C", ""}, []Disk{builtIn, other}, []string{"C", ""}},
	} {
		chosen, missing := chooseErase(all, test.ordered)
		if !reflect.DeepEqual(chosen, test.chosen) || !reflect.DeepEqual(missing, test.missing) {
			t.Errorf("%q: %v, missing %q", test.ordered, chosen, missing)
		}
	}
	if err := verdict(&core.EraseReport{}, "none"); !core.Is(err, core.Backend) {
		t.Errorf("without a disk, an erase ends with %v", err)
	}
}

func TestAnEraseIsReportedUnderTheNameOfTheOrder(t *testing.T) {
	d := newDisk(t, core.Disk{Serial: "A", WWN: "w1", Size: core.MiB})
	for _, test := range []struct {
		ordered []string
		want    string
	}{{nil, "A"}, {[]string{"w1"}, "w1"}, {[]string{"A"}, "A"}, {[]string{"B"}, "A"}} {
		if got := nameIn(test.ordered, d); got != test.want {
			t.Errorf("ordered %q: reported as %q, want %q", test.ordered, got, test.want)
		}
	}
}

// forgetful keeps nothing, or too much.
type forgetful struct {
	*filedisk.Disk
	medium func(p []byte, off int64) (int, error)
}

func (f forgetful) ReadMedium(p []byte, off int64) (int, error) { return f.medium(p, off) }

// TestAnEraseIsNotBelieved has disks whose medium is not what was written.
func TestAnEraseIsNotBelieved(t *testing.T) {
	var kept []byte
	for _, test := range []struct {
		name   string
		medium func(d *filedisk.Disk) func(p []byte, off int64) (int, error)
		want   string
	}{
		{"keeps nothing", func(*filedisk.Disk) func([]byte, int64) (int, error) {
			return func(p []byte, _ int64) (int, error) { return len(p), nil }
		}, "does not keep what is written at byte 0"},
		{"keeps a part", func(d *filedisk.Disk) func([]byte, int64) (int, error) {
			return func(p []byte, off int64) (int, error) {
				n, err := d.ReadAt(p, off)
				if kept == nil {
					kept = bytes.Clone(p)
				} else if bytes.Equal(p, make([]byte, len(p))) {
					copy(p[1024:], kept[1024:1024+64])
				}
				return n, err
			}
		}, "still there at byte 0"},
		{"reads less", func(*filedisk.Disk) func([]byte, int64) (int, error) {
			return func(p []byte, _ int64) (int, error) { return len(p) - 1, io.EOF }
		}, "4095 bytes of 4096"},
	} {
		d := newDisk(t, core.Disk{Serial: "A", Size: core.MiB})
		got := eraseDisks(t.Context(), []Disk{forgetful{d, test.medium(d)}}, func(int, core.Bytes, core.Bytes) {})[0]
		if got.Verified || got.Class != core.NotErased || !strings.Contains(got.Err, test.want) {
			t.Errorf("%s: %+v, want %q", test.name, got, test.want)
		}
	}
	small := newDisk(t, core.Disk{Serial: "A", Size: 4096})
	if got := eraseDisks(t.Context(), []Disk{small}, func(int, core.Bytes, core.Bytes) {})[0]; got.Verified || !strings.Contains(got.Err, "too small") {
		t.Errorf("a tiny disk: %+v", got)
	}
}

// namespace is a disk behind a controller with others: whichever is erased first takes the
// data of all with it, and none can be read while one is erased.
type namespace struct {
	*filedisk.Disk
	busy *atomic.Int32
	all  []*filedisk.Disk
}

func (n namespace) Erase(ctx context.Context, progress func(done, total core.Bytes)) (string, core.EraseClass, error) {
	n.busy.Add(1)
	defer n.busy.Add(-1)
	for _, d := range n.all {
		if _, _, err := d.Erase(ctx, progress); err != nil {
			return "", "", err
		}
	}
	return "sanitize", core.Purge, nil
}

func (n namespace) ReadMedium(p []byte, off int64) (int, error) {
	if n.busy.Load() > 0 {
		return 0, errors.New("sanitize in progress")
	}
	return n.Disk.ReadMedium(p, off)
}

func (n namespace) WriteAt(p []byte, off int64) (int, error) {
	if n.busy.Load() > 0 {
		return 0, errors.New("sanitize in progress")
	}
	return n.Disk.WriteAt(p, off)
}

func TestDisksThatShareAController(t *testing.T) {
	var busy atomic.Int32
	files := []*filedisk.Disk{newDisk(t, core.Disk{Serial: "A", Size: core.MiB}), newDisk(t, core.Disk{Serial: "A_2", Size: 64 * core.MiB})}
	dead := forgetful{newDisk(t, core.Disk{Serial: "B", Size: core.MiB}), func([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }}
	got := eraseDisks(t.Context(), []Disk{namespace{files[0], &busy, files}, dead, namespace{files[1], &busy, files}}, func(int, core.Bytes, core.Bytes) {})
	for i, want := range []core.DiskErase{
		{Disk: "A", Method: "sanitize", Class: core.Purge, Verified: true},
		{Disk: "B", Class: core.NotErased, Err: got[1].Err},
		{Disk: "A_2", Method: "sanitize", Class: core.Purge, Verified: true},
	} {
		if got[i] != want {
			t.Errorf("got %+v, want %+v", got[i], want)
		}
	}
	if !strings.Contains(got[1].Err, "0 bytes of 4096 are readable") {
		t.Errorf("of the dead disk: %q", got[1].Err)
	}
}

// unfinished is a disk that an earlier agent left at work.
type unfinished struct {
	*filedisk.Disk
	resume func() error
}

func (u unfinished) Resume(context.Context, func(done, total core.Bytes)) error { return u.resume() }

func TestAnEraseThatIsUnderWayIsAwaited(t *testing.T) {
	written := false
	faults := filedisk.Faults{Write: func(int64, int) error { written = true; return nil }}
	d, err := filedisk.Open(filepath.Join(t.TempDir(), "disk"), core.Disk{Serial: "A", Size: core.MiB}, faults)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	for want, resume := range map[string]func() error{
		"": func() error {
			if written {
				t.Error("the disk is written to before it is ready")
			}
			return nil
		},
		"an erase that began earlier does not end: it is locked": func() error { return errors.New("it is locked") },
	} {
		written = false
		got := eraseDisks(t.Context(), []Disk{unfinished{d, resume}}, func(int, core.Bytes, core.Bytes) {})[0]
		if got.Err != want || got.Verified != (want == "") {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}

func TestLabels(t *testing.T) {
	fat := func(args ...string) []byte {
		path := filepath.Join(t.TempDir(), "fs")
		out, err := exec.CommandContext(t.Context(), needs.Program(t, "mkfs.vfat", "dosfstools"), append(args, "-C", path, "65536")...).CombinedOutput()
		if err != nil {
			t.Fatalf("mkfs.vfat %q: %v: %s", args, err, out)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b[:4<<20]
	}
	iso := func(label string) []byte {
		b := make([]byte, 64<<10)
		copy(b[32768:], "\x01CD001\x01")
		copy(b[32768+40:], fmt.Sprintf("%-32s", label))
		return b
	}
	spoil := func(b []byte, at, n int) []byte { clear(b[at : at+n]); return b }
	for _, test := range []struct {
		name string
		fs   []byte
		want bool
	}{
		{"FAT12", fat("-F", "12", "-s", "64", "-n", "CIDATA"), true},
		{"FAT16", fat("-F", "16", "-n", "cidata"), true},
		{"FAT32", fat("-F", "32", "-s", "1", "-n", "CIDATA"), true},
		{"FAT16, label in its root alone", spoil(fat("-F", "16", "-n", "CIDATA"), 0x2b, 11), true},
		{"FAT32, label in its root alone", spoil(fat("-F", "32", "-s", "1", "-n", "CIDATA"), 0x47, 11), true},
		{"FAT with another label", fat("-F", "16", "-n", "CIDATA2"), false},
		{"FAT without a label", fat("-F", "32", "-s", "1"), false},
		{"FAT without its signature", spoil(fat("-F", "16", "-n", "CIDATA"), 510, 2), false},
		{"ISO 9660", iso("cidata"), true},
		{"ISO 9660 with another label", iso("config-2"), false},
		{"zeros", make([]byte, 64<<10), false},
		{"nothing", nil, false},
	} {
		if got := labelled(bytes.NewReader(test.fs)); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

func FuzzLabelled(f *testing.F) {
	boot := make([]byte, 512)
	boot[510], boot[511], boot[13], boot[12], boot[14], boot[16] = 0x55, 0xaa, 1, 2, 1, 1
	f.Add(boot, []byte("CIDATA     \x08"))
	f.Fuzz(func(t *testing.T, boot, rest []byte) {
		b := append(bytes.Clone(boot), rest...)
		if labelled(bytes.NewReader(b)) && !bytes.Contains(bytes.ToLower(b), []byte("cidata")) {
			t.Fatal("a label is found where there is none")
		}
	})
}

// native has addresses of 4096 bytes.
type native struct{ *filedisk.Disk }

func (native) SectorSize() int { return 4096 }

func TestASeedOnLargeSectors(t *testing.T) {
	d := native{newDisk(t, core.Disk{Serial: "A", Size: 64 * core.MiB})}
	partitioned(t, d.Disk, 4096)
	store, err := file.OpenFromPath(d.Info().Path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	table, place, err := planSeed(d)
	if err != nil {
		t.Fatal(err)
	}
	if place.First*4096 != 47<<20 || (place.Last+1-place.First)*4096 != wire.SeedSize {
		t.Errorf("the seed goes to %+v", place)
	}
	if err := table.Write(d); err != nil {
		t.Fatal(err)
	}
	read, err := diskgpt.Read(store, 4096, 4096)
	if err != nil || len(read.Partitions) != 2 || read.Verify(store, 64<<20) != nil {
		t.Errorf("another library reads %+v: %v", read, err)
	}
	if again, _, err := planSeed(d); err != nil || !reflect.DeepEqual(names(again), []string{"root", SeedPartition}) {
		t.Errorf("planned again, there are %q: %v", names(again), err)
	}
}

func TestAnImageForOtherSectorsIsExplained(t *testing.T) {
	d := native{newDisk(t, core.Disk{Serial: "A", Size: 64 * core.MiB})}
	if _, _, err := planSeed(d); !errors.Is(err, gpt.ErrNone) {
		t.Errorf("without a table: %v", err)
	}
	header := make([]byte, 512)
	copy(header, "EFI PART")
	if _, err := d.WriteAt(header, 512); err != nil {
		t.Fatal(err)
	}
	if _, _, err := planSeed(d); !errors.Is(err, gpt.ErrNone) {
		t.Errorf("with half a table: %v", err)
	}
	partitioned(t, d.Disk, 512)
	if _, _, err := planSeed(d); err == nil || !strings.Contains(err.Error(), "made for sectors of 512 bytes, and the disk has sectors of 4096") {
		t.Errorf("with a table for smaller sectors: %v", err)
	}
}

// partitioned puts a table for such sectors, of an image of 8 MiB, on a disk.
func partitioned(t *testing.T, d *filedisk.Disk, sector int) {
	t.Helper()
	store, err := file.OpenFromPath(d.Info().Path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	w, err := store.Writable()
	if err != nil {
		t.Fatal(err)
	}
	table := &diskgpt.Table{ProtectiveMBR: true, LogicalSectorSize: sector, PhysicalSectorSize: sector, Partitions: []*diskgpt.Partition{
		{Index: 1, Start: uint64(1<<20) / uint64(sector), Size: 1 << 20, Type: diskgpt.LinuxFilesystem, Name: "root"},
	}}
	if err := table.Write(w, 8<<20); err != nil {
		t.Fatal(err)
	}
}

func names(t *gpt.Table) (names []string) {
	for _, p := range t.Partitions() {
		names = append(names, p.Name)
	}
	return names
}
