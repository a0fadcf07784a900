package lab

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/bmc"
	"github.com/metalpool/metalpool/lab/qemu"
)

// VM says what new nodes are like where they are virtual machines.
type VM struct {
	CPUs   int        // of each; 0 is 2
	Memory core.Bytes // of each; 0 is 2 GiB
	// Disks of each node; empty: one NVMe disk, two SATA disks, one behind VirtIO, and
	// one of each behind NVMe and SCSI, in turn.
	Disks []VMDisk
	// CD is how the virtual media's drive is attached, SCSI or USB; empty: in turn.
	CD qemu.Bus
	// Accel runs the processors; empty: KVM where it works. It is not kept.
	Accel qemu.Accel
}

// VMDisk is a disk: a sparse file of that size in the lab's folder.
type VMDisk struct {
	Bus    qemu.Bus   `json:"bus"`
	Size   core.Bytes `json:"size"`
	Sector int        `json:"sector,omitempty"` // bytes: 512, the default, or 4096
}

// vmCard is the hardware of a node that is a VM.
type vmCard struct {
	CPUs      int        `json:"cpus"`
	Memory    core.Bytes `json:"memory"`
	Disks     []VMDisk   `json:"disks"`
	Ports     []vmPort   `json:"ports"`
	CD        qemu.Bus   `json:"cd"`
	AgentPort int        `json:"agent_port"` // of its address, and of the ramdisk behind it
}

type vmPort struct {
	Model   string `json:"model"`
	NoCable bool   `json:"no_cable,omitempty"`
}

// Disks are small, since erases without discard write all of them.
const vmDiskSize = 8 * core.GiB

// vmKinds are the nodes of a rack, in turn: what drivers and rules for choosing a disk
// meet in real ones.
var vmKinds = []vmCard{
	{Disks: []VMDisk{{Bus: qemu.NVMe, Size: vmDiskSize}}, Ports: []vmPort{{Model: "virtio-net-pci"}}, CD: qemu.SCSI},
	{Disks: []VMDisk{{Bus: qemu.SATA, Size: vmDiskSize}, {Bus: qemu.SATA, Size: vmDiskSize}}, Ports: []vmPort{{Model: "e1000e"}, {Model: "e1000e", NoCable: true}}, CD: qemu.USB},
	{Disks: []VMDisk{{Bus: qemu.VirtIO, Size: vmDiskSize}}, Ports: []vmPort{{Model: "virtio-net-pci"}}, CD: qemu.SCSI},
	{Disks: []VMDisk{{Bus: qemu.NVMe, Size: vmDiskSize}, {Bus: qemu.SCSI, Size: 2 * vmDiskSize}}, Ports: []vmPort{{Model: "e1000e"}, {Model: "virtio-net-pci", NoCable: true}}, CD: qemu.USB},
}

// The least that firmware and ramdisk start in.
const leastVMMemory = 512 * core.MiB

func (v VM) check() error {
	switch {
	case v.CPUs < 0 || v.CPUs > 64:
		return fmt.Errorf("%d processors; a VM has 1 to 64", v.CPUs)
	case v.Memory != 0 && (v.Memory < leastVMMemory || v.Memory%core.MiB != 0):
		return fmt.Errorf("%s of memory; a VM has at least %s, in whole MiB", v.Memory, leastVMMemory)
	case v.CD != "" && v.CD != qemu.SCSI && v.CD != qemu.USB:
		return fmt.Errorf("a CD drive at %q; there are %s and %s", v.CD, qemu.SCSI, qemu.USB)
	case v.Accel != "" && v.Accel != qemu.KVM && v.Accel != qemu.TCG:
		return fmt.Errorf("accelerator %q; there are %s and %s", v.Accel, qemu.KVM, qemu.TCG)
	case len(v.Disks) > 6:
		return fmt.Errorf("%d disks; a VM has at most 6", len(v.Disks))
	}
	for _, d := range v.Disks {
		if err := d.check(); err != nil {
			return err
		}
	}
	return nil
}

func (d VMDisk) check() error {
	switch {
	case d.Bus != qemu.NVMe && d.Bus != qemu.SATA && d.Bus != qemu.VirtIO && d.Bus != qemu.SCSI:
		return fmt.Errorf("a disk at %q; there are %s, %s, %s and %s", d.Bus, qemu.NVMe, qemu.SATA, qemu.VirtIO, qemu.SCSI)
	case d.Size < 64*core.MiB || d.Size%core.MiB != 0:
		return fmt.Errorf("a disk of %s; one has at least 64 MiB, in whole MiB", d.Size)
	case d.Sector != 0 && d.Sector != 512 && d.Sector != 4096:
		return fmt.Errorf("a disk with sectors of %d bytes; there are 512 and 4096", d.Sector)
	case d.Sector == 4096 && d.Bus == qemu.SATA:
		return errors.New("QEMU has no SATA disks with sectors of 4096 bytes; take another bus")
	}
	return nil
}

// ParseVMDisk reads BUS:SIZE or BUS:SIZE:SECTOR, such as nvme:8GiB or scsi:16GiB:4096.
func ParseVMDisk(text string) (VMDisk, error) {
	parts := strings.Split(text, ":")
	d := VMDisk{Bus: qemu.Bus(parts[0])}
	var err error
	switch len(parts) {
	case 3:
		if d.Sector, err = strconv.Atoi(parts[2]); err != nil {
			err = fmt.Errorf("sectors of %q bytes", parts[2])
		}
		fallthrough
	case 2:
		var wrong error
		d.Size, wrong = core.ParseBytes(parts[1])
		err = errors.Join(wrong, err)
	default:
		err = errors.New("it is not of the form BUS:SIZE[:SECTOR]")
	}
	if err == nil {
		err = d.check()
	}
	if err != nil {
		return VMDisk{}, &core.Error{Op: "read disk " + text, Kind: core.Invalid, Err: err, Hint: "write a disk such as nvme:8GiB, or scsi:16GiB:4096"}
	}
	return d, nil
}

// newVMCard is the hardware of the i-th node of a rack.
func (v VM) newVMCard(i, agentPort int) *vmCard {
	c := vmKinds[i%len(vmKinds)]
	c.CPUs, c.Memory, c.AgentPort = 2, 2*core.GiB, agentPort
	if v.CPUs != 0 {
		c.CPUs = v.CPUs
	}
	if v.Memory != 0 {
		c.Memory = v.Memory
	}
	if len(v.Disks) > 0 {
		c.Disks = v.Disks
	}
	if v.CD != "" {
		c.CD = v.CD
	}
	return &c
}

// vmModels are the names that QEMU's disks answer with.
var vmModels = map[qemu.Bus]string{qemu.NVMe: "QEMU NVMe Ctrl", qemu.SATA: "LAB-SATA", qemu.SCSI: "LAB-SCSI"}

// shape is the hardware in the words of the other nodes.
func (c *vmCard) shape() shape {
	s := shape{
		cpu: bmc.Processor{Vendor: "QEMU", Model: "Virtual CPU", Cores: c.CPUs, Threads: c.CPUs, MHz: 2000}, count: 1,
		dimms: 1, dimm: bmc.DIMM{MiB: int(c.Memory / core.MiB), Type: "DDR4"},
	}
	for _, d := range c.Disks {
		kind := core.SSD
		if d.Bus == qemu.NVMe {
			kind = core.NVMe
		}
		s.disks = append(s.disks, disks{count: 1, model: vmModels[d.Bus], kind: kind, size: d.Size, name: vmName[d.Bus]})
	}
	for _, p := range c.Ports {
		s.nics = append(s.nics, bmc.NIC{Mbps: 1000, Down: p.NoCable})
	}
	return s
}

// vmName makes a disk's worldwide name of its serial, as the buses have them.
var vmName = map[qemu.Bus]func(serial string) string{
	qemu.SATA:   func(serial string) string { return "naa.5" + strings.ToLower(serial) + "000" },
	qemu.SCSI:   func(serial string) string { return "naa.5" + strings.ToLower(serial) + "000" },
	qemu.NVMe:   func(string) string { return "" },
	qemu.VirtIO: func(string) string { return "" },
}

// wwnNumber is a worldwide name as QEMU takes it; 0 is none.
func wwnNumber(wwn string) uint64 {
	_, digits, _ := strings.Cut(wwn, ".")
	n, _ := strconv.ParseUint(digits, 16, 64) // made by this program, or empty
	return n
}
