package lab_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab"
)

// A real Debian, as it comes from several formats, is on the node's disk byte for
// byte; programs that know nothing of metalpool find a sound file system and the
// seed there. After the release none of it is left.
func TestDebianIsLaidDown(t *testing.T) {
	raw := needs.DebianImage(t)
	qcow2 := filepath.Join(t.TempDir(), "debian.qcow2")
	output(t, needs.Program(t, "qemu-img", "qemu-utils"), "convert", "-O", "qcow2", raw, qcow2)
	output(t, needs.Program(t, "zstd", "zstd"), "-q", qcow2)

	l := up(t, lab.Config{Nodes: 1})
	p := newPool(t, l)
	node := l.Nodes()[0]
	for format, source := range map[string]string{"raw": raw, "qcow2.zst": qcow2 + ".zst"} {
		t.Run(format, func(t *testing.T) {
			image, err := p.AddImage(t.Context(), core.Image{Name: format, Source: source, Arch: "amd64", User: "debian"}, nil)
			try(t, err)
			if image.Format != format {
				t.Errorf("the catalogue takes it for %s", image.Format)
			}
			o := order("debian-"+strings.ReplaceAll(format, ".", "-"), newKey(t))
			o.Image, o.UserData = format, []byte("#cloud-config\n# \x00\xff, as it was given \r\nruncmd: [true]\n")
			m, err := p.Create(t.Context(), o, nil)
			try(t, err)

			disk := node.Disks()[0]
			seed := compareDisk(t, raw, disk)
			checkRoot(t, disk.Path)
			checkSeed(t, disk.Path, seed, o, m)

			try(t, p.Release(t.Context(), m.ID, core.ReleaseOptions{WaitClean: true}, nil))
			if s := p.state(node.ID()); s != core.Available {
				t.Errorf("after release the node is %s", s)
			}
			if left := firstData(t, disk.Path); left != "" {
				t.Errorf("after release the disk holds %q", left)
			}
		})
	}
}

func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s%s", filepath.Base(program), strings.Join(args, " "), err, &said, out)
	}
	return string(out)
}

const sector = 512

// extent is a place on a disk, in bytes.
type extent struct{ at, size int64 }

// compareDisk compares a disk with the image that was laid down on it. It returns
// where the partition is that was added.
func compareDisk(t *testing.T, image string, disk core.Disk) extent {
	t.Helper()
	want, err := os.Open(image)
	try(t, err)
	defer want.Close()
	got, err := os.Open(disk.Path)
	try(t, err)
	defer got.Close()

	before, after := make([]byte, 34*sector), make([]byte, 34*sector)
	_, err1 := want.ReadAt(before, 0)
	_, err2 := got.ReadAt(after, 0)
	try(t, err1, err2)
	added := onlyAdded(t, before, after)
	// All that may differ: the table is for a larger disk and has one partition more.
	le, last := binary.LittleEndian, uint64(disk.Size)/sector-1
	const header, entries = sector, 2 * sector
	le.PutUint32(before[446+12:], uint32(min(last, 1<<32-1)))
	copy(before[added:], after[added:added+128])
	le.PutUint64(before[header+32:], last)    // where the backup is
	le.PutUint64(before[header+48:], last-33) // the last usable sector
	le.PutUint32(before[header+88:], crc32.ChecksumIEEE(before[entries:]))
	le.PutUint32(before[header+16:], 0)
	le.PutUint32(before[header+16:], crc32.ChecksumIEEE(before[header:header+92]))
	if !bytes.Equal(before, after) {
		t.Errorf("the partition table is\n%x\nwant\n%x", after, before)
	}
	first, end := int64(le.Uint64(after[added+32:])), int64(le.Uint64(after[added+40:]))+1
	if int64(last)-end > 4096 {
		t.Errorf("the partition ends at sector %d of %d, not at the disk's end", end, last)
	}

	a, b := make([]byte, 4<<20), make([]byte, 4<<20)
	for at := int64(len(before)); ; {
		n, err := want.ReadAt(a, at)
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if _, err := got.ReadAt(b[:n], at); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a[:n], b[:n]) {
			t.Fatalf("the disk differs from the image within the %d bytes at %d", n, at)
		}
		if at += int64(n); n == 0 {
			break
		}
	}
	return extent{first * sector, (end - first) * sector}
}

// onlyAdded is where the one entry is that the image's partition table has not, as
// an offset from the disk's beginning.
func onlyAdded(t *testing.T, before, after []byte) int {
	t.Helper()
	var added []int
	for at := 2 * sector; at < 34*sector; at += 128 {
		if bytes.Equal(before[at:at+16], make([]byte, 16)) && !bytes.Equal(after[at:at+128], before[at:at+128]) {
			added = append(added, at)
		}
	}
	if len(added) != 1 {
		t.Fatalf("%d partitions were added, want one", len(added))
	}
	return added[0]
}

// checkRoot has sfdisk look at the partition table, its backup included, and
// e2fsprogs at the root file system, in place on the node's disk.
func checkRoot(t *testing.T, disk string) {
	t.Helper()
	sfdisk := needs.Program(t, "sfdisk", "fdisk")
	if said := output(t, sfdisk, "--verify", disk); !strings.Contains(said, "No errors detected") {
		t.Errorf("sfdisk --verify: %s", said)
	}
	var table struct {
		PartitionTable struct {
			Partitions []struct {
				Start int64
				Name  string
			}
		}
	}
	try(t, json.Unmarshal([]byte(output(t, sfdisk, "--json", disk)), &table))
	names := map[string]int64{}
	for _, p := range table.PartitionTable.Partitions {
		names[p.Name] = p.Start * sector
	}
	if len(names) != 3 || names["esp"] == 0 || names["root"] == 0 || names["cidata"] == 0 {
		t.Fatalf("partitions %v", names)
	}
	root := fmt.Sprintf("%s?offset=%d", disk, names["root"])
	output(t, needs.Program(t, "e2fsck", "e2fsprogs"), "-fn", root)
	debugfs := needs.Program(t, "debugfs", "e2fsprogs")
	if said := output(t, debugfs, "-R", "cat /usr/lib/os-release", root); !strings.Contains(said, "\nVERSION_CODENAME=bookworm\n") {
		t.Errorf("os-release is %s", said)
	}
	if said := output(t, debugfs, "-R", "cat /var/lib/dpkg/status", root); !strings.Contains(said, "Package: apt\nStatus: install ok installed\n") {
		t.Errorf("dpkg's status is %.200s", said)
	}
}

// checkSeed reads the seed with isoinfo.
func checkSeed(t *testing.T, disk string, at extent, o core.Order, m core.Machine) {
	t.Helper()
	d, err := os.Open(disk)
	try(t, err)
	defer d.Close()
	iso := filepath.Join(t.TempDir(), "seed.iso")
	out, err := os.Create(iso)
	try(t, err)
	_, err = io.Copy(out, io.NewSectionReader(d, at.at, at.size))
	try(t, err, out.Close())
	isoinfo := needs.Program(t, "isoinfo", "genisoimage")
	if said := output(t, isoinfo, "-d", "-i", iso); !strings.Contains(said, "Volume id: cidata\n") {
		t.Errorf("isoinfo: %s", said)
	}
	file := func(name string) string { return output(t, isoinfo, "-R", "-i", iso, "-x", "/"+name) }
	if got := file("user-data"); got != string(o.UserData) {
		t.Errorf("user data is %q, want %q", got, o.UserData)
	}
	var meta struct {
		Hostname string   `yaml:"local-hostname"`
		Keys     []string `yaml:"public-keys"`
	}
	var vendor struct {
		Keys map[string]string `yaml:"ssh_keys"`
	}
	try(t, yaml.Unmarshal([]byte(file("meta-data")), &meta), yaml.Unmarshal([]byte(file("vendor-data")), &vendor))
	if meta.Hostname != o.Name || !slices.Equal(meta.Keys, []string{strings.TrimSpace(o.Keys[0])}) {
		t.Errorf("meta-data says %+v", meta)
	}
	for _, kind := range []string{"ed25519", "ecdsa"} {
		public := vendor.Keys[kind+"_public"]
		private, err := ssh.ParsePrivateKey([]byte(vendor.Keys[kind+"_private"]))
		if err != nil || strings.TrimSpace(string(ssh.MarshalAuthorizedKey(private.PublicKey()))) != public || !slices.Contains(m.Access.HostKeys, public) {
			t.Errorf("the %s host key is %q (%v), the pool tells %q", kind, public, err, m.Access.HostKeys)
		}
	}
}
