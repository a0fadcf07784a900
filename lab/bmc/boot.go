package bmc

import (
	"net/http"
	"slices"
)

// Source is a device that a machine boots from.
type Source string

const (
	FromDisk  Source = "disk"
	FromMedia Source = "media"
	FromPXE   Source = "pxe"
	FromHTTP  Source = "http"
	// FromNothing is the firmware's own menu: the machine stays in it.
	FromNothing Source = "setup"
)

// Boot is what a machine's firmware boots.
type Boot struct {
	Source Source
	Slot   string // of FromMedia: the virtual media slot
	Media  *Media // of FromMedia: its content; read it until it is ejected
	URL    string // of FromHTTP: the boot URI, empty where DHCP gives it
	Legacy bool   // BIOS mode instead of UEFI
}

// Override is the boot source override of a BMC, as Redfish has it.
type Override struct {
	Enabled     string `json:"enabled"` // Disabled, Once, Continuous
	Target      string `json:"target"`
	Mode        string `json:"mode"` // UEFI, Legacy
	HTTPBootURI string `json:"http_boot_uri,omitempty"`
}

var noOverride = Override{Enabled: "Disabled", Target: "None", Mode: "UEFI"}

type bootDevice struct{ ref, name, target string }

// bootDevices are the boot options, in the order of the factory.
var bootDevices = []bootDevice{
	{"Boot0001", "Hard Drive", "Hdd"},
	{"Boot0002", "Virtual CD", "Cd"},
	{"Boot0003", "Network", "Pxe"},
}

// NextBoot tells a starting machine what it boots from, and uses up a one-time
// override. The machine calls it once for each start, when its firmware looks
// for something to boot. Media that a BMC should have but cannot read is passed
// over, as are slots that the firmware does not look at.
func (b *BMC) NextBoot() Boot {
	var o Override
	var targets []string
	var inMenu bool
	b.update(func(s *State) {
		s.start(b.manners)
		o = s.Boot
		if o.Enabled != "Disabled" {
			targets = append(targets, o.Target)
		}
		if o.Enabled == "Once" {
			s.Boot = Override{Enabled: "Disabled", Target: "None", Mode: o.Mode}
		}
		for _, ref := range b.bootOrder(*s) {
			i := slices.IndexFunc(bootDevices, func(d bootDevice) bool { return d.ref == ref })
			target := bootDevices[i].target
			if target == "Cd" && b.manners.MediaTarget != "" {
				target = b.manners.MediaTarget // the virtual one
			}
			targets = append(targets, target)
		}
		limit := b.manners.NVRAMChangesTaken
		inMenu = limit > 0 && s.NVRAMChanges > limit
		s.NVRAMChanges = 0
	})
	legacy := o.Mode == "Legacy"
	if inMenu {
		return Boot{Source: FromNothing, Legacy: legacy}
	}
	for _, target := range targets {
		switch target {
		case "Cd", "UsbCd", "Usb":
			if b.manners.MediaTarget != "" && target != b.manners.MediaTarget {
				continue // the physical drive, which is empty
			}
			if s, m := b.bootable(target); m != nil {
				return Boot{Source: FromMedia, Slot: s, Media: m, Legacy: legacy}
			}
		case "Pxe":
			return Boot{Source: FromPXE, Legacy: legacy}
		case "UefiHttp":
			return Boot{Source: FromHTTP, URL: o.HTTPBootURI, Legacy: legacy}
		case "BiosSetup":
			return Boot{Source: FromNothing, Legacy: legacy}
		case "Hdd":
			return Boot{Source: FromDisk, Legacy: legacy}
		}
	}
	return Boot{Source: FromNothing, Legacy: legacy}
}

func (b *BMC) bootOrder(s State) []string {
	if len(s.BootOrder) > 0 {
		return s.BootOrder
	}
	order := make([]string, len(bootDevices))
	for i, d := range bootDevices {
		order[i] = d.ref
	}
	return order
}

// bootDoc is the Boot property.
func (b *BMC) bootDoc() doc {
	s := b.State()
	d := doc{
		"BootSourceOverrideEnabled":                         s.Boot.Enabled,
		"BootSourceOverrideEnabled@Redfish.AllowableValues": overrideEnabled,
		"BootSourceOverrideTarget":                          s.Boot.Target,
		"BootSourceOverrideTarget@Redfish.AllowableValues":  b.manners.BootTargets,
		"BootSourceOverrideMode":                            s.Boot.Mode,
		"BootSourceOverrideMode@Redfish.AllowableValues":    overrideModes,
		"BootOrder":   b.bootOrder(s),
		"BootOptions": link(b.systemPath() + "/BootOptions"),
	}
	if b.manners.HTTPBootURI {
		d["HttpBootUri"] = s.Boot.HTTPBootURI
	}
	return d
}

var (
	overrideEnabled = []string{"Disabled", "Once", "Continuous"}
	overrideModes   = []string{"UEFI", "Legacy"}
)

// bootParams are the members of Boot that can be changed.
func (m *Manners) bootParams() []param {
	params := []param{
		{name: "BootSourceOverrideEnabled", values: overrideEnabled, needed: m.BootEnabledRequired || m.BootWholeWithETag},
		{name: "BootSourceOverrideTarget", values: m.BootTargets, needed: m.BootWholeWithETag},
	}
	if m.BootMinimal {
		return params
	}
	params = append(params,
		param{name: "BootSourceOverrideMode", values: overrideModes, needed: m.BootWholeWithETag},
		param{name: "BootOrder", kind: texts})
	if m.HTTPBootURI {
		params = append(params, param{name: "HttpBootUri", kind: textOrNull})
	}
	return params
}

// setBoot changes the boot settings as a PATCH asks, or says why not.
func (b *BMC) setBoot(r *request, change map[string]any) *Message {
	if b.manners.BootRefusedInPOST && b.inPOST() {
		m := b.manners.message(DuringPOST)
		return &m
	}
	params := b.manners.bootParams()
	order, ordered := change["BootOrder"]
	if ordered && len(change) == 1 {
		// The order is a setting of its own, next to the override.
		params = []param{{name: "BootOrder", kind: texts}}
	}
	unknown := propertyUnknown
	if b.manners.BootMinimal {
		unknown = propertyReadOnly
	}
	if m := check(change, params, "Boot.", unknown, propertyMissing); m != nil {
		return m
	}
	if m := checkOrder(order); ordered && m != nil {
		return m
	}
	if ordered && b.manners.OrderWaits && b.State().Setup.openTask(taskBIOS) {
		m := b.manners.message(SettingsCommitted)
		return &m
	}
	b.update(func(s *State) {
		if order, ok := change["BootOrder"].([]any); ok {
			s.reorder(order, b.manners.OrderWaits, r.fault != nil && r.fault.Kind == Drop)
		}
		s.Boot = merge(s.Boot, change, b.manners.BootModeForgotten)
	})
	return nil
}

// reorder changes the boot order, now or at the next start; a fault drops the change.
func (s *State) reorder(order []any, waits, dropped bool) {
	var list []string
	for _, ref := range order {
		list = append(list, ref.(string))
	}
	s.NVRAMChanges++
	switch {
	case waits && dropped:
		s.Setup.Order, s.Setup.Dropped = list, append(s.Setup.Dropped, droppedOrder)
	case waits:
		s.Setup.Order = list
	case !dropped:
		s.BootOrder = list
	}
}

// bootVerb tells a change of the boot order from one of the override.
func bootVerb(r *request) Verb {
	change, _ := r.object["Boot"].(map[string]any)
	if _, order := change["BootOrder"]; order && len(change) == 1 {
		return SetOrder
	}
	return SetBoot
}

// merge is an override after a change of it.
func merge(o Override, change map[string]any, forgetsMode bool) Override {
	if v := stringOf(change, "BootSourceOverrideTarget"); v != "" {
		o.Target = v
		if o.Enabled == "Disabled" && v != "None" {
			o.Enabled = "Once"
		}
	}
	if v := stringOf(change, "BootSourceOverrideEnabled"); v != "" {
		o.Enabled = v
	}
	if o.Enabled == "Disabled" || o.Target == "None" {
		o.Enabled, o.Target = "Disabled", "None"
	}
	if uri, ok := change["HttpBootUri"]; ok {
		o.HTTPBootURI, _ = uri.(string)
	}
	if v := stringOf(change, "BootSourceOverrideMode"); v != "" {
		o.Mode = v
	} else if _, onlyOrder := change["BootOrder"]; forgetsMode && !onlyOrder {
		o.Mode = "Legacy"
	}
	return o
}

// checkOrder wants each boot option once.
func checkOrder(order any) *Message {
	list, _ := order.([]any)
	seen := map[any]bool{}
	for _, ref := range list {
		known := slices.ContainsFunc(bootDevices, func(d bootDevice) bool { return d.ref == ref })
		if !known || seen[ref] {
			m := propertyNotInList("Boot.BootOrder", "an unknown or repeated boot option")
			return &m
		}
		seen[ref] = true
	}
	if len(list) == 0 {
		m := propertyType("Boot.BootOrder", "an empty list")
		return &m
	}
	return nil
}

func (b *BMC) bootOptions(r *request) (resource, bool) {
	path := b.systemPath() + "/BootOptions"
	return resource{get: func(*request) doc {
		var paths []string
		for _, d := range bootDevices {
			paths = append(paths, path+"/"+d.ref)
		}
		return collection(path, "BootOption", "Boot Options", paths...)
	}}, r.ids[0] == b.manners.SystemID
}

func (b *BMC) bootOption(r *request) (resource, bool) {
	for _, d := range bootDevices {
		if r.ids[0] == b.manners.SystemID && r.ids[1] == d.ref {
			return resource{get: func(*request) doc {
				return doc{
					"@odata.id": b.systemPath() + "/BootOptions/" + d.ref, "@odata.type": "#BootOption.v1_0_4.BootOption",
					"Id": d.ref, "Name": d.name, "BootOptionReference": d.ref, "DisplayName": d.name,
					"BootOptionEnabled": true, "Alias": d.target,
				}
			}}, true
		}
	}
	return resource{}, false
}

// bootSettings is the resource besides the system where some vendors take
// boot settings.
func (b *BMC) bootSettings(r *request) (resource, bool) {
	at := b.manners.BootAt
	if at == "" || r.ids[0] != b.manners.SystemID || r.ids[1] != at {
		return resource{}, false
	}
	path := b.systemPath() + "/" + at
	return resource{
		get: func(*request) doc {
			return doc{
				"@odata.id": path, "@odata.type": "#ComputerSystem.v1_16_0.ComputerSystem",
				"Id": at, "Name": "System Settings", "Boot": b.nextBootDoc(),
			}
		},
		patch: b.patchSettings, writes: bootVerb, etagRequired: b.manners.BootWholeWithETag,
	}, true
}

func (b *BMC) patchSettings(r *request) answer {
	m := check(r.object, []param{{name: "Boot", kind: object, needed: true}}, "", propertyUnknown, propertyMissing)
	if m == nil {
		m = b.setBoot(r, r.object["Boot"].(map[string]any))
	}
	if m != nil {
		return b.fail(*m)
	}
	if !b.manners.BootJob {
		return b.done()
	}
	t := Task{Kind: taskBoot, State: taskCompleted, Method: r.Method, Target: r.URL.Path, Hidden: 1}
	if bootVerb(r) == SetOrder && b.manners.OrderWaits {
		t = b.biosTask(r)
	}
	var location string
	b.update(func(s *State) { location = s.Setup.add(t) })
	return answer{status: http.StatusAccepted}.with("Location", location)
}

// nextBootDoc is the Boot property with what waits for the next start.
func (b *BMC) nextBootDoc() doc {
	d := b.bootDoc()
	if order := b.State().Setup.Order; len(order) > 0 {
		d["BootOrder"] = order
	}
	return d
}

// orderSettings is the resource besides the system where some vendors take the boot
// order, and nothing else.
func (b *BMC) orderSettings(r *request) (resource, bool) {
	at := b.manners.OrderAt
	if at == "" || r.ids[0] != b.manners.SystemID || r.ids[1] != at {
		return resource{}, false
	}
	path := b.systemPath() + "/" + at
	return resource{
		get: func(*request) doc {
			return doc{
				"@odata.id": path, "@odata.type": "#ComputerSystem.v1_17_0.ComputerSystem", "Id": at, "Name": at,
				"Boot": doc{"BootOrder": b.nextBootDoc()["BootOrder"]},
			}
		},
		patch: func(r *request) answer {
			change, _ := r.object["Boot"].(map[string]any)
			if m := check(change, []param{{name: "BootOrder", kind: texts, needed: true}}, "Boot.", propertyUnknown, propertyMissing); m != nil {
				return b.fail(*m)
			}
			if m := b.setBoot(r, change); m != nil {
				return b.fail(*m)
			}
			return b.resetRequired()
		},
		writes: bootVerb,
	}, true
}
