package deploy_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy"
)

func pack(t *testing.T, b []byte) []byte {
	t.Helper()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return encoder.EncodeAll(b, nil)
}

func TestABadChunkIsFetchedAgain(t *testing.T) {
	whole := bytes.Repeat([]byte{7}, chunkSize)
	for _, test := range []struct {
		name string
		bad  func(w http.ResponseWriter)
		want string
	}{
		{"other data", func(w http.ResponseWriter) { _, _ = w.Write(pack(t, whole)) }, "its SHA-256 is"},
		{"too short", func(w http.ResponseWriter) { _, _ = w.Write(pack(t, whole[1:])) }, "65535 bytes of 65536"},
		{"too long", func(w http.ResponseWriter) { _, _ = w.Write(pack(t, append(whole, 7))) }, "not what the manifest says"},
		{"a bomb", func(w http.ResponseWriter) { _, _ = w.Write(pack(t, make([]byte, 64*mib))) }, "not what the manifest says"},
		{"not compressed", func(w http.ResponseWriter) { _, _ = w.Write(whole) }, "not what the manifest says"},
		{"empty", func(http.ResponseWriter) {}, "0 bytes of 65536"},
		{"without end", func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 2*mib)) }, "more than"},
		{"an error", func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }, "500"},
		{"cut off", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "999")
			_, _ = w.Write(whole[:9])
		}, "EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, _ := newDeployer(t)
			m := newMachine(t, filedisk.Faults{}, 8*mib)
			_, a, _ := checkedIn(t, d, m)
			i := newImage(t, 4*mib)
			chosen := i.firstChunk()

			i.answer = func(w http.ResponseWriter, n, times int) bool {
				if n != chosen || times > 1 {
					return false
				}
				test.bad(w)
				return true
			}
			if err := a.Write(t.Context(), "once", i.order(), nil); err != nil {
				t.Fatalf("bad once: %v", err)
			}
			if !bytes.Equal(read(t, m.disks[0], 0, 4*mib), i.data) || i.times(chosen) != 2 {
				t.Errorf("bad once, the disk is not the image, or was asked for %d times", i.times(chosen))
			}
		})
		if testing.Short() {
			continue
		}
		t.Run(test.name+", always", func(t *testing.T) {
			t.Parallel() // each waits between its tries
			d, _ := newDeployer(t)
			m := newMachine(t, filedisk.Faults{}, 8*mib)
			_, a, _ := checkedIn(t, d, m)
			i := newImage(t, 4*mib)
			chosen := i.firstChunk()
			i.answer = func(w http.ResponseWriter, n, _ int) bool {
				if n == chosen {
					test.bad(w)
				}
				return n == chosen
			}
			err := a.Write(t.Context(), "always", i.order(), nil)
			wants(t, err, core.Transient, "chunk "+itoa(chosen)+" of 64 cannot be had", test.want)
		})
	}
}

func TestWritesThatAreRefused(t *testing.T) {
	broken := errors.New("medium error")
	i := newImage(t, 4*mib)
	at := int64(i.firstChunk()) * chunkSize
	for _, test := range []struct {
		name   string
		faults filedisk.Faults
		disk   core.Bytes
		order  func(o *core.WriteOrder)
		kind   core.Kind
		want   string
	}{
		{name: "disk too small", disk: 4*mib - 512, kind: core.Invalid, want: "the image takes 4194304 B and disk S0 has 4193792 B"},
		{name: "no such disk", order: func(o *core.WriteOrder) { o.Disk = "S9" }, kind: core.Backend, want: `there is no disk "S9"; there are: S0`},
		{name: "no disk named", order: func(o *core.WriteOrder) { o.Disk = "" }, kind: core.Backend, want: `there is no disk ""`},
		{name: "no chunks", order: func(o *core.WriteOrder) { o.Manifest.Chunks = nil }, kind: core.Invalid, want: "0 chunks"},
		{name: "a chunk cannot be written", faults: filedisk.Faults{Write: func(off int64, _ int) error {
			if off == at {
				return broken
			}
			return nil
		}}, kind: core.Backend, want: "disk S0 at byte " + itoa(int(at)) + ": medium error"},
		{name: "the rest cannot be zeroed", faults: filedisk.Faults{Write: func(off int64, n int) error {
			if off+int64(n) == 8*mib {
				return broken
			}
			return nil
		}}, kind: core.Backend, want: "medium error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, _ := newDeployer(t)
			_, a, _ := checkedIn(t, d, newMachine(t, test.faults, cmp.Or(test.disk, 8*mib)))
			o := i.order()
			if test.order != nil {
				test.order(&o)
			}
			wants(t, a.Write(t.Context(), "w", o, nil), test.kind, test.want)
		})
	}
}

func TestSeedsThatAreRefused(t *testing.T) {
	broken := errors.New("medium error")
	for _, test := range []struct {
		name  string
		write func(off int64, n int) error
		disk  core.Bytes
		image int
		seed  core.SeedOrder
		kind  core.Kind
		want  string
	}{
		{name: "no room", disk: 12 * mib, image: 4 * mib, kind: core.Invalid, want: "no room for the seed's partition"},
		{name: "no partition table", disk: 40 * mib, kind: core.Invalid, want: "no GUID partition table"},
		{name: "no such disk", disk: 40 * mib, image: 4 * mib, seed: core.SeedOrder{Disk: "S9"}, kind: core.Backend, want: `no disk "S9"`},
		{name: "too large", disk: 40 * mib, image: 4 * mib, seed: core.SeedOrder{Filesystem: make([]byte, 16*mib+1)}, kind: core.Invalid, want: "a file system of 16777217 B, and there is room for 16777216 B"},
		{name: "the disk breaks", write: func(off int64, _ int) error {
			if off == 23*mib {
				return broken
			}
			return nil
		}, disk: 40 * mib, image: 4 * mib, kind: core.Backend, want: "disk S0: medium error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, _ := newDeployer(t)
			m := newMachine(t, filedisk.Faults{Write: test.write}, test.disk)
			_, a, _ := checkedIn(t, d, m)
			if test.image > 0 {
				if err := a.Write(t.Context(), "w", newImage(t, test.image).order(), nil); err != nil {
					t.Fatal(err)
				}
			}
			o := test.seed
			if o.Disk == "" {
				o.Disk = "S0"
			}
			if o.Filesystem == nil {
				o.Filesystem = fat("cidata", mib)
			}
			wants(t, a.Seed(t.Context(), "s", o), test.kind, test.want)
		})
	}
}

// TestAWriteOutlivesItsEngine stops the process that has the chunks; another one
// comes with its own source.
func TestAWriteOutlivesItsEngine(t *testing.T) {
	d, _ := newDeployer(t)
	m := newMachine(t, filedisk.Faults{}, 8*mib)
	s, first, _ := checkedIn(t, d, m)
	i := newImage(t, 4*mib)
	reached, stuck := make(chan struct{}), i.firstChunk()
	i.answer = func(w http.ResponseWriter, n, times int) bool {
		if n != stuck {
			return false
		}
		if times == 1 {
			close(reached)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	ctx, die := context.WithCancel(t.Context())
	dead := inBackground(func() error { return first.Write(ctx, "w", i.order(), nil) })
	<-reached
	die()
	wants(t, <-dead, core.Timeout)
	i.server.Close()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	i.mu.Lock()
	i.answer = nil
	i.mu.Unlock()
	i.serve(t)
	other, _ := newDeployer(t, func(c *deploy.Config) { c.Advertise = "127.0.0.1" })
	if err := dial(t, other, s, 6).Write(t.Context(), "w", i.order(), nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, m.disks[0], 0, 4*mib), i.data) {
		t.Error("the disk does not hold the image")
	}
}

// TestTheSourceMayHaveTwoHosts advertises a host that does not answer; the one that
// calls does.
func TestTheSourceMayHaveTwoHosts(t *testing.T) {
	d, _ := newDeployer(t, func(c *deploy.Config) { c.Advertise = "127.0.0.1" })
	m := newMachine(t, filedisk.Faults{}, 8*mib)
	s, _, _ := checkedIn(t, d, m)
	other, _ := newDeployer(t, func(c *deploy.Config) { c.Advertise = "127.9.9.9" })
	i := newImage(t, 4*mib)
	if err := dial(t, other, s, 5).Write(t.Context(), "w", i.order(), nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, m.disks[0], 0, 4*mib), i.data) {
		t.Error("the disk does not hold the image")
	}
}
