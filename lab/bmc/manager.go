package bmc

func (b *BMC) chassisCollection(*request) (resource, bool) {
	return plain(func() doc {
		return collection(chassisPath, "Chassis", "Chassis Collection", b.ownChassisPath())
	}), true
}

func (b *BMC) chassis(r *request) (resource, bool) {
	return resource{get: func(r *request) doc {
		f := b.facts()
		return doc{
			"@odata.id": b.ownChassisPath(), "@odata.type": "#Chassis.v1_18_0.Chassis",
			"Id": b.manners.ChassisID, "Name": "Chassis", "ChassisType": "RackMount",
			"Manufacturer": f.Manufacturer, "Model": f.Model, "SerialNumber": f.Serial,
			"AssetTag": b.State().AssetTag, "PowerState": b.powerDoc(r), "IndicatorLED": "Off", "Status": healthy(),
			"Links": doc{"ComputerSystems": links(b.systemPath()), "ManagedBy": links(b.ownManagerPath())},
		}
	}}, r.ids[0] == b.manners.ChassisID
}

func (b *BMC) managers(*request) (resource, bool) {
	return plain(func() doc {
		return collection(managersPath, "Manager", "Manager Collection", b.ownManagerPath())
	}), true
}

func (b *BMC) manager(r *request) (resource, bool) {
	return plain(func() doc {
		path := b.ownManagerPath()
		d := doc{
			"@odata.id": path, "@odata.type": "#Manager.v1_13_0.Manager",
			"Id": b.manners.ManagerID, "Name": "Manager", "ManagerType": "BMC",
			"Model": b.manners.Product, "FirmwareVersion": b.manners.Firmware, "UUID": b.facts().UUID,
			"PowerState": "On", "Status": healthy(),
			"Links": doc{"ManagerForServers": links(b.systemPath()), "ManagerForChassis": links(b.ownChassisPath())},
			"Actions": doc{"#Manager.Reset": doc{
				"target":                            path + "/Actions/Manager.Reset",
				"ResetType@Redfish.AllowableValues": managerResets,
			}},
		}
		if b.manners.SlotsUnder != UnderSystems {
			d["VirtualMedia"] = link(path + "/VirtualMedia")
		}
		b.tellShells(d)
		return d
	}), r.ids[0] == b.manners.ManagerID
}
