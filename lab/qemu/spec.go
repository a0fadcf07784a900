package qemu

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Spec is a server as one start of its firmware finds it.
type Spec struct {
	Accel  Accel
	CPUs   int
	Memory int // MiB

	// What the firmware's tables say. UUID and Serial are how the server is told from
	// every other one.
	UUID, Serial, Manufacturer, Product, BIOSVersion string

	Code string // file with the firmware, read only
	Vars string // file with its variables, of this server alone

	Disks []Disk
	Ports []Port
	CD    Bus // SCSI or USB
	Boot  Boot
	// Kernel is what the firmware starts instead; nil: what Boot says.
	Kernel *Kernel
}

// Kernel is a Linux that lies on this host, not on a disk.
type Kernel struct {
	Image, Initrd string // files
	CommandLine   string
}

// Boot is what the firmware tries first.
type Boot string

const (
	// BootVars is what the firmware's variables say: the boot order that agent and
	// systems wrote to them. A disc in the drive may come first in it.
	BootVars Boot = ""
	// BootCD is the drive, then the disks. The firmware writes this order down, and
	// drops what is not in it: without the disks, all that they hold would come after
	// its own shell from then on.
	BootCD Boot = "cd"
)

// Bus is how a drive is attached.
type Bus string

const (
	NVMe   Bus = "nvme"
	SATA   Bus = "sata"
	VirtIO Bus = "virtio"
	SCSI   Bus = "scsi" // behind virtio-scsi
	USB    Bus = "usb"  // of the CD drive alone
)

// Disk is a raw disk image as a drive.
type Disk struct {
	Bus    Bus
	Path   string
	Serial string // at most 20 characters
	Model  string // where the bus has one
	WWN    uint64 // of SATA and SCSI; 0 is none
	Sector int    // bytes; 0 is 512
}

// Port is a network port.
type Port struct {
	Model    string // virtio-net-pci, e1000e
	MAC      string
	Network  Network
	Forwards []Forward // only with Answers and Moved
}

// Network is what a port is connected to.
type Network string

const (
	NoCable Network = "none"
	// Answers is QEMU's user network: DHCP gives 10.0.2.15, this host is 10.0.2.2.
	Answers Network = "user"
	// Moved is the same, but DHCP gives another address, and forwards stay.
	Moved Network = "moved"
	// Silent has a link, and nobody on it.
	Silent Network = "silent"
)

// HostAddress is this host as a system behind a user network sees it.
const HostAddress = "10.0.2.2"

const (
	guestAddress = "10.0.2.15" // what DHCP gives first
	movedAddress = "10.0.2.30"
)

// Forward leads from an address and port of this host to a port of the system.
type Forward struct {
	Address  string
	From, To int
}

// The files that a process inherits, by number.
const (
	fdMonitor = 3
	fdSerial  = 4
	fdLock    = 5
)

// arguments are QEMU's. It starts with its processors stopped.
func (s Spec) arguments() []string {
	a := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-S",
		// A restart ends the process as well, and it stays long enough to say why.
		"-no-reboot", "-no-shutdown",
		"-machine", "q35,pflash0=code,pflash1=vars",
		"-smp", strconv.Itoa(s.CPUs), "-m", strconv.Itoa(s.Memory), "-rtc", "base=utc",
		"-uuid", s.UUID,
		"-smbios", table(0, "uefi=on", "vendor=Lab", "version="+s.BIOSVersion),
		"-smbios", table(1, "uuid="+s.UUID, "serial="+s.Serial, "manufacturer="+s.Manufacturer, "product="+s.Product),
		"-smbios", table(3, "serial="+s.Serial, "manufacturer="+s.Manufacturer),
		"-chardev", fmt.Sprintf("socket,id=monitor,fd=%d", fdMonitor), "-mon", "chardev=monitor,mode=control",
		"-chardev", fmt.Sprintf("socket,id=serial,fd=%d", fdSerial), "-serial", "chardev:serial",
		"-blockdev", node(map[string]any{"node-name": "code", "driver": "raw", "read-only": true, "file": map[string]any{"driver": "file", "filename": s.Code}}),
		"-blockdev", node(map[string]any{"node-name": "vars", "driver": "raw", "file": map[string]any{"driver": "file", "filename": s.Vars}}),
	}
	a = append(a, s.Accel.arguments()...)
	a = append(a, "-device", "virtio-scsi-pci,id=scsi")
	for i, d := range s.Disks {
		a = append(a, s.disk(i, d)...)
	}
	a = append(a, s.drive()...)
	for i, p := range s.Ports {
		a = append(a, p.arguments(i)...)
	}
	if k := s.Kernel; k != nil {
		a = append(a, "-kernel", k.Image, "-initrd", k.Initrd, "-append", k.CommandLine)
	}
	return a
}

// table is an SMBIOS table. Commas in its values are doubled, as QEMU wants them.
func table(kind int, values ...string) string {
	text := fmt.Sprintf("type=%d", kind)
	for _, v := range values {
		text += "," + strings.ReplaceAll(v, ",", ",,")
	}
	return text
}

func node(n map[string]any) string {
	text, _ := json.Marshal(n) // of strings, numbers and booleans: never fails
	return string(text)
}

func fileNode(i int) string { return fmt.Sprintf("file%d", i) }
func diskNode(i int) string { return fmt.Sprintf("disk%d", i) }

// rawNode is the upper half of a disk; its lower half can be exchanged while it runs.
// Zeros become holes in the file: an erase that overwrites does not fill this host.
func rawNode(i int, below string) map[string]any {
	return map[string]any{"node-name": diskNode(i), "driver": "raw", "file": below, "discard": "unmap", "detect-zeroes": "unmap"}
}

// disk is a disk with its file. Writes go to this host's page cache and are as safe
// there as the host is: killing QEMU loses none that it had taken, flushed or not.
func (s Spec) disk(i int, d Disk) []string {
	a := []string{
		"-blockdev", node(map[string]any{"node-name": fileNode(i), "driver": "file", "filename": d.Path, "discard": "unmap"}),
		"-blockdev", node(rawNode(i, fileNode(i))),
	}
	device := fmt.Sprintf("drive=%s,serial=%s", diskNode(i), d.Serial)
	wwn := ""
	if d.WWN != 0 {
		wwn = fmt.Sprintf(",wwn=%#x", d.WWN)
	}
	switch d.Bus {
	case NVMe:
		// The drive of the controller itself: booting from a separate namespace, or from
		// one with an EUI-64, QEMU and the firmware do not name alike.
		device = "nvme," + device
	case SATA:
		device = fmt.Sprintf("ide-hd,bus=ide.%d,rotation_rate=1,model=%s,", i, d.Model) + device + wwn
	case SCSI:
		device = fmt.Sprintf("scsi-hd,bus=scsi.0,scsi-id=%d,rotation_rate=1,vendor=LAB,product=%s,", i, d.Model) + device + wwn
	default:
		device = "virtio-blk-pci," + device
	}
	if d.Sector > 0 {
		device += fmt.Sprintf(",logical_block_size=%d,physical_block_size=%[1]d", d.Sector)
	}
	if s.Boot == BootCD {
		device += fmt.Sprintf(",bootindex=%d", i+1)
	}
	return append(a, "-device", device)
}

// drive is the CD drive, with nothing in it.
func (s Spec) drive() []string {
	var a []string
	device := "scsi-cd,id=cd,bus=scsi.0,scsi-id=15"
	if s.CD == USB {
		// What real BMCs show their servers.
		a = append(a, "-device", "qemu-xhci,id=usb", "-device", "usb-bot,id=bot,bus=usb.0")
		device = "scsi-cd,id=cd,bus=bot.0"
	}
	if s.Boot == BootCD {
		device += ",bootindex=0"
	}
	return append(a, "-device", device)
}

func (p Port) arguments(i int) []string {
	name := portName(i)
	back := "user,id=" + name
	switch p.Network {
	case NoCable, Silent:
		back = fmt.Sprintf("hubport,id=%s,hubid=%d", name, i+1)
	case Moved:
		back += ",dhcpstart=" + movedAddress
	}
	for _, f := range p.Forwards {
		if p.Network == Answers || p.Network == Moved {
			back += fmt.Sprintf(",hostfwd=tcp:%s:%d-%s:%d", f.Address, f.From, guestAddress, f.To)
		}
	}
	// Without a boot ROM: the firmware has its own network boot, where nobody answers.
	return []string{"-netdev", back, "-device", fmt.Sprintf("%s,id=%s,netdev=%s,mac=%s,romfile=", p.Model, cardName(i), name, p.MAC)}
}

func portName(i int) string { return fmt.Sprintf("net%d", i) }
func cardName(i int) string { return fmt.Sprintf("nic%d", i) }
