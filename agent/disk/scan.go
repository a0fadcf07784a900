package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/metalpool/metalpool/core"
)

// transport is how commands reach a disk.
type transport string

const (
	nvme   transport = "nvme"
	ata    transport = "ata" // also behind a SAS controller, which translates
	scsi   transport = "scsi"
	virtio transport = "virtio"
	usb    transport = "usb"
	mmc    transport = "mmc"
	other  transport = "other"
)

// facts are what the kernel tells of a disk without opening it.
type facts struct {
	info      core.Disk
	name      string // the kernel's, as in /sys/block
	transport transport
	// subsystem is what disks share that one sanitize erases together: NVMe namespaces
	// behind the same controllers. "" where it is the disk's own.
	subsystem string
	namespace int // of NVMe, from 1
	sector    int // bytes
	readOnly  bool
	// discards: it takes hints that a range is unused. zeroes: it makes long ranges
	// zero by itself, which may still take it hours.
	discards, zeroes bool
	rotates          bool
	users            []string // what else of this kernel holds it: md, dm
}

// scan describes every disk below root, ordered by name. What cannot be read is left
// empty; only a missing /sys is an error.
func scan(root string) ([]facts, error) {
	block := filepath.Join(root, "sys", "block")
	entries, err := os.ReadDir(block)
	if err != nil {
		return nil, fmt.Errorf("the kernel's block devices: %w", err)
	}
	var found []facts
	for _, e := range entries {
		f := describe(root, e.Name())
		if isDisk(root, f) {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b facts) int { return compareNames(a.name, b.name) })
	return tellNamespaces(onePathEach(found)), nil
}

// compareNames puts sdb before sdaa, as the kernel named them.
func compareNames(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// isDisk tells what holds data of owners from what the kernel makes up (loop, ram,
// zram, dm, md, nbd: all under devices/virtual/block), from CD and floppy drives,
// from the firmware's flash, and from parts of another disk.
func isDisk(root string, f facts) bool {
	dir := sysDir(root, f.name)
	switch {
	case strings.Contains(dir, "/devices/virtual/block/"):
		return false
	case f.info.Size == 0: // a drive without a medium
		return false
	case text(dir, "hidden") == "1": // one path of several to an NVMe namespace
		return false
	case text(dir, "device/type") == "5": // SCSI's number for CD drives
		return false
	}
	for _, prefix := range []string{"loop", "ram", "zram", "dm-", "md", "nbd", "sr", "fd", "mtdblock"} {
		if rest, is := strings.CutPrefix(f.name, prefix); is && strings.Trim(rest, "0123456789_dp") == "" {
			return false
		}
	}
	// eMMC's boot partitions, which are read-only but to firmware.
	part := strings.Contains(f.name, "boot") || strings.Contains(f.name, "rpmb")
	return !strings.HasPrefix(f.name, "mmcblk") || !part
}

// describe reads the facts of one block device.
func describe(root, name string) facts {
	dir := sysDir(root, name)
	f := facts{name: name, transport: transportOf(dir, name)}
	f.sector = int(number(dir, "queue/logical_block_size"))
	if f.sector < 512 || f.sector&(f.sector-1) != 0 {
		f.sector = 512
	}
	const unit = 512 // the kernel's, whatever the sectors are
	if sectors := number(dir, "size"); sectors < 1<<54 {
		f.info.Size = core.Bytes(sectors * unit)
	}
	f.readOnly = text(dir, "ro") == "1"
	f.rotates = text(dir, "queue/rotational") == "1"
	f.discards = number(dir, "queue/discard_max_bytes") > 0
	f.zeroes = number(dir, "queue/write_zeroes_max_bytes") > 0
	f.users = holders(dir)
	f.info.Path = filepath.Join("/dev", strings.ReplaceAll(name, "!", "/"))
	f.info.Kind = kindOf(f)
	f.nameDisk(dir)
	f.info.Removable = isRemovable(dir, f.transport)
	return f
}

// isRemovable tells disks that come and go, and media, from those that are built in.
// Of SATA and SAS disks the kernel's flag says nothing: some drivers (aacraid) set it
// for every volume, and some kernels for whatever is at a port that allows hot plug.
// To leave such a disk alone would be worse than to erase a cartridge.
func isRemovable(dir string, by transport) bool {
	switch by {
	case usb:
		return true
	case mmc:
		return text(dir, "device/type") != "MMC" // a card, not soldered on
	case ata, scsi:
		return isVirtualMedia(text(dir, "device/vendor"), text(dir, "device/model"))
	case nvme, virtio, other:
	}
	return text(dir, "removable") == "1"
}

// sysDir is the device's own directory, through all links.
func sysDir(root, name string) string {
	link := filepath.Join(root, "sys", "block", name)
	if dir, err := filepath.EvalSymlinks(link); err == nil {
		return dir
	}
	return link
}

// text is what a file of one line says, "" where there is none. Some of it is a
// drive's own word, which ends up in errors and on terminals.
func text(dir, name string) string {
	b, _ := os.ReadFile(filepath.Join(dir, name))
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(string(b), "")))
}

func number(dir, name string) int64 {
	n, err := strconv.ParseInt(text(dir, name), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// transportOf reads it from the device's place in the tree of devices.
func transportOf(dir, name string) transport {
	switch {
	case strings.Contains(dir, "/usb"):
		return usb
	case strings.HasPrefix(name, "nvme"):
		return nvme
	case strings.HasPrefix(name, "mmcblk"):
		return mmc
	case strings.HasPrefix(name, "vd"):
		return virtio
	case text(dir, "device/vendor") == "ATA":
		return ata
	case strings.HasPrefix(name, "sd"):
		return scsi
	}
	return other
}

// kindOf leaves a virtio disk that seems to rotate without a kind: older kernels say
// that of every one.
func kindOf(f facts) core.DiskKind {
	switch {
	case f.transport == nvme:
		return core.NVMe
	case !f.rotates:
		return core.SSD
	case f.transport == virtio || f.transport == mmc || f.transport == usb:
		return ""
	}
	return core.HDD
}

// holders are what is stacked on the disk or its partitions.
func holders(dir string) []string {
	var found []string
	for _, pattern := range []string{"holders/*", "*/holders/*"} {
		paths, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, p := range paths {
			found = append(found, filepath.Base(p))
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// onePathEach keeps the first of several paths to one disk: a SAS drive has two
// ports, and so have some NVMe drives, whose paths the ramdisk's kernel does not join.
// Only a WWN together with a serial tells that surely; cheap disks share one.
func onePathEach(found []facts) []facts {
	var kept []facts
	for _, f := range found {
		same := func(k facts) bool {
			return (f.transport == scsi || f.transport == nvme) && k.transport == f.transport &&
				k.subsystem == f.subsystem && k.namespace == f.namespace &&
				k.info.WWN != "" && k.info.Serial != "" &&
				k.info.WWN == f.info.WWN && k.info.Serial == f.info.Serial && k.info.Size == f.info.Size
		}
		if !slices.ContainsFunc(kept, same) {
			kept = append(kept, f)
		}
	}
	return kept
}

// tellNamespaces gives the namespaces of one NVMe drive different serials: the first
// has the drive's, which is all that a BMC knows, and each other one its number too,
// as udev has it.
func tellNamespaces(found []facts) []facts {
	first := map[string]int{}
	for _, f := range found {
		if n, there := first[f.subsystem]; f.subsystem != "" && (!there || f.namespace < n) {
			first[f.subsystem] = f.namespace
		}
	}
	for i := range found {
		f := &found[i]
		if f.subsystem != "" && f.namespace != first[f.subsystem] && f.info.Serial != "" {
			f.info.Serial += "_" + strconv.Itoa(f.namespace)
		}
	}
	return found
}
