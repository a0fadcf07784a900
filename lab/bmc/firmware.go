package bmc

import (
	"slices"
	"strconv"
)

const (
	updateServicePath = "/redfish/v1/UpdateService"
	inventoryPath     = updateServicePath + "/FirmwareInventory"
)

// Software is one entry of a BMC's firmware inventory.
type Software struct {
	ID      string // "" numbers it
	Name    string
	Version string // "BIOS" and "BMC" stand for what the system and the manager say
	PartID  string // SoftwareId
}

// software are the entries with their IDs and versions.
func (b *BMC) software() []Software {
	list := slices.Clone(b.manners.Inventory)
	for i := range list {
		s := &list[i]
		s.ID = orElse(s.ID, strconv.Itoa(i+1))
		switch s.Version {
		case "BIOS":
			s.Version = b.facts().BIOSVersion
		case "BMC":
			s.Version = b.manners.Firmware
		}
	}
	return list
}

func (b *BMC) updateService(*request) (resource, bool) {
	return plain(func() doc {
		return doc{
			"@odata.id": updateServicePath, "@odata.type": "#UpdateService.v1_11_0.UpdateService",
			"Id": "UpdateService", "Name": "Update Service", "ServiceEnabled": true, "FirmwareInventory": link(inventoryPath),
		}
	}), true
}

func (b *BMC) inventory(*request) (resource, bool) {
	return plain(func() doc {
		var paths []string
		for _, s := range b.software() {
			paths = append(paths, inventoryPath+"/"+s.ID)
		}
		return collection(inventoryPath, "SoftwareInventory", "Firmware Inventory", paths...)
	}), true
}

func (b *BMC) inventoryEntry(r *request) (resource, bool) {
	for _, s := range b.software() {
		if s.ID == r.ids[0] {
			return plain(func() doc {
				return doc{
					"@odata.id": inventoryPath + "/" + s.ID, "@odata.type": "#SoftwareInventory.v1_4_0.SoftwareInventory",
					"Id": s.ID, "Name": s.Name, "Version": s.Version, "SoftwareId": s.PartID, "Updateable": true, "Status": healthy(),
				}
			}), true
		}
	}
	return resource{}, false
}
