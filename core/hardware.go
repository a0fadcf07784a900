package core

import (
	"fmt"
	"strings"
)

// Hardware is what a server is made of, as its BMC or the agent tells.
// Zero means unknown, and an unknown fact never satisfies a requirement.
type Hardware struct {
	Manufacturer string `json:"manufacturer,omitempty"`
	Model        string `json:"model,omitempty"`
	Arch         string `json:"arch,omitempty"` // Go's names: amd64, arm64
	CPUs         int    `json:"cpus,omitempty"` // logical processors
	Memory       Bytes  `json:"memory,omitempty"`
	Disks        []Disk `json:"disks,omitempty"`
	NICs         []NIC  `json:"nics,omitempty"`
	GPUs         []GPU  `json:"gpus,omitempty"`
	BIOS         string `json:"bios,omitempty"` // firmware version, compared with the enrolled one
}

// fullModel is the manufacturer with its name of the server.
func (h Hardware) fullModel() string { return strings.TrimSpace(h.Manufacturer + " " + h.Model) }

// Worth orders servers, as text, by what it costs to have one taken: GPUs first, then
// memory, processors and disks. It is in coarse units, so that servers bought as one
// are one.
func (h Hardware) Worth() string {
	var disks Bytes
	for _, d := range h.Disks {
		if !d.Removable {
			disks += d.Size
		}
	}
	return fmt.Sprintf("%03d %06d %05d %06d", len(h.GPUs), h.Memory/GiB, h.CPUs, disks/100e9)
}

// DiskKind is how a disk stores; NVMe disks are also SSDs for matching.
type DiskKind string

const (
	HDD  DiskKind = "hdd"
	SSD  DiskKind = "ssd"
	NVMe DiskKind = "nvme"
)

// Disk is one drive. Serial (or WWN) identifies it across boots; Path does not.
type Disk struct {
	Serial    string   `json:"serial,omitempty"`
	WWN       string   `json:"wwn,omitempty"`
	Model     string   `json:"model,omitempty"`
	Kind      DiskKind `json:"kind,omitempty"`
	Size      Bytes    `json:"size,omitempty"`
	Removable bool     `json:"removable,omitempty"`
	Path      string   `json:"path,omitempty"` // only where the agent saw it, e.g. /dev/nvme0n1
}

// NIC is one network port.
type NIC struct {
	MAC     string `json:"mac"`               // lower case, colons
	Mbps    int    `json:"mbps,omitempty"`    // link or maximum speed
	Address string `json:"address,omitempty"` // an IP the agent saw on it
	LinkUp  bool   `json:"link_up,omitempty"`
}

// GPU is one accelerator.
type GPU struct {
	Model string `json:"model"`
}

// Identity is how a server is told from every other one.
type Identity struct {
	UUID   string   `json:"uuid,omitempty"`   // SMBIOS system UUID
	Serial string   `json:"serial,omitempty"` // chassis serial
	MACs   []string `json:"macs,omitempty"`   // lower case, sorted
}
