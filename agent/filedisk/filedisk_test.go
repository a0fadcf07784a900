package filedisk

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
)

func open(t *testing.T, size core.Bytes, faults Faults) *Disk {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "disk"), core.Disk{Serial: "S1", Size: size}, faults)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// taken is the room that the file takes, in bytes.
func taken(t *testing.T, d *Disk) int64 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Fstat(int(d.file.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Blocks * 512
}

func TestZeroFreesRoom(t *testing.T) {
	d := open(t, 8*core.MiB, Faults{})
	if _, err := d.WriteAt(bytes.Repeat([]byte{7}, 4<<20), 1<<20); err != nil {
		t.Fatal(err)
	}
	full := taken(t, d)
	if err := d.Zero(t.Context(), 1<<20+5, 3<<20); err != nil {
		t.Fatal(err)
	}
	if left := taken(t, d); left > full-2<<20 {
		t.Errorf("%d bytes are taken after 3 MiB were zeroed, %d before", left, full)
	}
	got := make([]byte, 4<<20)
	if _, err := d.ReadMedium(got, 1<<20); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte{7}, 4<<20)
	clear(want[5 : 5+3<<20])
	if !bytes.Equal(got, want) {
		t.Error("other bytes than those asked for were zeroed")
	}
}

// What is written must be what is read, wherever zeros begin and end in it; and long
// runs of them must take no room, though there was data before.
func TestZerosInAWriteTakeNoRoom(t *testing.T) {
	const size, data = 4 << 20, zeroRun + 100
	for _, at := range []int{0, 1, zeroRun - 1, zeroRun, 2*zeroRun + 512, size - data} {
		d := open(t, size+512, Faults{})
		if _, err := d.WriteAt(bytes.Repeat([]byte{7}, size+512), 0); err != nil {
			t.Fatal(err)
		}
		image := make([]byte, size)
		for i := range data {
			image[at+i] = byte(1 + i%255)
		}
		if n, err := d.WriteAt(image, 256); n != size || err != nil {
			t.Fatalf("%d bytes written of %d: %v", n, size, err)
		}
		got := make([]byte, size+512)
		if _, err := d.ReadMedium(got, 0); err != nil {
			t.Fatal(err)
		}
		edge := bytes.Repeat([]byte{7}, 256)
		if !bytes.Equal(got, slices.Concat(edge, image, edge)) {
			t.Errorf("data at %d: other bytes are read than were written", at)
		}
		if room := taken(t, d); room > 8*zeroRun {
			t.Errorf("data at %d: %d bytes are taken for %d", at, room, data)
		}
	}
}

func TestEraseLeavesNothing(t *testing.T) {
	d := open(t, 3*core.GiB, Faults{})
	for _, off := range []int64{0, 1 << 30, 3<<30 - 5} {
		if _, err := d.WriteAt([]byte("gone!"), off); err != nil {
			t.Fatal(err)
		}
	}
	var last core.Bytes
	method, class, err := d.Erase(t.Context(), func(done, total core.Bytes) {
		if done <= last || total != 3*core.GiB {
			t.Errorf("%s of %s after %s", done, total, last)
		}
		last = done
	})
	if err != nil || class != core.Clear || method == "" {
		t.Fatalf("erased by %q to class %q: %v", method, class, err)
	}
	if last != 3*core.GiB {
		t.Errorf("the last progress was %s", last)
	}
	if left := taken(t, d); left != 0 {
		t.Errorf("%d bytes are still taken", left)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := d.Erase(ctx, func(core.Bytes, core.Bytes) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled erase ended with %v", err)
	}
}

func TestADiskHasAnEnd(t *testing.T) {
	d := open(t, core.MiB, Faults{})
	for _, off := range []int64{-1, 1<<20 - 1, 1 << 40} {
		if _, err := d.WriteAt([]byte{1, 2}, off); err == nil {
			t.Errorf("2 bytes were written at %d", off)
		}
		if err := d.Zero(t.Context(), off, 2); err == nil {
			t.Errorf("2 bytes were zeroed at %d", off)
		}
	}
	if stat, err := d.file.Stat(); err != nil || stat.Size() != 1<<20 {
		t.Errorf("the file has %d bytes: %v", stat.Size(), err)
	}
}

func TestFaults(t *testing.T) {
	broken := errors.New("medium error")
	d := open(t, core.MiB, Faults{
		Read:  func(int64, int) error { return broken },
		Write: func(off int64, _ int) error { return map[bool]error{true: broken}[off == 512] },
		Erase: func(context.Context, func() error) error { return nil },
	})
	if _, err := d.WriteAt([]byte("kept"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := d.WriteAt([]byte("x"), 512); !errors.Is(err, broken) {
		t.Errorf("a write: %v", err)
	}
	if err := d.Zero(t.Context(), 512, 512); !errors.Is(err, broken) {
		t.Errorf("zeroing: %v", err)
	}
	if _, err := d.ReadMedium(make([]byte, 4), 0); !errors.Is(err, broken) {
		t.Errorf("a read: %v", err)
	}
	if _, _, err := d.Erase(t.Context(), func(core.Bytes, core.Bytes) {}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(d.file.Name()); err != nil || !strings.HasPrefix(string(b), "kept") {
		t.Errorf("a disk that only says it erased lost its data: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, info := range map[string]core.Disk{
		"no size":        {},
		"half a sector":  {Size: 4096 + 256},
		"a smaller size": {Size: 2048},
	} {
		if d, err := Open(path, info, Faults{}); !core.Is(err, core.Invalid) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	if _, err := Open(filepath.Join(path, "below"), core.Disk{Size: 4096}, Faults{}); !core.Is(err, core.Internal) {
		t.Errorf("below a file: %v", err)
	}
	d, err := Open(path, core.Disk{Size: 8192}, Faults{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if stat, err := d.file.Stat(); err != nil || stat.Size() != 8192 || d.Info().Path != path {
		t.Errorf("a file of %d bytes as %+v: %v", stat.Size(), d.Info(), err)
	}
}
