package redfish

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

// Inspect walks the whole tree anew and reads the inventory. A part that the BMC
// cannot tell stays unknown; no contact, or a password that is refused on the way,
// fails it all.
func (b *conversation) Inspect(ctx context.Context) (core.Inspection, error) {
	var i core.Inspection
	err := b.verb(ctx, "inspect", func(t talk) error {
		s, others, err := t.explore()
		if err != nil {
			return err
		}
		i, err = t.inventory(s, others)
		return err
	})
	if err != nil {
		return core.Inspection{}, err
	}
	return i, nil
}

func (t talk) inventory(s system, others []string) (core.Inspection, error) {
	i := core.Inspection{
		Identity: core.Identity{UUID: strings.ToLower(string(s.UUID)), Serial: string(s.SerialNumber)},
		Hardware: core.Hardware{
			Manufacturer: string(s.Manufacturer),
			Model:        string(s.Model),
			BIOS:         string(s.BIOSVersion),
			Memory:       core.Bytes(float64(s.MemorySummary.TotalSystemMemoryGiB) * float64(core.GiB)),
		},
		Tag:   string(s.AssetTag),
		Power: powerState(s.PowerState),
	}
	if m := t.manners.SerialInSKU; m != nil && m.MatchString(string(s.SKU)) {
		i.Identity.Serial = string(s.SKU)
	}
	h := &i.Hardware

	processors, err := each[schemas.Processor](t, string(s.Processors))
	if err != nil {
		return core.Inspection{}, err
	}
	h.Arch, h.CPUs = architecture(processors), logicalCPUs(s, processors)

	if h.GPUs, err = t.gpus(s, processors, others); err != nil {
		return core.Inspection{}, err
	}
	if h.Disks, err = t.disks(string(s.Storage)); err != nil {
		return core.Inspection{}, err
	}
	ports, err := each[schemas.EthernetInterface](t, string(s.EthernetInterfaces))
	if err != nil {
		return core.Inspection{}, err
	}
	h.NICs = nics(ports)
	for _, n := range h.NICs {
		i.Identity.MACs = append(i.Identity.MACs, n.MAC)
	}
	slices.Sort(i.Identity.MACs)
	return i, nil
}

// each reads the members of a collection one after the other; the connection is one
// anyway.
func each[T any, PT schemas.GenericSchemaObjectPointer[T]](t talk, collection string) ([]*T, error) {
	if collection == "" {
		return nil, nil
	}
	links, err := t.members(collection)
	if err != nil {
		return nil, onlyFatal(err)
	}
	return read[T, PT](t, links)
}

func read[T any, PT schemas.GenericSchemaObjectPointer[T]](t talk, links []string) ([]*T, error) {
	var all []*T
	for _, link := range links {
		one := PT(new(T))
		if _, err := t.get(link, one); err != nil {
			if err := onlyFatal(err); err != nil {
				return nil, err
			}
			continue
		}
		one.SetClient(t.client)
		all = append(all, one)
	}
	return all, nil
}

// onlyFatal drops errors that concern one part of the inventory only: something
// that is listed and not there, or an answer that cannot be read.
func onlyFatal(err error) error {
	var page *notRedfishError
	switch status := statusOf(err); {
	case status == 401 || status == 403:
		return err
	case status != 0, errors.As(err, &page):
		return nil
	}
	return err
}

// architecture is Go's name of it.
func architecture(processors []*schemas.Processor) string {
	for _, p := range processors {
		switch {
		case !isCPU(p):
		case p.InstructionSet == schemas.X8664InstructionSet:
			return "amd64"
		case p.InstructionSet == schemas.ARMA64InstructionSet:
			return "arm64"
		case p.InstructionSet == "" && p.ProcessorArchitecture == schemas.X86ProcessorArchitecture:
			return "amd64" // no server is 32-bit any more
		case p.InstructionSet == "" && p.ProcessorArchitecture == schemas.ARMProcessorArchitecture:
			return "arm64"
		}
	}
	return ""
}

func isCPU(p *schemas.Processor) bool {
	return (p.ProcessorType == schemas.CPUProcessorType || p.ProcessorType == "") && p.Status.State != schemas.AbsentState
}

// logicalCPUs prefers the summary; where it counts cores only, these are fewer than
// there are, which is safe for a requirement of "at least".
func logicalCPUs(s system, processors []*schemas.Processor) int {
	if n := s.ProcessorSummary.LogicalProcessorCount; n > 0 {
		return int(n)
	}
	threads, cores := 0, 0
	for _, p := range processors {
		if isCPU(p) {
			threads += max(0, orZero(p.TotalThreads))
			cores += max(0, orZero(p.TotalCores))
		}
	}
	return max(threads, cores, int(s.ProcessorSummary.CoreCount))
}

func orZero(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// gpus are processors of that type, also on boards that show themselves as systems;
// where none are, PCIe devices that are called so.
func (t talk) gpus(s system, processors []*schemas.Processor, others []string) ([]core.GPU, error) {
	for _, link := range others {
		var board system
		if _, err := t.get(link, &board); err != nil {
			if err := onlyFatal(err); err != nil {
				return nil, err
			}
			continue
		}
		more, err := each[schemas.Processor](t, string(board.Processors))
		if err != nil {
			return nil, err
		}
		processors = append(processors, more...)
	}
	var gpus []core.GPU
	for _, p := range processors {
		if p.ProcessorType == schemas.GPUProcessorType && p.Status.State != schemas.AbsentState {
			gpus = append(gpus, core.GPU{Model: model(p.Manufacturer, p.Model)})
		}
	}
	if len(gpus) > 0 {
		return gpus, nil
	}
	links := s.PCIeDevices.List.ToStrings()
	if s.PCIeDevices.Collection != "" {
		var err error
		if links, err = t.members(string(s.PCIeDevices.Collection)); err != nil {
			return nil, onlyFatal(err)
		}
	}
	devices, err := read[schemas.PCIeDevice](t, links)
	for _, d := range devices {
		if gpuName.MatchString(d.Name + " " + d.Model) {
			gpus = append(gpus, core.GPU{Model: model(d.Manufacturer, firstOf(d.Model, d.Name))})
		}
	}
	return gpus, err
}

var gpuName = regexp.MustCompile(`(?i)\b(gpu|tesla|quadro|rtx|geforce|instinct|radeon|3d controller)\b`)

// model names the maker too, once.
func model(maker, model string) string {
	maker, model = strings.TrimSpace(maker), strings.TrimSpace(model)
	if maker == "" || strings.Contains(strings.ToLower(model), strings.ToLower(strings.Fields(maker)[0])) {
		return model
	}
	return strings.TrimSpace(maker + " " + model)
}

// disks are the drives behind all storage controllers, each once.
func (t talk) disks(collection string) ([]core.Disk, error) {
	controllers, err := each[schemas.Storage](t, collection)
	if err != nil {
		return nil, err
	}
	var links []string
	for _, c := range controllers {
		var d struct{ Drives schemas.Links }
		if json.Unmarshal(c.RawData, &d) == nil {
			links = append(links, d.Drives.ToStrings()...)
		}
	}
	slices.Sort(links)
	drives, err := read[schemas.Drive](t, slices.Compact(links))
	if err != nil {
		return nil, err
	}
	var disks []core.Disk
	for _, d := range drives {
		if d.Status.State != schemas.AbsentState && orZero(d.CapacityBytes) > 0 {
			disks = append(disks, disk(d))
		}
	}
	return disks, nil
}

func disk(d *schemas.Drive) core.Disk {
	out := core.Disk{
		Serial:    strings.TrimSpace(d.SerialNumber),
		Model:     strings.TrimSpace(d.Model),
		Size:      core.Bytes(orZero(d.CapacityBytes)),
		Removable: d.Protocol == schemas.USBProtocol,
	}
	switch {
	case d.Protocol == schemas.NVMeProtocol || d.Protocol == schemas.PCIeProtocol:
		out.Kind = core.NVMe
	case d.MediaType == schemas.SSDMediaType:
		out.Kind = core.SSD
	case d.MediaType == schemas.HDDMediaType:
		out.Kind = core.HDD
	}
	for _, id := range d.Identifiers {
		if id.DurableNameFormat == schemas.NAADurableNameFormat || id.DurableNameFormat == schemas.EUIDurableNameFormat {
			out.WWN = core.WWN(id.DurableName)
		}
	}
	return out
}

func nics(ports []*schemas.EthernetInterface) []core.NIC {
	var out []core.NIC
	for _, p := range ports {
		address, err := net.ParseMAC(firstOf(p.PermanentMACAddress, p.MACAddress))
		if err != nil || len(address) != 6 || strings.Trim(address.String(), "0:") == "" {
			continue
		}
		n := core.NIC{MAC: address.String(), Mbps: max(0, orZero(p.SpeedMbps)), LinkUp: p.LinkStatus == schemas.LinkUpLinkStatus}
		if !slices.ContainsFunc(out, func(o core.NIC) bool { return o.MAC == n.MAC }) {
			out = append(out, n)
		}
	}
	return out
}
