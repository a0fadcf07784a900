package gpt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	diskgpt "github.com/diskfs/go-diskfs/partition/gpt"

	"github.com/metalpool/metalpool/internal/needs"
)

const (
	mib       = 1 << 20
	imageSize = 64 * mib
	diskSize  = 200*mib + 512
)

// sgdisk runs the program that most people edit such tables with.
func sgdisk(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), needs.Program(t, "sgdisk", "gdisk"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("sgdisk %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// partitioned makes a disk of diskSize on which an image of imageSize was laid
// down: three partitions, one of them with attributes.
func partitioned(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := f.Truncate(imageSize); err != nil {
		t.Fatal(err)
	}
	sgdisk(t, "--new=1:2048:+4M", "--typecode=1:ef00", "--change-name=1:EFI System",
		"--new=3:40M:+8M", "--new=7:16M:+8M", "--attributes=7:set:2", "--change-name=7:Wurzel / корень", f.Name())
	if err := f.Truncate(diskSize); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTheTableGrowsToTheDisk(t *testing.T) {
	f := partitioned(t)
	before := []string{sgdisk(t, "--info=1", f.Name()), sgdisk(t, "--info=3", f.Name()), sgdisk(t, "--info=7", f.Name())}
	table, err := Read(f, 512)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Resize(diskSize); err != nil {
		t.Fatal(err)
	}
	_, last := table.Usable()
	end := (last + 1) &^ 2047
	seed := Partition{Type: BasicData, ID: NewGUID(), First: end - 32768, Last: end - 1, Attributes: 1 << 63, Name: "cidata"}
	if err := table.Add(seed); err != nil {
		t.Fatal(err)
	}
	if err := table.Write(f); err != nil {
		t.Fatal(err)
	}

	if said := sgdisk(t, "--verify", f.Name()); !strings.Contains(said, "No problems found") || strings.Contains(said, "aution") {
		t.Errorf("sgdisk says %s", said)
	}
	after := []string{sgdisk(t, "--info=1", f.Name()), sgdisk(t, "--info=3", f.Name()), sgdisk(t, "--info=7", f.Name())}
	if !slices.Equal(before, after) {
		t.Errorf("partitions changed from %q to %q", before, after)
	}
	shown := sgdisk(t, "--info=2", f.Name()) // the first free entry
	for _, want := range []string{"Microsoft basic data", strings.ToUpper(seed.ID.String()), "'cidata'", strconv.FormatInt(seed.First, 10), strconv.FormatInt(seed.Last, 10)} {
		if !strings.Contains(shown, want) {
			t.Errorf("sgdisk shows no %s in %s", want, shown)
		}
	}
	if said := sgdisk(t, "--print", f.Name()); !regexp.MustCompile(`Disk .*: 409601 sectors`).MatchString(said) {
		t.Errorf("sgdisk prints %s", said)
	}
	// The backup alone tells the same.
	if _, err := f.WriteAt(make([]byte, 512), 512); err != nil {
		t.Fatal(err)
	}
	store, err := file.OpenFromPath(f.Name(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	other, err := diskgpt.Read(store, 512, 512)
	if err != nil {
		t.Fatal(err)
	}
	if !other.RecoveredFromBackup || len(other.Partitions) != 4 {
		t.Errorf("the backup tells of %d partitions", len(other.Partitions))
	}
}

func TestPartitionsAreRead(t *testing.T) {
	f := partitioned(t)
	table, err := Read(f, 512)
	if err != nil {
		t.Fatal(err)
	}
	got := table.Partitions()
	for i, want := range []Partition{
		{Index: 0, First: 2048, Last: 2048 + 4*2048 - 1, Name: "EFI System"},
		{Index: 6, First: 16 * 2048, Last: 24*2048 - 1, Name: "Wurzel / корень", Attributes: 4},
		{Index: 2, First: 40 * 2048, Last: 48*2048 - 1},
	} {
		want.Type, want.ID = got[i].Type, got[i].ID
		if got[i] != want {
			t.Errorf("partition %+v, want %+v", got[i], want)
		}
	}
	if got[0].Type.String() != "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" {
		t.Errorf("the EFI system partition has type %s", got[0].Type)
	}
	table.Remove(6)
	if left := table.Partitions(); len(left) != 2 || left[1].Index != 2 {
		t.Errorf("after a removal there are %+v", left)
	}
}

func TestAddRefuses(t *testing.T) {
	f := partitioned(t)
	table, err := Read(f, 512)
	if err != nil {
		t.Fatal(err)
	}
	_, last := table.Usable()
	for _, test := range []struct {
		name string
		p    Partition
		want string
	}{
		{"before the usable sectors", Partition{First: 1, Last: 100}, "not within"},
		{"past them", Partition{First: last, Last: last + 1}, "not within"},
		{"backwards", Partition{First: 6000, Last: 5000}, "not within"},
		{"over another's end", Partition{First: 24*2048 - 1, Last: 25 * 2048}, "partition 7"},
		{"around another", Partition{First: 15 * 2048, Last: 30 * 2048}, "partition 7"},
		{"a long name", Partition{First: 50 * 2048, Last: 51 * 2048, Name: strings.Repeat("x", 37)}, "longer"},
	} {
		test.p.Type = BasicData
		if err := table.Add(test.p); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if err := table.Resize(40 * mib); err == nil || !strings.Contains(err.Error(), "partition 3") {
		t.Errorf("shrunk onto a partition: %v", err)
	}
	for i := range 125 {
		if err := table.Add(Partition{Type: BasicData, First: int64(50*2048 + i), Last: int64(50*2048 + i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Add(Partition{Type: BasicData, First: 60 * 2048, Last: 60 * 2048}); err == nil || !strings.Contains(err.Error(), "128 entries") {
		t.Errorf("a partition too many: %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	whole := start(t)
	for _, test := range []struct {
		name  string
		spoil func(b []byte) []byte
		want  string
	}{
		{"nothing", func([]byte) []byte { return nil }, ErrNone.Error()},
		{"zeros", func(b []byte) []byte { clear(b); return b }, ErrNone.Error()},
		{"cut", func(b []byte) []byte { return b[:4096] }, "cannot be read"},
		{"one bit of the header", func(b []byte) []byte { b[512+60] ^= 1; return b }, "header is damaged"},
		{"one bit of the entries", func(b []byte) []byte { b[1024+3] ^= 1; return b }, "entries are damaged"},
		{"a huge header", func(b []byte) []byte { binary.LittleEndian.PutUint32(b[512+atSize:], 1<<31); return b }, "claims"},
		{"entries without end", claim(atEntryCount, 1<<32-1), "4294967295 entries"},
		{"huge entries", claim(atEntrySize, 1<<31), "of 2147483648 bytes"},
		{"odd entries", claim(atEntrySize, 129), "of 129 bytes"},
		{"no entries", claim(atEntryCount, 0), "0 entries"},
		{"entries nowhere", claim(atEntries+4, 1<<31), "entries are claimed to be at"},
		{"a backup's header", claim(atOwn, 7), "claimed"},
	} {
		_, err := Read(bytes.NewReader(test.spoil(slices.Clone(whole))), 512)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	broken := errors.New("sector 0")
	if _, err := Read(readerAt(func([]byte, int64) (int, error) { return 0, broken }), 512); !errors.Is(err, broken) {
		t.Errorf("a broken disk reads as %v", err)
	}
}

// nowhere is a disk that is not to be written to.
type nowhere struct{ t *testing.T }

func (n nowhere) WriteAt(p []byte, off int64) (int, error) {
	n.t.Errorf("%d bytes are written at %d", len(p), off)
	return len(p), nil
}

func (nowhere) Sync() error { return nil }

// TestATableIsNotWrittenOverPartitions: where a header says that its parts are need not
// be where they belong.
func TestATableIsNotWrittenOverPartitions(t *testing.T) {
	for name, spoil := range map[string]func(table *Table){
		"a backup within the usable sectors": func(table *Table) { table.setField(atOther, 3000) },
		"a backup nowhere":                   func(table *Table) { table.setField(atOther, -1) },
		"a partition behind the usable":      func(table *Table) { table.setField(atOther, 4000); table.setField(atLast, 2000) },
		"entries within a partition":         func(table *Table) { table.setField(atEntries, 2048) },
		"usable sectors before the entries":  func(table *Table) { table.setField(atFirst, 3) },
	} {
		table, err := Read(bytes.NewReader(start(t)), 512)
		if err != nil {
			t.Fatal(err)
		}
		spoil(table)
		if err := table.Write(nowhere{t}); err == nil || !strings.Contains(err.Error(), "among the partitions") {
			t.Errorf("%s: %v", name, err)
		}
	}
	table, err := Read(bytes.NewReader(start(t)), 512)
	if err != nil {
		t.Fatal(err)
	}
	table.setField(atEntries, 2048)
	if err := table.Resize(diskSize); err == nil || !strings.Contains(err.Error(), "among the partitions") {
		t.Errorf("when it is fitted to a disk: %v", err)
	}
}

type readerAt func(p []byte, off int64) (int, error)

func (f readerAt) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

// claim writes one field of the header and its right checksum.
func claim(at int, v uint32) func([]byte) []byte {
	return func(b []byte) []byte {
		t := Table{header: b[512:1024]}
		binary.LittleEndian.PutUint32(t.header[at:], v)
		t.seal()
		return b
	}
}

// start is the first sectors of a partitioned disk.
func start(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(imageSize); err != nil {
		t.Fatal(err)
	}
	store, err := file.OpenFromPath(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	w, err := store.Writable()
	if err != nil {
		t.Fatal(err)
	}
	table := &diskgpt.Table{ProtectiveMBR: true, LogicalSectorSize: 512, PhysicalSectorSize: 512, Partitions: []*diskgpt.Partition{
		{Index: 1, Start: 2048, Size: 4 * mib, Type: diskgpt.LinuxFilesystem, Name: "root"},
	}}
	if err := table.Write(w, imageSize); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64<<10)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, imageSize), b); err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzRead(f *testing.F) {
	whole := start(f)
	f.Add(whole[512:1024], whole[1024:2048])
	f.Fuzz(func(t *testing.T, header, entries []byte) {
		disk := make([]byte, 64<<10)
		copy(disk[512:1024], header)
		copy(disk[1024:], entries)
		head := Table{header: disk[512:1024]}
		if room := int64(head.field32(atEntryCount)) * int64(head.field32(atEntrySize)); room >= 0 && room <= int64(len(disk)-1024) {
			binary.LittleEndian.PutUint32(head.header[atEntriesCRC:], crc32.ChecksumIEEE(disk[1024:1024+room]))
		}
		if n := head.field32(atSize); n >= minHeader && n <= 512 {
			head.seal() // or nearly nothing would get past the checksum
		}
		table, err := Read(bytes.NewReader(disk), 512)
		if err != nil {
			return
		}
		partitions := table.Partitions()
		_ = table.Resize(1 << 40)
		_ = table.Add(Partition{Type: BasicData, First: 4096, Last: 8191, Name: "cidata"})
		for _, p := range partitions {
			if p.First > p.Last {
				t.Fatalf("%+v ends before it begins", p)
			}
			table.Remove(p.Index)
		}
		if left := table.Partitions(); len(left) > 1 || len(left) == 1 && left[0].Name != "cidata" {
			t.Fatalf("after all were removed there are %+v", left)
		}
	})
}

func TestGUID(t *testing.T) {
	if got := BasicData.String(); got != "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7" {
		t.Errorf("basic data is %s", got)
	}
	a, b := NewGUID(), NewGUID()
	if reflect.DeepEqual(a, b) || a.String()[14] != '4' || !strings.ContainsRune("89ab", rune(a.String()[19])) {
		t.Errorf("%s and %s are no random GUIDs", a, b)
	}
}

// TestTheProtectionGrows looks at what keeps tools that know no GPT off the disk.
func TestTheProtectionGrows(t *testing.T) {
	for _, test := range []struct {
		name         string
		kind         byte
		start, sized uint32
		disk         int64
		want         uint32
	}{
		{"to the disk", 0xee, 1, imageSize/512 - 1, diskSize, diskSize/512 - 1},
		{"to what fits", 0xee, 1, imageSize/512 - 1, 3 << 40, 1<<32 - 1},
		{"from the most", 0xee, 1, 1<<32 - 1, diskSize, diskSize/512 - 1},
		{"not a hybrid's", 0xee, 1, 2047, diskSize, 2047},
		{"not another partition", 0x83, 1, imageSize/512 - 1, diskSize, imageSize/512 - 1},
	} {
		b := start(t)
		b[446+4] = test.kind
		binary.LittleEndian.PutUint32(b[446+8:], test.start)
		binary.LittleEndian.PutUint32(b[446+12:], test.sized)
		table, err := Read(bytes.NewReader(b), 512)
		if err != nil {
			t.Fatal(err)
		}
		if err := table.Resize(test.disk); err != nil {
			t.Fatal(err)
		}
		if got := binary.LittleEndian.Uint32(table.mbr[446+12:]); got != test.want {
			t.Errorf("%s: %d sectors, want %d", test.name, got, test.want)
		}
	}
}
