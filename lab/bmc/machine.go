package bmc

// PowerState is the power of a machine, spelled as Redfish spells it.
type PowerState string

const (
	On          PowerState = "On"
	Off         PowerState = "Off"
	PoweringOn  PowerState = "PoweringOn"
	PoweringOff PowerState = "PoweringOff"
)

// Machine is the server that a BMC controls. Its methods are called from many
// goroutines and return at once: a power call is a request, and Power tells
// later what became of it. Power calls come one at a time; BMC.NextBoot may be
// called from within them.
type Machine interface {
	Power() PowerState

	// PowerOn starts a machine that is Off. Its firmware then asks
	// BMC.NextBoot what to boot.
	PowerOn()

	// PowerOff turns the machine off; graceful asks its system to shut down,
	// which it may refuse or never finish. A forced call may follow a graceful
	// one that is still under way.
	PowerOff(graceful bool)

	// Restart boots a running machine again, through BMC.NextBoot; graceful
	// asks its system to restart first.
	Restart(graceful bool)

	// Facts describes the hardware. It may change while the machine is off.
	Facts() Facts
}

// Facts is what a BMC can tell of a machine's hardware. An empty Manufacturer
// or Model is filled in from the manners of the BMC.
type Facts struct {
	Manufacturer string      `json:"manufacturer,omitempty"`
	Model        string      `json:"model,omitempty"`
	SKU          string      `json:"sku,omitempty"`
	Serial       string      `json:"serial,omitempty"`
	UUID         string      `json:"uuid,omitempty"`
	BIOSVersion  string      `json:"bios_version,omitempty"`
	Processors   []Processor `json:"processors,omitempty"`
	DIMMs        []DIMM      `json:"dimms,omitempty"`
	Drives       []Drive     `json:"drives,omitempty"`
	NICs         []NIC       `json:"nics,omitempty"`
	GPUs         []GPU       `json:"gpus,omitempty"`
}

// Processor is one socket.
type Processor struct {
	Vendor  string `json:"vendor,omitempty"`
	Model   string `json:"model"`
	ARM     bool   `json:"arm,omitempty"` // arm64; else amd64
	Cores   int    `json:"cores"`
	Threads int    `json:"threads"`
	MHz     int    `json:"mhz,omitempty"`
}

// DIMM is one memory module.
type DIMM struct {
	MiB  int    `json:"mib"`
	Type string `json:"type,omitempty"` // DDR4, DDR5; default DDR5
}

// Drive is one disk.
type Drive struct {
	Model    string `json:"model"`
	Vendor   string `json:"vendor,omitempty"`
	Serial   string `json:"serial"`
	WWN      string `json:"wwn,omitempty"`
	Bytes    int64  `json:"bytes"`
	Protocol string `json:"protocol,omitempty"` // NVMe, SATA, SAS; default SATA
	Spinning bool   `json:"spinning,omitempty"`
}

// NIC is one network port of the host.
type NIC struct {
	MAC  string `json:"mac"`
	Mbps int    `json:"mbps"`
	Down bool   `json:"down,omitempty"` // no link
}

// GPU is one accelerator.
type GPU struct {
	Vendor string `json:"vendor"`
	Model  string `json:"model"`
}
