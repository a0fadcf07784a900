package lab

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/bmc"
)

// shape is the hardware of a node.
func (c card) shape() (shape, error) {
	if c.VM != nil {
		return c.VM.shape(), nil
	}
	if c.Shape < 0 || c.Shape >= len(shapes) {
		return shape{}, fmt.Errorf("node %s is of a shape that this lab does not know", c.ID)
	}
	return shapes[c.Shape], nil
}

// shape is what a kind of server is made of.
type shape struct {
	cpu   bmc.Processor
	count int // of the CPUs
	dimms int
	dimm  bmc.DIMM
	disks []disks
	nics  []bmc.NIC
	gpus  []bmc.GPU
}

type disks struct {
	count int
	model string
	kind  core.DiskKind
	size  core.Bytes
	name  func(serial string) string // makes the worldwide name; nil: NVMe's
}

// shapes differ, so that matching has something to choose from. Disks are sparse
// files; their sizes cost nothing. The first disk is the smallest.
var shapes = []shape{
	{
		cpu: bmc.Processor{Vendor: "AMD", Model: "EPYC 9124", Cores: 16, Threads: 32, MHz: 3000}, count: 1, dimms: 4, dimm: bmc.DIMM{MiB: 16 << 10, Type: "DDR5"},
		disks: []disks{{count: 1, model: "LAB-NVME-480", kind: core.NVMe, size: 480e9}},
		nics:  []bmc.NIC{{Mbps: 10_000}, {Mbps: 10_000, Down: true}},
	},
	{
		cpu: bmc.Processor{Vendor: "Intel", Model: "Xeon Gold 6326", Cores: 16, Threads: 32, MHz: 2900}, count: 2, dimms: 8, dimm: bmc.DIMM{MiB: 16 << 10, Type: "DDR4"},
		disks: []disks{{count: 2, model: "LAB-SSD-480", kind: core.SSD, size: 480e9}},
		nics:  []bmc.NIC{{Mbps: 25_000}, {Mbps: 25_000}},
	},
	{
		cpu: bmc.Processor{Vendor: "AMD", Model: "EPYC 9354", Cores: 32, Threads: 64, MHz: 3250}, count: 2, dimms: 8, dimm: bmc.DIMM{MiB: 32 << 10, Type: "DDR5"},
		disks: []disks{{count: 1, model: "LAB-NVME-960", kind: core.NVMe, size: 960e9}, {count: 4, model: "LAB-HDD-2000", kind: core.HDD, size: 2e12}},
		nics:  []bmc.NIC{{Mbps: 25_000}, {Mbps: 1_000}},
	},
	{
		cpu: bmc.Processor{Vendor: "Intel", Model: "Xeon Platinum 8480+", Cores: 56, Threads: 112, MHz: 2000}, count: 2, dimms: 16, dimm: bmc.DIMM{MiB: 64 << 10, Type: "DDR5"},
		disks: []disks{{count: 2, model: "LAB-NVME-1920", kind: core.NVMe, size: 1920e9}},
		nics:  []bmc.NIC{{Mbps: 100_000}, {Mbps: 100_000}},
		gpus:  []bmc.GPU{{Vendor: "NVIDIA", Model: "H100"}, {Vendor: "NVIDIA", Model: "H100"}},
	},
}

// parts are what tells a server from others of its shape. They are made once.
type parts struct {
	Serial string   `json:"serial"`
	UUID   string   `json:"uuid"`
	MACs   []string `json:"macs"`
	Disks  []string `json:"disks"` // serials
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func newParts(s shape) parts {
	id := randomHex(16)
	p := parts{
		Serial: "LAB" + strings.ToUpper(randomHex(4)),
		UUID:   strings.Join([]string{id[:8], id[8:12], "4" + id[13:16], "8" + id[17:20], id[20:]}, "-"),
	}
	for range s.nics {
		m := randomHex(5)
		p.MACs = append(p.MACs, strings.Join([]string{"02", m[:2], m[2:4], m[4:6], m[6:8], m[8:]}, ":"))
	}
	for _, d := range s.disks {
		for range d.count {
			p.Disks = append(p.Disks, strings.ToUpper(randomHex(6)))
		}
	}
	return p
}

// drives are a server's disks, with the files that they are below dir.
func (s shape) drives(p parts, dir string) []core.Disk {
	var list []core.Disk
	for _, d := range s.disks {
		for range d.count {
			serial := p.Disks[len(list)]
			wwn := "eui." + strings.ToLower(serial) + "0000"
			if d.name != nil {
				wwn = d.name(serial)
			}
			list = append(list, core.Disk{
				Serial: serial, WWN: wwn, Model: d.model, Kind: d.kind, Size: d.size,
				Path: filepath.Join(dir, fmt.Sprintf("disk%d.img", len(list))),
			})
		}
	}
	return list
}

// facts is what the BMC tells.
func (s shape) facts(p parts, drives []core.Disk) bmc.Facts {
	f := bmc.Facts{Serial: p.Serial, UUID: p.UUID, SKU: "LAB-" + s.cpu.Model, BIOSVersion: "1.0.0", GPUs: s.gpus}
	for range s.count {
		f.Processors = append(f.Processors, s.cpu)
	}
	for range s.dimms {
		f.DIMMs = append(f.DIMMs, s.dimm)
	}
	for i, n := range s.nics {
		n.MAC = p.MACs[i]
		f.NICs = append(f.NICs, n)
	}
	for _, d := range drives {
		protocol := map[core.DiskKind]string{core.NVMe: "NVMe", core.SSD: "SATA", core.HDD: "SAS"}[d.Kind]
		f.Drives = append(f.Drives, bmc.Drive{Model: d.Model, Vendor: "Lab", Serial: d.Serial, WWN: d.WWN, Bytes: int64(d.Size), Protocol: protocol, Spinning: d.Kind == core.HDD})
	}
	return f
}

// hardware is what the agent finds: the same, with the address on its first port.
func (s shape) hardware(p parts, drives []core.Disk, address string) core.Hardware {
	hw := core.Hardware{Arch: "amd64", CPUs: s.cpus(), Memory: s.memory(), Disks: drives}
	for i, n := range s.nics {
		nic := core.NIC{MAC: p.MACs[i], Mbps: n.Mbps, LinkUp: !n.Down}
		if i == 0 {
			nic.Address = address
		}
		hw.NICs = append(hw.NICs, nic)
	}
	for _, g := range s.gpus {
		hw.GPUs = append(hw.GPUs, core.GPU{Model: g.Model})
	}
	return hw
}

func (s shape) cpus() int { return s.count * s.cpu.Threads }

func (s shape) memory() core.Bytes { return core.Bytes(s.dimms*s.dimm.MiB) * core.MiB }
