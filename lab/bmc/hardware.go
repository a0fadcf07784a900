package bmc

import (
	"fmt"
	"strconv"
)

// parts makes a collection of the system and its members from a list of facts.
// Members are numbered from first.
type parts struct {
	name  string // of the collection: "Memory"
	kind  string // of a member: "Memory"
	typ   string // of a member, with version
	first string // prefix of the member IDs
	list  func(Facts) []doc
}

var (
	processorParts = parts{"Processors", "Processor", "#Processor.v1_13_0.Processor", "CPU", processorDocs}
	dimmParts      = parts{"Memory", "Memory", "#Memory.v1_13_0.Memory", "DIMM", dimmDocs}
	nicParts       = parts{"EthernetInterfaces", "EthernetInterface", "#EthernetInterface.v1_8_0.EthernetInterface", "NIC", nicDocs}
)

func (b *BMC) partsOf(r *request, p parts) (resource, bool) {
	path := b.systemPath() + "/" + p.name
	return plain(func() doc {
		var paths []string
		for i := range p.list(b.facts()) {
			paths = append(paths, path+"/"+p.first+strconv.Itoa(i+1))
		}
		return collection(path, p.kind, p.kind+" Collection", paths...)
	}), r.ids[0] == b.manners.SystemID
}

func (b *BMC) partOf(r *request, p parts) (resource, bool) {
	if r.ids[0] != b.manners.SystemID {
		return resource{}, false
	}
	for i, d := range p.list(b.facts()) {
		id := p.first + strconv.Itoa(i+1)
		if id != r.ids[1] {
			continue
		}
		d["@odata.id"], d["@odata.type"] = b.systemPath()+"/"+p.name+"/"+id, p.typ
		d["Id"], d["Name"], d["Status"] = id, id, healthy()
		return plain(func() doc { return d }), true
	}
	return resource{}, false
}

func (b *BMC) processors(r *request) (resource, bool) { return b.partsOf(r, processorParts) }
func (b *BMC) processor(r *request) (resource, bool)  { return b.partOf(r, processorParts) }
func (b *BMC) dimms(r *request) (resource, bool)      { return b.partsOf(r, dimmParts) }
func (b *BMC) dimm(r *request) (resource, bool)       { return b.partOf(r, dimmParts) }
func (b *BMC) nics(r *request) (resource, bool)       { return b.partsOf(r, nicParts) }
func (b *BMC) nic(r *request) (resource, bool)        { return b.partOf(r, nicParts) }

// processorDocs lists the sockets, then the accelerators, as Redfish does.
func processorDocs(f Facts) []doc {
	var docs []doc
	for _, p := range f.Processors {
		architecture, instructions := "x86", "x86-64"
		if p.ARM {
			architecture, instructions = "ARM", "ARM-A64"
		}
		docs = append(docs, doc{
			"ProcessorType": "CPU", "ProcessorArchitecture": architecture, "InstructionSet": instructions,
			"Manufacturer": p.Vendor, "Model": p.Model, "MaxSpeedMHz": p.MHz,
			"TotalCores": p.Cores, "TotalThreads": p.Threads, "Socket": "CPU " + strconv.Itoa(len(docs)+1),
		})
	}
	for _, g := range f.GPUs {
		docs = append(docs, doc{"ProcessorType": "GPU", "Manufacturer": g.Vendor, "Model": g.Model})
	}
	return docs
}

func dimmDocs(f Facts) []doc {
	var docs []doc
	for _, d := range f.DIMMs {
		docs = append(docs, doc{
			"MemoryType": "DRAM", "MemoryDeviceType": orElse(d.Type, "DDR5"), "CapacityMiB": d.MiB,
		})
	}
	return docs
}

func nicDocs(f Facts) []doc {
	var docs []doc
	for _, n := range f.NICs {
		state := "LinkUp"
		if n.Down {
			state = "LinkDown"
		}
		docs = append(docs, doc{
			"MACAddress": n.MAC, "PermanentMACAddress": n.MAC, "SpeedMbps": n.Mbps, "LinkStatus": state,
			"InterfaceEnabled": true,
		})
	}
	return docs
}

// All drives are behind one storage subsystem.
const storageID = "1"

func (b *BMC) storagePath() string { return b.systemPath() + "/Storage/" + storageID }

func drivePath(storage string, i int) string { return fmt.Sprintf("%s/Drives/%d", storage, i) }

func (b *BMC) storages(r *request) (resource, bool) {
	return plain(func() doc {
		return collection(b.systemPath()+"/Storage", "Storage", "Storage Collection", b.storagePath())
	}), r.ids[0] == b.manners.SystemID
}

func (b *BMC) storage(r *request) (resource, bool) {
	return plain(func() doc {
		var paths []string
		for i := range b.facts().Drives {
			paths = append(paths, drivePath(b.storagePath(), i))
		}
		controller := doc{
			"@odata.id": b.storagePath() + "#/StorageControllers/0", "MemberId": "0", "Name": "Controller",
			"Status": healthy(), "SupportedDeviceProtocols": []string{"SATA", "SAS", "NVMe"},
		}
		d := doc{
			"@odata.id": b.storagePath(), "@odata.type": "#Storage.v1_11_0.Storage",
			"Id": storageID, "Name": "Storage", "Status": healthy(),
			"Drives": links(paths...), "Drives@odata.count": len(paths), "StorageControllers": []doc{controller},
		}
		if b.manners.RAID != nil {
			d["Volumes"], controller["SupportedRAIDTypes"] = link(b.volumesPath()), raidNames
		}
		return d
	}), r.ids[0] == b.manners.SystemID && r.ids[1] == storageID
}

func (b *BMC) drive(r *request) (resource, bool) {
	drives := b.facts().Drives
	i, err := strconv.Atoi(r.ids[2])
	if r.ids[0] != b.manners.SystemID || r.ids[1] != storageID ||
		err != nil || i < 0 || i >= len(drives) || strconv.Itoa(i) != r.ids[2] {
		return resource{}, false
	}
	return plain(func() doc { return driveDoc(drivePath(b.storagePath(), i), r.ids[2], drives[i]) }), true
}

func driveDoc(path, id string, d Drive) doc {
	protocol := orElse(d.Protocol, "SATA")
	media, rpm := "SSD", any(nil)
	if d.Spinning {
		media, rpm = "HDD", 7200
	}
	identifiers := []doc{}
	if d.WWN != "" {
		format := "NAA"
		if protocol == "NVMe" {
			format = "EUI"
		}
		identifiers = append(identifiers, doc{"DurableName": d.WWN, "DurableNameFormat": format})
	}
	return doc{
		"@odata.id": path, "@odata.type": "#Drive.v1_14_0.Drive", "Id": id, "Name": "Drive " + id,
		"Model": d.Model, "Manufacturer": d.Vendor, "SerialNumber": d.Serial, "CapacityBytes": d.Bytes,
		"MediaType": media, "Protocol": protocol, "BlockSizeBytes": 512, "RotationSpeedRPM": rpm,
		"Identifiers": identifiers, "Status": healthy(),
	}
}
