package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/loop"
)

// device is a loop device of that many bytes.
func device(t *testing.T, size int64, sector int) *Device {
	t.Helper()
	d, err := Open("/", loop.Attach(t, size, sector))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if d.SectorSize() != sector || d.Info().Size != core.Bytes(size) {
		t.Fatalf("a loop device of %d bytes in sectors of %d is %+v in %d", size, sector, d.Info(), d.SectorSize())
	}
	return d
}

// eachSector runs a test on disks of both kinds of sectors.
func eachSector(t *testing.T, test func(t *testing.T, sector int)) {
	for _, sector := range []int{512, 4096} {
		t.Run(fmt.Sprintf("sectors of %d", sector), func(t *testing.T) { test(t, sector) })
	}
}

// TestAgainstMemory does the same at random to a disk and to a slice, at offsets and
// lengths that no sector ends at.
func TestAgainstMemory(t *testing.T) {
	eachSector(t, func(t *testing.T, sector int) {
		const size = 4 << 20
		d, model := device(t, size, sector), make([]byte, size)
		random := rand.New(rand.NewPCG(1, uint64(sector)))
		for range 300 {
			off := random.Int64N(size)
			if random.IntN(3) == 0 {
				off = off / 4096 * 4096
			}
			n := min(random.Int64N(1<<random.IntN(21)+1), size-off)
			switch random.IntN(3) {
			case 0:
				p := make([]byte, n)
				for i := range p {
					p[i] = byte(random.Uint32())
				}
				copy(model[off:], p)
				if wrote, err := d.WriteAt(p, off); err != nil || wrote != len(p) {
					t.Fatalf("%d of %d bytes written at %d: %v", wrote, n, off, err)
				}
			case 1:
				clear(model[off : off+n])
				if err := d.Zero(t.Context(), off, n); err != nil {
					t.Fatal(err)
				}
			case 2:
				got := make([]byte, n)
				if read, err := d.ReadAt(got, off); err != nil || read != len(got) || !bytes.Equal(got, model[off:off+n]) {
					t.Fatalf("%d of %d bytes read at %d, %v, and differ", read, n, off, err)
				}
			}
		}
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
		whole := make([]byte, size)
		if _, err := d.ReadMedium(whole, 0); err != nil || !bytes.Equal(whole, model) {
			t.Errorf("the disk differs in the end: %v", err)
		}
		through, err := os.ReadFile(d.Info().Path) // as the kernel's file systems see it
		if err != nil || !bytes.Equal(through, model) {
			t.Errorf("the page cache differs: %v", err)
		}
	})
}

func TestWritesSideBySideShareASector(t *testing.T) {
	eachSector(t, func(t *testing.T, sector int) {
		const writers, each = 64, 100
		d := device(t, 1<<20, sector)
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() {
				if _, err := d.WriteAt(bytes.Repeat([]byte{byte(i + 1)}, each), int64(i*each)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		got := make([]byte, writers*each)
		if _, err := d.ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
		for at, b := range got {
			if b != byte(at/each+1) {
				t.Fatalf("byte %d is of writer %d", at, int(b)-1)
			}
		}
	})
}

func TestADiskHasAnEnd(t *testing.T) {
	d := device(t, 1<<20, 512)
	size := int64(d.Info().Size)
	for name, err := range map[string]error{
		"a write over the end":     second(d.WriteAt(make([]byte, 2), size-1)),
		"a write past the end":     second(d.WriteAt(make([]byte, 1), size)),
		"a write before the begin": second(d.WriteAt(make([]byte, 1), -1)),
		"zeros over the end":       d.Zero(t.Context(), size-1, 2),
		"a discard over the end":   d.Discard(t.Context(), size-1, 2),
		"a read before the begin":  second(d.ReadAt(make([]byte, 1), -1)),
	} {
		if err == nil {
			t.Errorf("%s is possible", name)
		}
	}
	for _, test := range []struct {
		off  int64
		want int
		err  error
	}{{size - 10, 10, io.EOF}, {size, 0, io.EOF}, {size + 1, 0, io.EOF}, {size - 20, 20, nil}} {
		if n, err := d.ReadAt(make([]byte, 20), test.off); n != test.want || !errors.Is(err, test.err) {
			t.Errorf("20 bytes read at %d: %d, %v; want %d, %v", test.off, n, err, test.want, test.err)
		}
	}
}

func second(_ int, err error) error { return err }

func TestDiscardKeepsWhatIsBeside(t *testing.T) {
	eachSector(t, func(t *testing.T, sector int) {
		const size = 1 << 20
		d := device(t, size, sector)
		full := bytes.Repeat([]byte{7}, size)
		if _, err := d.WriteAt(full, 0); err != nil {
			t.Fatal(err)
		}
		if err := d.Discard(t.Context(), 10_000, 500_000); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, size)
		if _, err := d.ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got[:10_000], full[:10_000]) || !bytes.Equal(got[510_000:], full[510_000:]) {
			t.Error("a discard touched its neighbours")
		}
	})
}

func TestWorkOnADiskEndsWithItsContext(t *testing.T) {
	d := device(t, 1<<20, 512)
	why := errors.New("the power is cut")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if err := d.Zero(ctx, 0, 1<<20); !errors.Is(err, why) {
		t.Errorf("zeroing ends with %v", err)
	}
	if err := d.overwrite(ctx, func(core.Bytes, core.Bytes) {}); !errors.Is(err, why) {
		t.Errorf("overwriting ends with %v", err)
	}
}

func TestADiskInUseIsLeftAlone(t *testing.T) {
	d := device(t, 1<<20, 512)
	holder, err := os.OpenFile(d.Info().Path, os.O_RDONLY|os.O_EXCL, 0) // as a mount does
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Close() }()
	if _, err := d.WriteAt(make([]byte, 512), 0); err == nil {
		t.Error("a disk in use is written to")
	}
	_ = holder.Close()
	if _, err := d.WriteAt(make([]byte, 512), 0); err != nil {
		t.Errorf("a disk that is free again: %v", err)
	}
	d.facts.users = []string{"md0"}
	other := &Device{facts: d.facts}
	if _, err := other.ReadAt(make([]byte, 512), 0); err == nil || err.Error() != d.facts.name+" is in use by md0" {
		t.Errorf("a part of an array: %v", err)
	}
}

func TestMediaIsOnlyRead(t *testing.T) {
	d := device(t, 1<<20, 512)
	d.facts.info.Removable = true
	if _, err := d.ReadAt(make([]byte, 512), 0); err != nil {
		t.Error(err)
	}
	if _, err := d.WriteAt(make([]byte, 512), 0); err == nil {
		t.Error("media is written to")
	}
	if _, _, err := d.Erase(t.Context(), func(core.Bytes, core.Bytes) {}); err == nil {
		t.Error("media is erased")
	}
}

func TestAClosedDisk(t *testing.T) {
	d := device(t, 1<<20, 512)
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReadAt(make([]byte, 512), 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := Open("/", filepath.Base(t.TempDir())); err == nil {
		t.Error("a device that is not there is opened")
	}
}
