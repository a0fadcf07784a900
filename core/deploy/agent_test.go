package deploy_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	diskgpt "github.com/diskfs/go-diskfs/partition/gpt"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/agent/gpt"
	"github.com/metalpool/metalpool/core"
)

const mib = 1 << 20

// partitioned is a disk image with one partition, made by another library than the
// one that will edit it.
func partitioned(t *testing.T, size int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
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
		{Index: 1, Start: 2048, Size: uint64(size) - 2*mib, Type: diskgpt.LinuxFilesystem, Name: "root"},
	}}
	if err := table.Write(w, int64(size)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// progress records, and fails where work seems to go backwards.
type progress struct {
	t           *testing.T
	done, total core.Bytes
}

func (p *progress) told(done, total core.Bytes) {
	if done < p.done || done > total || p.total != 0 && total != p.total {
		p.t.Errorf("%s of %s came after %s of %s", done, total, p.done, p.total)
	}
	p.done, p.total = done, total
}

func TestADeploy(t *testing.T) {
	d, refusals := newDeployer(t)
	m := newMachine(t, filedisk.Faults{}, 48*mib, 8*mib)
	fill(t, m.disks[0])
	s, a, ended := checkedIn(t, d, m)
	i := newImage(t, 10*mib+512)

	inventory, err := a.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if inventory.Attempt != s.boot.ID || inventory.Identity.UUID != "u1" || len(inventory.Hardware.Disks) != 2 || s.boot.Agent.Identity.Serial != "c1" {
		t.Errorf("the inventory is %+v", inventory)
	}

	seen := progress{t: t}
	if err := a.Write(t.Context(), "w", i.order(), seen.told); err != nil {
		t.Fatal(err)
	}
	if seen.done != core.Bytes(len(i.data)) || seen.total != seen.done {
		t.Errorf("the last progress is %s of %s", seen.done, seen.total)
	}
	got := read(t, m.disks[0], 0, 48*mib)
	if !bytes.Equal(got[:len(i.data)], i.data) {
		t.Error("the disk does not hold the image")
	}
	if rest := got[len(i.data):]; !bytes.Equal(rest, make([]byte, len(rest))) {
		t.Error("data of an earlier deploy is left behind the image")
	}

	seed := fat("CIDATA", 3*mib)
	if err := a.Seed(t.Context(), "s", core.SeedOrder{Disk: "wwn-S0", Filesystem: seed}); err != nil {
		t.Fatal(err)
	}
	table, err := gpt.Read(m.disks[0], 512)
	if err != nil {
		t.Fatal(err)
	}
	partitions := table.Partitions()
	if len(partitions) != 2 || partitions[0].Name != "root" || partitions[1].Name != agent.SeedPartition {
		t.Fatalf("the partitions are %+v", partitions)
	}
	at := partitions[1].First * 512
	if at%mib != 0 || (partitions[1].Last+1)*512-at != 16*mib || at < 30*mib {
		t.Errorf("the seed's partition is %+v", partitions[1])
	}
	if got := read(t, m.disks[0], at, 16*mib); !bytes.Equal(got, append(seed, make([]byte, 13*mib)...)) {
		t.Error("its partition does not hold the seed")
	}
	if got := read(t, m.disks[0], mib, int64(len(i.data)-2*mib)); !bytes.Equal(got, i.data[mib:len(i.data)-mib]) {
		t.Error("the seed changed the image's partition")
	}

	if err := a.Boot(t.Context(), "b", core.BootOrder{Disk: "S0", Mode: core.Kexec}); err != nil {
		t.Fatal(err)
	}
	if mode := <-m.booted; mode != core.Kexec {
		t.Errorf("booted by %s", mode)
	}
	ends(t, ended, nil)
	if len(refusals) > 0 {
		t.Errorf("somebody was refused: %s", <-refusals)
	}
}

// TestARedeployLeavesNothing writes a small image over a large one, and a new seed
// over an old one.
func TestARedeployLeavesNothing(t *testing.T) {
	d, _ := newDeployer(t)
	m := newMachine(t, filedisk.Faults{}, 40*mib)
	_, a, _ := checkedIn(t, d, m)
	first, second := newImage(t, 12*mib), newImage(t, 4*mib)
	for n, i := range []*image{first, second} {
		id := string(rune('0' + n))
		if err := a.Write(t.Context(), "w"+id, i.order(), nil); err != nil {
			t.Fatal(err)
		}
		if err := a.Seed(t.Context(), "s"+id, core.SeedOrder{Disk: "S0", Filesystem: fat("cidata", mib*(3-n))}); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, m.disks[0], 0, 40*mib)
	at := 40*mib - 17*mib
	if !bytes.Equal(got[mib:3*mib], second.data[mib:3*mib]) {
		t.Error("the second image is not there")
	}
	if between := got[4*mib : at]; !bytes.Equal(between, make([]byte, len(between))) {
		t.Error("something is left of the first image")
	}
	if !bytes.Equal(got[at:at+2*mib], fat("cidata", 2*mib)) || !bytes.Equal(got[at+2*mib:at+16*mib], make([]byte, 14*mib)) {
		t.Error("something is left of the first seed")
	}
}

func TestSeedsElsewhereAreRemoved(t *testing.T) {
	d, _ := newDeployer(t)
	m := newMachine(t, filedisk.Faults{}, 40*mib, 24*mib, 24*mib, 24*mib, 24*mib)
	_, a, _ := checkedIn(t, d, m)
	i := newImage(t, 4*mib)
	write := func(disk int, b []byte, off int64) {
		if _, err := m.disks[disk].WriteAt(b, off); err != nil {
			t.Fatal(err)
		}
	}
	stale, data := fat("CiData", mib), fat("data", mib)
	// Disk 1 is one file system; 2 has a seed's partition, and a labelled one, and one
	// to keep; 3 has an old table; 4 has data.
	write(1, stale, 0)
	write(2, partitioned(t, 24*mib), 0)
	table, err := gpt.Read(m.disks[2], 512)
	if err != nil {
		t.Fatal(err)
	}
	table.Remove(0)
	for n, name := range []string{agent.SeedPartition, "other", "data"} {
		at := int64(2048 * (1 + n*2))
		if err := table.Add(gpt.Partition{Type: gpt.BasicData, ID: gpt.NewGUID(), First: at, Last: at + 2047, Name: name}); err != nil {
			t.Fatal(err)
		}
		write(2, [][]byte{data, stale, data}[n], at*512)
	}
	if err := table.Write(m.disks[2]); err != nil {
		t.Fatal(err)
	}
	mbr := make([]byte, 512)
	mbr[446+4], mbr[446+9], mbr[446+13], mbr[510], mbr[511] = 0x0c, 8, 8, 0x55, 0xaa // 2048 sectors at 2048
	write(3, mbr, 0)
	write(3, stale, mib)
	write(4, data, 0)

	if err := a.Write(t.Context(), "w", i.order(), nil); err != nil {
		t.Fatal(err)
	}
	if err := a.Seed(t.Context(), "s", core.SeedOrder{Disk: "S0", Filesystem: fat("cidata", mib)}); err != nil {
		t.Fatal(err)
	}

	zeros := make([]byte, mib)
	if !bytes.Equal(read(t, m.disks[1], 0, mib), zeros) {
		t.Error("the seed that was a whole disk is left")
	}
	if !bytes.Equal(read(t, m.disks[2], mib, mib), zeros) || !bytes.Equal(read(t, m.disks[2], 3*mib, mib), zeros) {
		t.Error("a seed in a partition is left")
	}
	if !bytes.Equal(read(t, m.disks[2], 5*mib, mib), data) {
		t.Error("another partition lost its data")
	}
	if table, err := gpt.Read(m.disks[2], 512); err != nil || len(table.Partitions()) != 1 || table.Partitions()[0].Name != "data" {
		t.Errorf("the other disk's table is %+v: %v", table, err)
	}
	if !bytes.Equal(read(t, m.disks[3], mib, mib), zeros) || !bytes.Equal(read(t, m.disks[3], 0, 512), mbr) {
		t.Error("the seed behind an old partition table is left")
	}
	if !bytes.Equal(read(t, m.disks[4], 0, mib), data) {
		t.Error("another disk lost its data")
	}
}

func TestAnErase(t *testing.T) {
	d, _ := newDeployer(t)
	m := newMachine(t, filedisk.Faults{}, 8*mib, 16*mib, 4*mib)
	for _, disk := range m.disks {
		fill(t, disk)
	}
	_, a, _ := checkedIn(t, d, m)
	seen := progress{t: t}
	// The third is not ordered, and is erased since it is there. Those that are ordered
	// are reported under the name that they were ordered by.
	report, err := a.Erase(t.Context(), "e", core.EraseOrder{Disks: []string{"S0", "wwn-S1"}}, seen.told)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Disks) != 3 || seen.total != 28*mib || seen.done != seen.total {
		t.Errorf("reported are %+v, and %s of %s", report.Disks, seen.done, seen.total)
	}
	for n, r := range report.Disks {
		if !r.Verified || r.Class != core.Clear || r.Method == "" || r.Err != "" || r.Disk != []string{"S0", "wwn-S1", "S2"}[n] {
			t.Errorf("disk %d: %+v", n, r)
		}
		size := int64(m.disks[n].Info().Size)
		if !bytes.Equal(read(t, m.disks[n], 0, size), make([]byte, size)) {
			t.Errorf("disk %d is not empty", n)
		}
	}
}

func TestAnEraseThatFails(t *testing.T) {
	broken := errors.New("medium error")
	for _, test := range []struct {
		name    string
		faults  filedisk.Faults
		order   []string
		want    string
		reports int // disks in the report that failed
	}{
		{"the erase fails", filedisk.Faults{Erase: func(context.Context, func() error) error { return broken }}, []string{"S0"}, "S0: the erase failed: medium error", 2},
		{"the disk lies", filedisk.Faults{Erase: func(context.Context, func() error) error { return nil }}, []string{"S0"}, "still there", 2},
		{"nothing can be written", filedisk.Faults{Write: func(int64, int) error { return broken }}, nil, "sentinels cannot be written", 2},
		{"nothing can be read", filedisk.Faults{Read: func(int64, int) error { return broken }}, nil, "medium error", 2},
		{"a disk is missing", filedisk.Faults{}, []string{"S0", "S7", "S1"}, "S7: the disk is not there", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, _ := newDeployer(t)
			m := newMachine(t, test.faults, 8*mib, 8*mib)
			_, a, _ := checkedIn(t, d, m)
			report, err := a.Erase(t.Context(), "e", core.EraseOrder{Disks: test.order}, nil)
			wants(t, err, core.Backend, test.want)
			bad := 0
			for _, r := range report.Disks {
				if r.Err != "" {
					bad++
				}
				if (r.Err == "") != r.Verified || !r.Verified && r.Class != core.NotErased {
					t.Errorf("the report says %+v", r)
				}
			}
			if bad != test.reports {
				t.Errorf("%d disks failed in %+v, want %d", bad, report.Disks, test.reports)
			}
			again, err := a.Erase(t.Context(), "e", core.EraseOrder{Disks: test.order}, nil)
			wants(t, err, core.Backend, test.want)
			if !slices.Equal(again.Disks, report.Disks) {
				t.Errorf("asked again, it says %+v", again)
			}
		})
	}
}

// TestTheMachineIsReset once its disks are empty, and not where one of them is not.
func TestTheMachineIsReset(t *testing.T) {
	lines := []string{"boot entry Boot0003 removed", "there is no TPM"}
	for _, test := range []struct {
		name  string
		disk  error
		reset error
		want  string
		lines []string
	}{
		{"all is well", nil, nil, "", lines},
		{"the machine keeps what it has", nil, errors.New("the TPM refuses"), "the disks are erased, and the machine cannot be reset: the TPM refuses", lines},
		{"a disk is not erased", errors.New("medium error"), nil, "medium error", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, _ := newDeployer(t)
			m := newMachine(t, filedisk.Faults{Write: func(int64, int) error { return test.disk }}, 8*mib)
			m.reset = func() ([]string, error) {
				if block := read(t, m.disks[0], 0, 4096); !bytes.Equal(block, make([]byte, 4096)) {
					t.Error("the machine is reset before its disk is erased")
				}
				return lines, test.reset
			}
			_, a, _ := checkedIn(t, d, m)
			report, err := a.Erase(t.Context(), "e", core.EraseOrder{Disks: []string{"S0"}}, nil)
			if test.want != "" {
				wants(t, err, core.Backend, test.want)
			} else if err != nil {
				t.Error(err)
			}
			if !slices.Equal(report.Reset, test.lines) {
				t.Errorf("the report says %q, want %q", report.Reset, test.lines)
			}
		})
	}
}

// TestAllOfADeployer lays down an image of the catalogue with a seed of its own
// making: both come from the process that talks to the agent.
func TestAllOfADeployer(t *testing.T) {
	d, _ := newDeployer(t)
	var _ core.Deployer = d
	m := newMachine(t, filedisk.Faults{}, 64*mib)
	fill(t, m.disks[0])
	_, a, ended := checkedIn(t, d, m)

	data := newImage(t, 30*mib+512).data
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	image, err := d.Examine(t.Context(), core.Image{Name: "debian", Source: path, Format: "raw", Arch: "amd64", User: "debian"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	source, err := d.OpenImage(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = source.Close() }()
	private, _, err := d.NewHostKeys()
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := d.NewHostKeys()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := d.RenderSeed(core.Seed{InstanceID: "a1", Hostname: "web-1", User: "debian", Keys: key[:1], HostKeys: private})
	if err != nil {
		t.Fatal(err)
	}

	if err := a.Write(t.Context(), "w", core.WriteOrder{Disk: "S0", Manifest: source.Manifest()}, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, m.disks[0], 0, int64(len(data))), data) {
		t.Error("the disk does not hold the image")
	}
	if err := a.Seed(t.Context(), "s", core.SeedOrder{Disk: "S0", Filesystem: seed}); err != nil {
		t.Fatal(err)
	}
	table, err := gpt.Read(m.disks[0], 512)
	if err != nil {
		t.Fatal(err)
	}
	last := table.Partitions()[len(table.Partitions())-1]
	if got := read(t, m.disks[0], last.First*512, int64(len(seed))); last.Name != agent.SeedPartition || !bytes.Equal(got, seed) {
		t.Errorf("the seed is not in partition %+v", last)
	}
	if err := a.Boot(t.Context(), "b", core.BootOrder{Disk: "S0", Mode: core.Reboot}); err != nil {
		t.Fatal(err)
	}
	ends(t, ended, nil)
}
