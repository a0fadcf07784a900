package handover

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/agent/gpt"
)

// sysSector is what sysfs counts in, whatever the disk's own sectors are.
const sysSector = 512

var espType = gpt.GUID{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}

// partition is one of the disk, as the kernel knows it.
type partition struct {
	device   string // its node
	number   int    // from 1
	at, size int64  // bytes

	// Of a GUID partition table, zero otherwise.
	kind, id gpt.GUID
}

func (p partition) String() string { return filepath.Base(p.device) }

// partitions makes the kernel read the partition table of a disk that was just
// written, and lists what it found in the order of numbers.
func (s *System) partitions(d agent.Disk) ([]partition, error) {
	device := d.Info().Path
	if device == "" {
		return nil, errors.New("the disk has no device node")
	}
	again := s.reread
	if again == nil {
		again = reread
	}
	if err := again(device); err != nil {
		return nil, err
	}
	name := filepath.Base(device)
	found, err := listPartitions(filepath.Join(s.root(), "sys/class/block", name), filepath.Dir(device))
	if err != nil {
		return nil, err
	}
	table, err := gpt.Read(d, d.SectorSize())
	if errors.Is(err, gpt.ErrNone) {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	for _, entry := range table.Partitions() {
		for i := range found {
			if found[i].number == entry.Index+1 {
				found[i].kind, found[i].id = entry.Type, entry.ID
			}
		}
	}
	return found, nil
}

func listPartitions(dir, dev string) ([]partition, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "partition"))
	if err != nil {
		return nil, err
	}
	var found []partition
	for _, f := range files {
		dir := filepath.Dir(f)
		var n [3]int64
		for i, name := range []string{"partition", "start", "size"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return nil, err
			}
			if n[i], err = strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err != nil {
				return nil, err
			}
		}
		found = append(found, partition{
			device: filepath.Join(dev, filepath.Base(dir)), number: int(n[0]), at: n[1] * sysSector, size: n[2] * sysSector,
		})
	}
	slices.SortFunc(found, func(a, b partition) int { return cmp.Compare(a.number, b.number) })
	return found, nil
}

func reread(device string) error {
	f, err := os.Open(device)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written
	if err := unix.IoctlSetInt(int(f.Fd()), unix.BLKRRPART, 0); err != nil {
		return fmt.Errorf("the kernel does not read the partition table of %s again: %w", device, err)
	}
	return nil
}

// signatures are what firmware tells partitions by, of every disk that is there now:
// GUIDs, and the first four bytes of one for a disk with an MBR.
func (s *System) signatures() (map[gpt.GUID]bool, error) {
	disks, err := os.ReadDir(filepath.Join(s.root(), "sys/block"))
	if err != nil {
		return nil, err
	}
	there := map[gpt.GUID]bool{}
	for _, d := range disks {
		addSignatures(there, filepath.Join(s.root(), "dev", d.Name()), s.sectorOf(d.Name()))
	}
	return there, nil
}

func (s *System) sectorOf(disk string) int {
	b, _ := os.ReadFile(filepath.Join(s.root(), "sys/block", disk, "queue/logical_block_size"))
	n, err := strconv.Atoi(string(bytes.TrimSpace(b)))
	if err != nil {
		return sysSector
	}
	return n
}

// addSignatures adds nothing for a disk that cannot be read, as a drive without media.
func addSignatures(there map[gpt.GUID]bool, device string, sector int) {
	f, err := os.Open(device)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // nothing was written
	if table, err := gpt.Read(f, sector); err == nil {
		for _, p := range table.Partitions() {
			there[p.ID] = true
		}
		return
	}
	mbr := make([]byte, sysSector)
	if n, _ := f.ReadAt(mbr, 0); n == len(mbr) && mbr[510] == 0x55 && mbr[511] == 0xaa {
		var id gpt.GUID
		copy(id[:4], mbr[440:])
		there[id] = true
	}
}
