package initramfs

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"
)

// In whatever order the files come, the bytes are the same, and each folder comes
// before what is in it.
func TestArchive(t *testing.T) {
	records := []cpio.Record{
		File("lib/modules/6.1/z.ko", []byte("zzz"), 0o644), File("lib/firmware/a.bin", nil, 0o644),
		cpio.Symlink("lib/firmware/b.bin", "a.bin"), File("init", []byte("#!"), 0o755),
	}
	part, err := Archive(records)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(records)
	if again, err := Archive(records); err != nil || !bytes.Equal(part, again) {
		t.Errorf("in another order it differs (%v)", err)
	}
	want := []string{"init", "lib", "lib/firmware", "lib/firmware/a.bin", "lib/firmware/b.bin", "lib/modules", "lib/modules/6.1", "lib/modules/6.1/z.ko"}
	if got := list(t, part); !slices.Equal(got, want) {
		t.Errorf("it holds %q, want %q", got, want)
	}
	if len(part)%512 != 0 {
		t.Errorf("its %d bytes end where no other part may begin", len(part))
	}
}

func list(t *testing.T, part []byte) []string {
	t.Helper()
	var names []string
	numbers := map[uint64]bool{}
	r := cpio.EOFReader{RecordReader: cpio.Newc.Reader(bytes.NewReader(part))}
	for {
		record, err := r.ReadRecord()
		if err == io.EOF { //nolint:errorlint // as cpio gives it
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if record.MTime != 0 || record.UID != 0 || numbers[record.Ino] {
			t.Errorf("%s has what differs between two builds, or the number of another file: %+v", record.Name, record.Info)
		}
		numbers[record.Ino] = true
		names = append(names, record.Name)
	}
}

func TestInit(t *testing.T) {
	program := bytes.Repeat([]byte("program "), 10000)
	part, err := Init(program)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Init(program); err != nil || !bytes.Equal(part, again) {
		t.Errorf("the second time it differs (%v)", err)
	}
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	plain, err := decoder.DecodeAll(bytes.TrimRight(part, "\x00"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := list(t, plain), []string{"dev", "dev/console", "init"}; !slices.Equal(got, want) {
		t.Errorf("it holds %q, want %q", got, want)
	}
	if !bytes.Contains(plain, program) || len(part)%512 != 0 || len(part) > len(program)/2 {
		t.Errorf("%d bytes of %d, and the program is in it: %t", len(part), len(program), bytes.Contains(plain, program))
	}
}
