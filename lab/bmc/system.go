package bmc

import (
	"net/http"
	"slices"
)

const (
	rootPath     = "/redfish/v1/"
	systemsPath  = "/redfish/v1/Systems"
	chassisPath  = "/redfish/v1/Chassis"
	managersPath = "/redfish/v1/Managers"
)

func (b *BMC) systemPath() string     { return systemsPath + "/" + b.manners.SystemID }
func (b *BMC) ownChassisPath() string { return chassisPath + "/" + b.manners.ChassisID }
func (b *BMC) ownManagerPath() string { return managersPath + "/" + b.manners.ManagerID }
func healthy() doc                    { return doc{"State": "Enabled", "Health": "OK", "HealthRollup": "OK"} }
func plain(get func() doc) resource   { return resource{get: func(*request) doc { return get() }} }
func orElse(value, other string) string {
	if value == "" {
		return other
	}
	return value
}

func (b *BMC) facts() Facts {
	f := b.config.Machine.Facts()
	f.Manufacturer = orElse(f.Manufacturer, b.manners.Vendor)
	f.Model = orElse(f.Model, b.manners.Model)
	return f
}

var anonymousReads = []string{http.MethodGet, http.MethodHead}

func (b *BMC) versions(*request) (resource, bool) {
	res := plain(func() doc { return doc{"v1": rootPath} })
	res.open, res.reads = anonymousReads, Root
	return res, true
}

// root is the service root: the one document that tells who is there before
// anyone logs in.
func (b *BMC) root(*request) (resource, bool) {
	res := plain(func() doc {
		return doc{
			"@odata.id": rootPath, "@odata.type": "#ServiceRoot.v1_11_0.ServiceRoot",
			"Id": "RootService", "Name": "Root Service",
			"Vendor": b.manners.Vendor, "Product": b.manners.Product,
			"RedfishVersion": "1.13.0", "UUID": b.facts().UUID,
			"Systems": link(systemsPath), "Chassis": link(chassisPath), "Managers": link(managersPath),
			"SessionService": link(sessionServicePath), "Tasks": link(taskServicePath),
			"UpdateService": link(updateServicePath), "Registries": link(registriesPath),
			"Links": doc{"Sessions": link(sessionsPath)},
			"ProtocolFeaturesSupported": doc{
				"FilterQuery": false, "SelectQuery": false, "OnlyMemberQuery": false, "ExcerptQuery": false,
				"ExpandQuery": doc{"ExpandAll": false, "Levels": false, "Links": false, "NoLinks": false},
			},
		}
	})
	res.open, res.reads = anonymousReads, Root
	return res, true
}

func (b *BMC) odata(*request) (resource, bool) {
	res := plain(func() doc {
		var values []doc
		for _, name := range []string{"Systems", "Chassis", "Managers", "SessionService"} {
			values = append(values, doc{"name": name, "kind": "Singleton", "url": rootPath + name})
		}
		return doc{"@odata.context": rootPath + "$metadata", "value": values}
	})
	res.open, res.reads = anonymousReads, Root
	return res, true
}

func (b *BMC) metadata(*request) (resource, bool) {
	const document = `<?xml version="1.0" encoding="UTF-8"?>` +
		`<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">` +
		`<edmx:DataServices><Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="Service">` +
		`<EntityContainer Name="Service" Extends="ServiceRoot.v1_11_0.ServiceContainer"/>` +
		`</Schema></edmx:DataServices></edmx:Edmx>`
	return resource{raw: func(*request) answer {
		return answer{status: http.StatusOK, body: []byte(document)}.with("Content-Type", "application/xml")
	}, open: anonymousReads, reads: Root}, true
}

func (b *BMC) systems(*request) (resource, bool) {
	return plain(func() doc {
		var paths []string
		for _, id := range append(slices.Clone(b.manners.OtherSystems), b.manners.SystemID) {
			paths = append(paths, systemsPath+"/"+id)
		}
		return collection(systemsPath, "ComputerSystem", "Computer System Collection", paths...)
	}), true
}

func (b *BMC) system(r *request) (resource, bool) {
	if slices.Contains(b.manners.OtherSystems, r.ids[0]) {
		return b.otherSystem(r.ids[0]), true
	}
	if r.ids[0] != b.manners.SystemID {
		return resource{}, false
	}
	return resource{
		get: b.systemDoc, reads: PowerRead, patch: b.patchSystem,
		writes: func(r *request) Verb {
			if _, boot := r.object["Boot"]; boot {
				return bootVerb(r)
			}
			return AssetTag
		},
	}, true
}

// otherSystem looks like a server and is none: it cannot be started or booted.
func (b *BMC) otherSystem(id string) resource {
	return plain(func() doc {
		return doc{
			"@odata.id": systemsPath + "/" + id, "@odata.type": "#ComputerSystem.v1_17_0.ComputerSystem",
			"Id": id, "Name": id, "SystemType": "Physical", "Manufacturer": b.manners.Vendor,
			"Status": healthy(), "Links": doc{"ManagedBy": links(b.ownManagerPath())},
		}
	})
}

func (b *BMC) systemDoc(r *request) doc {
	path, f, state := b.systemPath(), b.facts(), b.powerDoc(r)
	var cores, threads, mib int
	for _, p := range f.Processors {
		cores, threads = cores+p.Cores, threads+p.Threads
	}
	for _, d := range f.DIMMs {
		mib += d.MiB
	}
	model := ""
	if len(f.Processors) > 0 {
		model = f.Processors[0].Model
	}
	d := doc{
		"@odata.id": path, "@odata.type": "#ComputerSystem.v1_16_0.ComputerSystem",
		"Id": b.manners.SystemID, "Name": "System", "SystemType": "Physical",
		"Manufacturer": f.Manufacturer, "Model": f.Model, "SKU": f.SKU,
		"SerialNumber": f.Serial, "UUID": f.UUID, "BiosVersion": f.BIOSVersion,
		"AssetTag": b.State().AssetTag, "HostName": "", "IndicatorLED": "Off",
		"PowerState": state, "Status": healthy(), "Boot": b.bootDoc(),
		"ProcessorSummary": doc{
			"Count": len(f.Processors), "CoreCount": cores, "LogicalProcessorCount": threads,
			"Model": model, "Status": healthy(),
		},
		"MemorySummary": doc{"TotalSystemMemoryGiB": float64(mib) / 1024, "Status": healthy()},
		"Processors":    link(path + "/Processors"), "Memory": link(path + "/Memory"),
		"EthernetInterfaces": link(path + "/EthernetInterfaces"), "Storage": link(path + "/Storage"),
		"Links": doc{"Chassis": links(b.ownChassisPath()), "ManagedBy": links(b.ownManagerPath())},
		"Actions": doc{"#ComputerSystem.Reset": doc{
			"target":                            path + "/Actions/ComputerSystem.Reset",
			"ResetType@Redfish.AllowableValues": b.manners.ResetTypes,
		}},
	}
	if b.manners.SlotsUnder != UnderManagers {
		d["VirtualMedia"] = link(path + "/VirtualMedia")
	}
	if at := orElse(b.manners.OrderAt, b.manners.BootAt); at != "" {
		d["@Redfish.Settings"] = doc{
			"@odata.type": "#Settings.v1_3_5.Settings", "SettingsObject": link(path + "/" + at),
			"SupportedApplyTimes": []string{"OnReset"},
		}
	}
	if b.manners.BIOS != nil {
		d["Bios"] = link(b.biosPath())
	}
	if b.manners.SecureBoot != nil {
		d["SecureBoot"] = link(path + "/SecureBoot")
	}
	b.tellConsole(d)
	if b.manners.ShowsBootProgress {
		d["BootProgress"] = doc{"LastState": b.bootProgress(state)}
	}
	return d
}

// patchSystem changes the asset tag, the boot settings, or both.
func (b *BMC) patchSystem(r *request) answer {
	params := []param{{name: "AssetTag", kind: textOrNull}, {name: "Boot", kind: object}}
	m := check(r.object, params, "", func(p string) Message {
		if _, there := b.systemDoc(r)[p]; there {
			return propertyReadOnly(p)
		}
		return propertyUnknown(p)
	}, propertyMissing)
	tag, tagged := r.object["AssetTag"]
	change, boot := r.object["Boot"].(map[string]any)
	switch {
	case m != nil:
		return b.fail(*m)
	case len(r.object) == 0:
		return b.fail(malformed())
	case tagged && b.manners.AssetTagReadOnly:
		return b.fail(propertyReadOnly("AssetTag"))
	case boot && b.manners.BootAt != "":
		return b.refuse(BootElsewhere)
	}
	if boot {
		if m := b.setBoot(r, change); m != nil {
			return b.fail(*m)
		}
	}
	if tagged {
		b.update(func(s *State) { s.AssetTag, _ = tag.(string) })
	}
	return b.done()
}
