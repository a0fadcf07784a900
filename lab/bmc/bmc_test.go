package bmc

import (
	"slices"
	"strings"
	"testing"

	"github.com/stmcginnis/gofish/schemas"
)

func TestGofishReadsTheHardware(t *testing.T) {
	for _, m := range All() {
		t.Run(m.Name, func(t *testing.T) {
			r := newRig(t, m)
			c := r.gofish()
			s := r.system(c)
			if s.SerialNumber != "SN0042" || s.UUID != testFacts.UUID || s.BiosVersion != "1.2.3" || s.Manufacturer != m.Vendor || s.Model != m.Model {
				t.Errorf("system: serial %q UUID %q BIOS %q manufacturer %q model %q", s.SerialNumber, s.UUID, s.BiosVersion, s.Manufacturer, s.Model)
			}
			if got := *s.ProcessorSummary.LogicalProcessorCount; got != 128 {
				t.Errorf("%d threads instead of 128", got)
			}
			if got := *s.MemorySummary.TotalSystemMemoryGiB; got != 128 {
				t.Errorf("%v GiB instead of 128", got)
			}
			processors, err := s.Processors()
			if err != nil || len(processors) != 3 || processors[0].ProcessorArchitecture != "x86" || processors[2].ProcessorType != "GPU" || processors[2].Model != "H100" {
				t.Errorf("processors: %v, error %v", processors, err)
			}
			memory, err := s.Memory()
			if err != nil || len(memory) != 2 || *memory[1].CapacityMiB != 65536 {
				t.Errorf("memory: %v, error %v", memory, err)
			}
			nics, err := s.EthernetInterfaces()
			if err != nil || len(nics) != 2 || nics[0].MACAddress != "52:54:00:00:00:01" || *nics[0].SpeedMbps != 25000 || nics[1].LinkStatus != "LinkDown" {
				t.Errorf("NICs: %v, error %v", nics, err)
			}
			storage, err := s.Storage()
			if err != nil || len(storage) != 1 {
				t.Fatalf("storage: %v, error %v", storage, err)
			}
			drives, err := storage[0].Drives()
			if err != nil || len(drives) != 2 {
				t.Fatalf("drives: %v, error %v", drives, err)
			}
			if d := drives[0]; *d.CapacityBytes != 960197124096 || d.Protocol != "NVMe" || d.MediaType != "SSD" || d.SerialNumber != "S1" || d.Identifiers[0].DurableName != "eui.0025388b71b0a1f2" {
				t.Errorf("first drive: %+v", d)
			}
			if drives[1].MediaType != "HDD" {
				t.Errorf("second drive is a %s", drives[1].MediaType)
			}
			managers, err := s.ManagedBy()
			if err != nil || len(managers) != 1 || managers[0].FirmwareVersion != m.Firmware {
				t.Errorf("managers: %v, error %v", managers, err)
			}
			chassis, err := s.Chassis()
			if err != nil || len(chassis) != 1 || chassis[0].SerialNumber != "SN0042" {
				t.Errorf("chassis: %v, error %v", chassis, err)
			}
			if c.Service.Vendor != m.Vendor || c.Service.Product != m.Product {
				t.Errorf("service root: vendor %q product %q", c.Service.Vendor, c.Service.Product)
			}
		})
	}
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	for _, m := range All() {
		t.Run(m.Name, func(t *testing.T) {
			r := newRig(t, m)
			seen := map[string]bool{}
			queue := []string{"/redfish/v1/"}
			for len(queue) > 0 {
				path := queue[0]
				queue = queue[1:]
				if path, _, _ := strings.Cut(path, "#"); seen[path] {
					continue
				}
				seen[path] = true
				if strings.Contains(path, "#") {
					continue
				}
				d := r.ok("GET", path, "").json()
				if id := d["@odata.id"]; id != path {
					t.Errorf("GET %s says it is %v", path, id)
				}
				if typ, _ := d["@odata.type"].(string); !strings.HasPrefix(typ, "#") || d["Name"] == nil {
					t.Errorf("GET %s has type %q and name %v", path, typ, d["Name"])
				}
				queue = append(queue, linksIn(d)...)
			}
			if len(seen) < 20 {
				t.Errorf("only %d resources are linked", len(seen))
			}
		})
	}
}

// linksIn collects the @odata.id of everything below v but v itself.
func linksIn(v any) []string {
	var found []string
	switch x := v.(type) {
	case map[string]any:
		for _, below := range x {
			if m, ok := below.(map[string]any); ok {
				if id, ok := m["@odata.id"].(string); ok {
					found = append(found, id)
				}
			}
			found = append(found, linksIn(below)...)
		}
	case []any:
		for _, below := range x {
			if m, ok := below.(map[string]any); ok {
				if id, ok := m["@odata.id"].(string); ok {
					found = append(found, id)
				}
			}
			found = append(found, linksIn(below)...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestResetMovesThePower(t *testing.T) {
	for _, c := range []struct {
		resetType string
		state     PowerState
		status    int
		calls     string
	}{
		{"On", Off, 204, "on"},
		{"On", On, 204, ""},
		{"On", PoweringOn, 204, ""},
		{"On", PoweringOff, 409, ""},
		{"ForceOff", On, 204, "off"},
		{"ForceOff", PoweringOff, 204, "off"},
		{"ForceOff", Off, 204, ""},
		{"GracefulShutdown", On, 204, "shutdown"},
		{"GracefulShutdown", Off, 204, ""},
		{"ForceRestart", On, 204, "restart"},
		{"ForceRestart", Off, 409, ""},
		{"ForceRestart", PoweringOff, 409, ""},
		{"GracefulRestart", On, 204, "reboot"},
		{"PowerCycle", PoweringOn, 204, "restart"},
		{"Nmi", On, 204, ""},
		{"PushPowerButton", On, 400, ""},
		{"", On, 400, ""},
	} {
		t.Run(c.resetType+" when "+string(c.state), func(t *testing.T) {
			r := newRig(t, nil)
			r.machine.state = c.state
			r.want(c.status, "", "POST", r.sys()+resetAction, `{"ResetType":"`+c.resetType+`"}`)
			if got := r.machine.log(); got != c.calls {
				t.Errorf("the machine got %q instead of %q", got, c.calls)
			}
		})
	}
}

func TestThePowerButtonToggles(t *testing.T) {
	for state, want := range map[PowerState]move{Off: turnOn, On: shutDown, PoweringOn: shutDown, PoweringOff: stay} {
		got, cause := decide("PushPowerButton", state)
		if got != want || (cause == PowerSettling) != (state == PoweringOff) {
			t.Errorf("when %s: %v, cause %q", state, got, cause)
		}
	}
}

func TestGofishControlsPower(t *testing.T) {
	r := newRig(t, nil)
	r.machine.slow = true
	c := r.gofish()
	if _, err := r.system(c).Reset(schemas.OnResetType); err != nil {
		t.Fatal(err)
	}
	if got := r.system(c).PowerState; got != schemas.PoweringOnPowerState {
		t.Errorf("power state %s right after On", got)
	}
	r.machine.settle(On)
	s := r.system(c)
	if s.PowerState != schemas.OnPowerState {
		t.Errorf("power state %s after the server started", s.PowerState)
	}
	if _, err := s.Reset(schemas.ForceOffResetType); err != nil {
		t.Fatal(err)
	}
	if got := r.machine.log(); got != "on off" {
		t.Errorf("the machine got %q", got)
	}
}

func TestBadRequestsGetRedfishErrors(t *testing.T) {
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		message                  string
	}{
		{"unknown resource", "GET", "/redfish/v1/Nothing", "", 404, "ResourceMissingAtURI"},
		{"unknown system", "GET", "/redfish/v1/Systems/other", "", 404, "ResourceMissingAtURI"},
		{"part of an unknown system", "GET", "/redfish/v1/Systems/other/Processors/CPU1", "", 404, "ResourceMissingAtURI"},
		{"drive that is not there", "GET", "/redfish/v1/Systems/system/Storage/1/Drives/7", "", 404, "ResourceMissingAtURI"},
		{"drive with another spelling", "GET", "/redfish/v1/Systems/system/Storage/1/Drives/+1", "", 404, "ResourceMissingAtURI"},
		{"slot that is not there", "GET", "/redfish/v1/Systems/system/VirtualMedia/Cd", "", 404, "ResourceMissingAtURI"},
		{"outside of Redfish", "GET", "/", "", 404, "ResourceMissingAtURI"},
		{"query that is not supported", "GET", "/redfish/v1/Systems?$expand=.", "", 501, "QueryParameterUnsupported"},
		{"method", "DELETE", "/redfish/v1/Systems/system", "", 405, "OperationNotAllowed"},
		{"GET of an action", "GET", "/redfish/v1/Systems/system" + resetAction, "", 405, "OperationNotAllowed"},
		{"body is no JSON", "PATCH", "/redfish/v1/Systems/system", "{", 400, "MalformedJSON"},
		{"body is no object", "PATCH", "/redfish/v1/Systems/system", "[1]", 400, "MalformedJSON"},
		{"body is null", "PATCH", "/redfish/v1/Systems/system", "null", 400, "MalformedJSON"},
		{"two bodies", "PATCH", "/redfish/v1/Systems/system", "{}{}", 400, "MalformedJSON"},
		{"body is too long", "PATCH", "/redfish/v1/Systems/system", `{"AssetTag":"` + strings.Repeat("a", maxBody) + `"}`, 400, "MalformedJSON"},
		{"nothing to change", "PATCH", "/redfish/v1/Systems/system", "{}", 400, "MalformedJSON"},
		{"unknown property", "PATCH", "/redfish/v1/Systems/system", `{"Color":"red"}`, 400, "PropertyUnknown"},
		{"read-only property", "PATCH", "/redfish/v1/Systems/system", `{"SerialNumber":"x"}`, 400, "PropertyNotWritable"},
		{"wrong type", "PATCH", "/redfish/v1/Systems/system", `{"AssetTag":7}`, 400, "PropertyValueTypeError"},
		{"boot is no object", "PATCH", "/redfish/v1/Systems/system", `{"Boot":"Cd"}`, 400, "PropertyValueTypeError"},
		{"unknown boot target", "PATCH", "/redfish/v1/Systems/system", `{"Boot":{"BootSourceOverrideTarget":"Tape"}}`, 400, "PropertyValueNotInList"},
		{"unknown boot property", "PATCH", "/redfish/v1/Systems/system", `{"Boot":{"Fast":true}}`, 400, "PropertyUnknown"},
		{"unknown boot option", "PATCH", "/redfish/v1/Systems/system", `{"Boot":{"BootOrder":["Boot9999"]}}`, 400, "PropertyValueNotInList"},
		{"empty boot order", "PATCH", "/redfish/v1/Systems/system", `{"Boot":{"BootOrder":[]}}`, 400, "PropertyValueTypeError"},
		{"boot order of numbers", "PATCH", "/redfish/v1/Systems/system", `{"Boot":{"BootOrder":[1]}}`, 400, "PropertyValueTypeError"},
		{"no reset type", "POST", "/redfish/v1/Systems/system" + resetAction, `{}`, 400, "ActionParameterMissing"},
		{"unknown parameter", "POST", "/redfish/v1/Systems/system" + resetAction, `{"ResetType":"On","Speed":1}`, 400, "ActionParameterUnknown"},
		{"no image", "POST", "/redfish/v1/Systems/system/VirtualMedia/Slot_0/Actions/VirtualMedia.InsertMedia", `{}`, 400, "ActionParameterMissing"},
		{"image is no URL", "POST", "/redfish/v1/Systems/system/VirtualMedia/Slot_0/Actions/VirtualMedia.InsertMedia", `{"Image":"::"}`, 400, "PropertyValueNotInList"},
		{"image on a file share", "POST", "/redfish/v1/Systems/system/VirtualMedia/Slot_0/Actions/VirtualMedia.InsertMedia", `{"Image":"nfs://host/x.iso"}`, 400, "PropertyValueNotInList"},
		{"other protocol than the image's", "POST", "/redfish/v1/Systems/system/VirtualMedia/Slot_0/Actions/VirtualMedia.InsertMedia", `{"Image":"http://host/x.iso","TransferProtocolType":"HTTPS"}`, 400, "PropertyValueNotInList"},
		{"media by PATCH", "PATCH", "/redfish/v1/Systems/system/VirtualMedia/Slot_0", `{"Image":"http://host/x.iso"}`, 400, "PropertyNotWritable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			before := r.bmc.State()
			a := r.want(c.status, c.message, c.method, c.path, c.body)
			if c.status == 405 && a.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			e := a.json()["error"].(map[string]any)
			if e["code"] != "Base.1.18.GeneralError" || e["message"] == "" {
				t.Errorf("error code %v, message %v", e["code"], e["message"])
			}
			if after := r.bmc.State(); after.AssetTag != before.AssetTag || after.Boot != before.Boot || r.machine.log() != "" {
				t.Errorf("the refused request changed something: %+v, machine %q", after, r.machine.log())
			}
		})
	}
}

func TestETags(t *testing.T) {
	r := newRig(t, nil)
	tag := r.ok("GET", r.sys(), "").header.Get("ETag")
	if tag == "" {
		t.Fatal("no ETag")
	}
	r.want(304, "", "GET", r.sys(), "", "If-None-Match", tag)
	r.ok("PATCH", r.sys(), `{"AssetTag":"pool-1"}`, "If-Match", tag)
	r.want(412, "PreconditionFailed", "PATCH", r.sys(), `{"AssetTag":"pool-2"}`, "If-Match", tag)
	if got := r.bmc.State().AssetTag; got != "pool-1" {
		t.Errorf("asset tag %q after a stale change", got)
	}
	r.ok("PATCH", r.sys(), `{"AssetTag":"pool-3"}`, "If-Match", "*")
	if got := r.ok("GET", r.sys(), "").json()["AssetTag"]; got != "pool-3" {
		t.Errorf("asset tag %v", got)
	}
}

func TestOtherVersionsOfODataAreRefused(t *testing.T) {
	r := newRig(t, nil)
	r.ok("GET", r.sys(), "", "OData-Version", "4.0")
	r.want(412, "PreconditionFailed", "GET", r.sys(), "", "OData-Version", "3.0")
}

func TestHeadHasHeadersOnly(t *testing.T) {
	r := newRig(t, nil)
	a := r.ok("HEAD", r.sys(), "")
	if len(a.body) != 0 || a.header.Get("ETag") == "" || !strings.Contains(a.header.Get("Allow"), "PATCH") {
		t.Errorf("HEAD: %d bytes, headers %v", len(a.body), a.header)
	}
}

func TestStateIsSavedAndComesBack(t *testing.T) {
	var saved []State
	r := newRig(t, nil, func(c *Config) { c.Save = func(s State) { saved = append(saved, s) } })
	r.ok("PATCH", r.sys(), `{"AssetTag":"pool-1"}`)
	r.ok("PATCH", r.sys(), `{"Boot":{"BootSourceOverrideTarget":"Pxe","BootSourceOverrideEnabled":"Continuous"}}`)
	r.ok("PATCH", r.sys(), `{"AssetTag":"pool-1"}`) // no change, nothing to save
	r.resetTo("On")
	if len(saved) != 2 {
		t.Fatalf("%d changes saved instead of 2", len(saved))
	}
	again := newRig(t, nil, func(c *Config) { c.State = saved[1] })
	s := again.system(again.gofish())
	if s.AssetTag != "pool-1" || s.Boot.BootSourceOverrideTarget != "Pxe" || s.Boot.BootSourceOverrideEnabled != "Continuous" {
		t.Errorf("after a restart: asset tag %q, boot %+v", s.AssetTag, s.Boot)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, c := range map[string]Config{
		"no machine":  {User: "u", Password: "p"},
		"no user":     {Machine: &server{}, Password: "p"},
		"no password": {Machine: &server{}, User: "u"},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
