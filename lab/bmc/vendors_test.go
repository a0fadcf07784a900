package bmc

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stmcginnis/gofish/schemas"
)

// quirks has a row for each field of Manners that makes a BMC depart from the
// book: who has it, and what a client runs into that does not know.
var quirks = []struct {
	name    string
	has     func(*Manners) bool
	vendors string
	show    func(*testing.T, *rig)
}{
	{"ejected media is still in for some looks", func(m *Manners) bool { return m.EjectLingers > 0 }, "idrac9", func(t *testing.T, r *rig) {
		r.insert(0)
		r.ok("POST", r.slotPath(0)+ejectAction, "{}")
		if d := r.ok("GET", r.slotPath(0), "").json(); d["Inserted"] != true {
			t.Error("the first look finds the slot empty")
		}
		r.want(500, ".VRM0021", "POST", r.slotPath(0)+insertAction, insertBody(r.images.image()))
		if d := r.ok("GET", r.slotPath(0), "").json(); d["Inserted"] != false {
			t.Error("the slot is never empty")
		}
		r.insert(0)
	}},
	{"an insert over inserted media is a server error", func(m *Manners) bool { return m.message(MediaInserted).Status == 500 }, "idrac9 idrac10", func(t *testing.T, r *rig) {
		r.insert(0)
		r.want(500, ".VRM0012", "POST", r.slotPath(0)+insertAction, insertBody(r.images.image()))
	}},
	{"an eject of nothing is an error", func(m *Manners) bool { return m.message(MediaEmpty).Status >= 400 }, "idrac9 idrac10 ilo5 ilo6 dl160", func(t *testing.T, r *rig) {
		m := r.bmc.manners.message(MediaEmpty)
		r.want(m.Status, m.ID, "POST", r.slotPath(0)+ejectAction, "{}")
	}},
	{"an image that cannot be fetched has the vendor's message", func(m *Manners) bool { return m.message(MediaUnreachable).Status == 500 }, "idrac9 idrac10", func(t *testing.T, r *rig) {
		r.want(500, ".RAC0904", "POST", r.slotPath(0)+insertAction, insertBody(r.images.URL+"/gone.iso"))
	}},
	{"a slot that the firmware does not look at", func(m *Manners) bool { return slices.ContainsFunc(m.Slots, func(s Slot) bool { return s.Unbootable }) }, "idrac10", func(t *testing.T, r *rig) {
		i := slices.IndexFunc(r.bmc.manners.Slots, func(s Slot) bool { return s.Unbootable })
		r.insert(i)
		r.bootMedia()
		if got := r.machine.lastBoot(t); got.Source != FromDisk {
			t.Errorf("booted %+v", got)
		}
	}},
	{"a slot that takes no media", func(m *Manners) bool { return m.Slots[0].Unusable }, "xcc sr675 cisco", func(t *testing.T, r *rig) {
		method, path := r.insertRequest(0)
		r.want(400, "ActionNotSupported", method, path, insertBody(r.images.image()))
	}},
	{"the first slot is no disc drive", func(m *Manners) bool { return !m.Slots[0].disc() }, "ilo5 ilo6 dl160", func(t *testing.T, r *rig) {
		r.insert(0)
		r.bootMedia()
		if got := r.machine.lastBoot(t); got.Source != FromDisk {
			t.Errorf("booted %+v", got)
		}
	}},
	{"no slot of type CD", func(m *Manners) bool {
		return !slices.ContainsFunc(m.Slots, func(s Slot) bool { return slices.Contains(s.Types, "CD") })
	}, "cisco", func(t *testing.T, r *rig) {
		d := r.ok("GET", r.slotPath(1), "").json()
		if types, ok := d["MediaTypes"].([]any); !ok || len(types) != 1 || types[0] != "DVD" {
			t.Errorf("media types %v", d["MediaTypes"])
		}
	}},
	{"slots under the manager only", func(m *Manners) bool { return m.SlotsUnder == UnderManagers }, "ilo5 ilo6 dl160 gb200 gigabyte", func(t *testing.T, r *rig) {
		r.want(404, "ResourceMissingAtURI", "GET", r.sys()+"/VirtualMedia", "")
		if slots, err := r.system(r.gofish()).VirtualMedia(); err != nil || len(slots) != 0 {
			t.Errorf("the system has slots %v, error %v", slots, err)
		}
	}},
	{"an eject without a body is refused", func(m *Manners) bool { return m.EjectNeedsBody }, "ilo5 ilo6 dl160", func(t *testing.T, r *rig) {
		r.insert(1)
		r.want(400, ".MalformedJSON", "POST", r.slotPath(1)+ejectAction, "")
		r.ok("POST", r.slotPath(1)+ejectAction, "{}")
	}},
	{"an empty slot has no eject", func(m *Manners) bool { return m.EmptySlotHidesEject }, "supermicro-x11 supermicro-x12", func(t *testing.T, r *rig) {
		eject := func() bool {
			return strings.Contains(string(r.ok("GET", r.slotPath(0), "").body), "#VirtualMedia.EjectMedia")
		}
		if eject() {
			t.Error("the empty slot shows EjectMedia")
		}
		r.want(404, "ResourceMissingAtURI", "POST", r.slotPath(0)+ejectAction, "{}")
		r.insert(0)
		if !eject() {
			t.Error("the full slot shows no EjectMedia")
		}
		r.ok("POST", r.slotPath(0)+ejectAction, "{}")
	}},
	{"an insert takes nothing but the image", func(m *Manners) bool { return m.InsertImageOnly }, "supermicro-x11 supermicro-x12", func(t *testing.T, r *rig) {
		r.want(400, "PropertyUnknown", "POST", r.slotPath(0)+insertAction, `{"Image":"`+r.images.image()+`","Inserted":true}`)
		r.want(400, "PropertyUnknown", "POST", r.slotPath(0)+insertAction, `{"Image":"`+r.images.image()+`","WriteProtected":true}`)
		r.insert(0)
	}},
	{"an insert needs a login", func(m *Manners) bool { return m.InsertNeedsLogin }, "dgx", func(t *testing.T, r *rig) {
		r.want(400, "ActionParameterMissing", "POST", r.slotPath(0)+insertAction, insertBody(r.images.image()))
		r.ok("POST", r.slotPath(0)+insertAction, `{"Image":"`+r.images.image()+`","UserName":"none","Password":"none"}`)
	}},
	{"an insert needs the transfer", func(m *Manners) bool { return m.InsertNeedsTransfer }, "nokia", func(t *testing.T, r *rig) {
		a := r.want(400, "Base.1.5.ActionParameterMissing", "POST", r.slotPath(0)+insertAction, insertBody(r.images.image()))
		// Clients look at these two.
		if e := a.json()["error"].(map[string]any); e["code"] != "Base.1.5.ActionParameterMissing" || !strings.Contains(string(a.body), `"#/TransferProtocolType"`) {
			t.Errorf("the error is %s", a.body)
		}
		r.want(400, "ActionParameterMissing", "POST", r.slotPath(0)+insertAction, `{"Image":"`+r.images.image()+`","TransferProtocolType":"HTTP"}`)
		r.ok("POST", r.slotPath(0)+insertAction, `{"Image":"`+r.images.image()+`","TransferProtocolType":"HTTP","TransferMethod":"Stream"}`)
	}},
	{"media by PATCH, without actions", func(m *Manners) bool { return m.MediaByPatch }, "xcc sr675", func(t *testing.T, r *rig) {
		r.want(404, "ResourceMissingAtURI", "POST", r.slotPath(4)+insertAction, insertBody(r.images.image()))
		a := r.ok("GET", r.slotPath(4), "")
		if a.json()["Actions"] != nil || !strings.Contains(a.header.Get("Allow"), "PATCH") {
			t.Errorf("actions %v, Allow %s", a.json()["Actions"], a.header.Get("Allow"))
		}
		r.insert(4)
		slot, err := schemas.GetVirtualMedia(r.gofish(), r.slotPath(4))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := slot.EjectMedia(); err == nil || !strings.Contains(err.Error(), "Image") {
			t.Errorf("an eject without Image: null: %v", err)
		}
		r.ok("PATCH", r.slotPath(4), `{"Image":null}`)
		if in := r.bmc.Inserted(); len(in) != 0 {
			t.Errorf("inserted %v", in)
		}
	}},
	{"On is refused right after an off", func(m *Manners) bool { return m.OnRefusedAfterOff > 0 }, "idrac10", func(t *testing.T, r *rig) {
		r.resetTo("On")
		r.resetTo("ForceOff")
		r.want(409, ".PSU506", "POST", r.sys()+resetAction, turnOnBody)
		r.resetTo("On")
		if got := r.machine.log(); got != "on off on" {
			t.Errorf("the machine got %q", got)
		}
	}},
	{"no change of power is an error", func(m *Manners) bool { return m.message(PowerUnchanged).Status >= 400 }, "idrac9 idrac10 ilo5 ilo6 dl160", func(t *testing.T, r *rig) {
		m := r.bmc.manners.message(PowerUnchanged)
		r.want(m.Status, m.ID, "POST", r.sys()+resetAction, `{"ResetType":"ForceOff"}`)
	}},
	{"a forced restart hangs", func(m *Manners) bool { return m.ForceRestartHangs }, "sr675", func(t *testing.T, r *rig) {
		r.resetTo("On")
		r.resetTo("ForceRestart")
		if d := r.ok("GET", r.sys(), "").json(); d["PowerState"] != "On" {
			t.Errorf("power %v", d["PowerState"])
		}
		r.resetTo("ForceRestart") // no help
		r.resetTo("ForceOff")
		r.resetTo("On")
		if got := r.machine.log(); got != "on off on" {
			t.Errorf("the machine got %q", got)
		}
	}},
	{"no PowerCycle", func(m *Manners) bool { return !slices.Contains(m.ResetTypes, "PowerCycle") }, "ilo5 ilo6 dl160 gigabyte", func(t *testing.T, r *rig) {
		r.resetTo("On")
		r.want(400, "PropertyValueNotInList", "POST", r.sys()+resetAction, `{"ResetType":"PowerCycle"}`)
		if _, err := r.system(r.gofish()).Reset(schemas.PowerCycleResetType); err == nil {
			t.Error("gofish may send PowerCycle")
		}
	}},
	{"only four reset types", func(m *Manners) bool { return len(m.ResetTypes) == 4 }, "dl160 gigabyte", func(t *testing.T, r *rig) {
		r.resetTo("On")
		r.want(400, "PropertyValueNotInList", "POST", r.sys()+resetAction, `{"ResetType":"GracefulRestart"}`)
	}},
	{"If-Match on an action is refused", func(m *Manners) bool { return m.NoIfMatchOnActions }, "idrac10", func(t *testing.T, r *rig) {
		tag := r.ok("GET", r.sys(), "").header.Get("ETag")
		r.want(412, ".PreconditionFailed", "POST", r.sys()+resetAction, turnOnBody, "If-Match", tag)
		if got := r.machine.log(); got != "" {
			t.Errorf("the machine got %q", got)
		}
	}},
	{"boot settings are elsewhere", func(m *Manners) bool { return m.BootAt != "" }, "idrac10 ami asrockrack", func(t *testing.T, r *rig) {
		m := r.bmc.manners.message(BootElsewhere)
		r.want(400, m.ID, "PATCH", r.sys(), bootPXE)
		d := r.ok("GET", r.sys(), "").json()
		settings := d["@Redfish.Settings"].(map[string]any)["SettingsObject"].(map[string]any)["@odata.id"]
		if settings != r.sys()+"/"+r.bmc.manners.BootAt {
			t.Errorf("settings at %v", settings)
		}
	}},
	{"a change of boot settings is a job", func(m *Manners) bool { return m.BootJob }, "idrac10", func(t *testing.T, r *rig) {
		job := r.want(202, "", "PATCH", r.sys()+"/Settings", bootPXE).header.Get("Location")
		r.want(404, "ResourceMissingAtURI", "GET", job, "")
		if d := r.ok("GET", job, "").json(); d["TaskState"] != "Completed" {
			t.Errorf("the job is %v", d)
		}
		if got := r.bmc.State().Boot.Target; got != "Pxe" {
			t.Errorf("boot target %s", got)
		}
	}},
	{"boot settings are written whole and with the ETag", func(m *Manners) bool { return m.BootWholeWithETag }, "ami asrockrack", func(t *testing.T, r *rig) {
		at := r.sys() + "/SD"
		const whole = `{"Boot":{"BootSourceOverrideTarget":"Pxe","BootSourceOverrideEnabled":"Once","BootSourceOverrideMode":"UEFI"}}`
		r.want(428, "PreconditionRequired", "PATCH", at, whole)
		r.want(412, "PreconditionFailed", "PATCH", at, whole, "If-Match", `"stale"`)
		tag := r.ok("GET", at, "").header.Get("ETag")
		r.want(400, "PropertyMissing", "PATCH", at, bootPXE, "If-Match", tag)
		r.ok("PATCH", at, whole, "If-Match", tag)
		if got := r.bmc.State().Boot.Target; got != "Pxe" {
			t.Errorf("boot target %s", got)
		}
	}},
	{"no boot property but two", func(m *Manners) bool { return m.BootMinimal }, "dl160", func(t *testing.T, r *rig) {
		r.want(400, ".PropertyNotWritable", "PATCH", r.sys(), `{"Boot":{"BootSourceOverrideTarget":"Pxe","BootSourceOverrideEnabled":"Once","BootSourceOverrideMode":"UEFI"}}`)
		r.ok("PATCH", r.sys(), bootPXE)
	}},
	{"Enabled is always sent", func(m *Manners) bool { return m.BootEnabledRequired }, "supermicro-x11 supermicro-x12", func(t *testing.T, r *rig) {
		r.want(400, "PropertyMissing", "PATCH", r.sys(), `{"Boot":{"BootSourceOverrideTarget":"Pxe"}}`)
	}},
	{"the boot mode is lost", func(m *Manners) bool { return m.BootModeForgotten }, "supermicro-x11 supermicro-x12", func(t *testing.T, r *rig) {
		r.ok("PATCH", r.sys(), bootPXE)
		if got := r.ok("GET", r.sys(), "").json()["Boot"].(map[string]any)["BootSourceOverrideMode"]; got != "Legacy" {
			t.Errorf("mode %v", got)
		}
		r.ok("PATCH", r.sys(), `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideMode":"UEFI"}}`)
		if got := r.bmc.State().Boot; got != (Override{Enabled: "Once", Target: "Pxe", Mode: "UEFI"}) {
			t.Errorf("boot settings %+v", got)
		}
	}},
	{"Cd is not the virtual CD", func(m *Manners) bool { return m.MediaTarget != "" }, "supermicro-x11 supermicro-x12", func(t *testing.T, r *rig) {
		r.insert(0)
		r.ok("PATCH", r.sys(), `{"Boot":{"BootSourceOverrideTarget":"Cd","BootSourceOverrideEnabled":"Once"}}`)
		r.resetTo("On")
		if got := r.machine.lastBoot(t); got.Source != FromDisk {
			t.Errorf("with Cd it booted %+v", got)
		}
		r.ok("PATCH", r.sys(), `{"Boot":{"BootSourceOverrideTarget":"UsbCd","BootSourceOverrideEnabled":"Once"}}`)
		r.resetTo("ForceRestart")
		if got := r.machine.lastBoot(t); got.Source != FromMedia {
			t.Errorf("with UsbCd it booted %+v", got)
		}
	}},
	{"boot settings are refused during POST", func(m *Manners) bool { return m.BootRefusedInPOST }, "idrac9 ilo5 ilo6 dl160", func(t *testing.T, r *rig) {
		r.resetTo("On")
		m := r.bmc.manners.message(DuringPOST)
		r.want(m.Status, m.ID, "PATCH", r.sys(), bootPXE)
		r.pass(time.Minute)
		r.ok("PATCH", r.sys(), bootPXE)
	}},
	{"many changes of the boot order end in a menu", func(m *Manners) bool { return m.NVRAMChangesTaken > 0 }, "xcc sr675", func(t *testing.T, r *rig) {
		r.ok("PATCH", r.sys(), `{"Boot":{"BootOrder":["Boot0003","Boot0001","Boot0002"]}}`)
		r.ok("PATCH", r.sys(), `{"Boot":{"BootOrder":["Boot0001","Boot0002","Boot0003"]}}`)
		r.resetTo("On")
		if got := r.machine.lastBoot(t); got.Source != FromNothing {
			t.Errorf("booted %+v", got)
		}
	}},
	{"HttpBootUri", func(m *Manners) bool { return m.HTTPBootURI }, "ilo6", func(t *testing.T, r *rig) {
		r.ok("PATCH", r.sys(), `{"Boot":{"BootSourceOverrideTarget":"UefiHttp","BootSourceOverrideEnabled":"Once","HttpBootUri":"http://host/boot.efi"}}`)
		r.resetTo("On")
		if got := r.machine.lastBoot(t); got.Source != FromHTTP || got.URL != "http://host/boot.efi" {
			t.Errorf("booted %+v", got)
		}
	}},
	{"no UefiHttp", func(m *Manners) bool { return !slices.Contains(m.BootTargets, "UefiHttp") }, "openbmc xcc sr675 ami asrockrack gb200 nokia", func(t *testing.T, r *rig) {
		path := r.sys()
		headers := []string{"If-Match", "*"}
		if at := r.bmc.manners.BootAt; at != "" {
			path += "/" + at
		}
		r.want(400, "PropertyValueNotInList", "PATCH", path, `{"Boot":{"BootSourceOverrideTarget":"UefiHttp","BootSourceOverrideEnabled":"Once","BootSourceOverrideMode":"UEFI"}}`, headers...)
	}},
	{"the asset tag is read-only", func(m *Manners) bool { return m.AssetTagReadOnly }, "gigabyte", func(t *testing.T, r *rig) {
		r.want(400, "PropertyNotWritable", "PATCH", r.sys(), `{"AssetTag":"pool-1"}`)
	}},
	{"a system that is no server comes first", func(m *Manners) bool { return len(m.OtherSystems) > 0 }, "dgx gb200", func(t *testing.T, r *rig) {
		systems, err := r.gofish().Service.Systems()
		if err != nil || len(systems) != 2 {
			t.Fatalf("systems %v, error %v", systems, err)
		}
		first := r.ok("GET", "/redfish/v1/Systems", "").json()["Members"].([]any)[0].(map[string]any)["@odata.id"].(string)
		if !strings.HasPrefix(first, "/redfish/v1/Systems/HGX_") {
			t.Errorf("the first system is %s", first)
		}
		r.want(404, "ResourceMissingAtURI", "POST", first+resetAction, turnOnBody)
	}},
	{"boot progress", func(m *Manners) bool { return m.ShowsBootProgress }, "idrac9 idrac10 supermicro-x12 gb200", func(t *testing.T, r *rig) {
		var got []any
		progress := func() {
			got = append(got, r.ok("GET", r.sys(), "").json()["BootProgress"].(map[string]any)["LastState"])
		}
		progress()
		r.resetTo("On")
		progress()
		r.pass(time.Minute)
		progress()
		if !slices.Equal(got, []any{"None", "PrimaryProcessorInitializationStarted", "OSBootStarted"}) {
			t.Errorf("progress %v", got)
		}
	}},
	{"errors without texts", func(m *Manners) bool { return m.TerseErrors }, "ilo5 ilo6 dl160", func(t *testing.T, r *rig) {
		a := r.want(400, ".PropertyUnknown", "PATCH", r.sys(), `{"Color":"red"}`)
		e := a.json()["error"].(map[string]any)
		if e["code"] != "iLO.0.10.ExtendedInfo" || e["@Message.ExtendedInfo"].([]any)[0].(map[string]any)["Message"] != nil {
			t.Errorf("the error is %s", a.body)
		}
	}},
	{"success has a body", func(m *Manners) bool { return m.SuccessInBody }, "ilo5 ilo6 dl160", func(t *testing.T, r *rig) {
		r.want(200, ".Success", "PATCH", r.sys(), `{"AssetTag":"pool-1"}`)
	}},
	{"few sessions", func(m *Manners) bool { return m.MaxSessions > 0 }, "idrac9 idrac10", func(t *testing.T, r *rig) {
		const login = `{"UserName":"admin","Password":"correct horse"}`
		for range r.bmc.manners.MaxSessions {
			r.ok("POST", sessionsPath, login)
		}
		r.want(503, ".RAC0218", "POST", sessionsPath, login)
	}},
}

func TestQuirks(t *testing.T) {
	for _, q := range quirks {
		t.Run(q.name, func(t *testing.T) {
			var have []string
			for _, m := range All() {
				if q.has(m) {
					have = append(have, m.Name)
				}
			}
			if got := strings.Join(have, " "); got != q.vendors {
				t.Fatalf("this is so with %q, and should be with %q", got, q.vendors)
			}
			for _, name := range have {
				m, err := Named(name)
				if err != nil {
					t.Fatal(err)
				}
				t.Run(name, func(t *testing.T) { q.show(t, newRig(t, m)) })
			}
		})
	}
}

const (
	insertAction = "/Actions/VirtualMedia.InsertMedia"
	ejectAction  = "/Actions/VirtualMedia.EjectMedia"
)

// insertRequest is how an insert into the i-th slot is sent.
func (r *rig) insertRequest(i int) (method, path string) {
	if r.bmc.manners.MediaByPatch {
		return "PATCH", r.slotPath(i)
	}
	return "POST", r.slotPath(i) + insertAction
}

// insert puts the image into the i-th slot as this vendor wants it.
func (r *rig) insert(i int) {
	r.t.Helper()
	body := `{"Image":"` + r.images.image() + `"`
	if r.bmc.manners.InsertNeedsLogin {
		body += `,"UserName":"none","Password":"none"`
	}
	if r.bmc.manners.InsertNeedsTransfer {
		body += `,"TransferProtocolType":"HTTP","TransferMethod":"Stream"`
	}
	method, path := r.insertRequest(i)
	r.ok(method, path, body+"}")
}

// bootMedia starts the machine from virtual media once, as this vendor wants it.
func (r *rig) bootMedia() {
	r.t.Helper()
	m := r.bmc.manners
	path, target, mode := r.sys(), "Cd", `,"BootSourceOverrideMode":"UEFI"`
	if m.BootAt != "" {
		path += "/" + m.BootAt
	}
	if m.MediaTarget != "" {
		target = m.MediaTarget
	}
	if m.BootMinimal {
		mode = ""
	}
	r.ok("PATCH", path, `{"Boot":{"BootSourceOverrideTarget":"`+target+`","BootSourceOverrideEnabled":"Once"`+mode+`}}`, "If-Match", "*")
	r.resetTo("On")
}

// No vendor is so strange that a client who knows it does not get its way.
func TestEveryVendorBootsFromMedia(t *testing.T) {
	for _, m := range All() {
		t.Run(m.Name, func(t *testing.T) {
			r := newRig(t, m)
			i := slices.IndexFunc(m.Slots, func(s Slot) bool { return s.disc() && !s.Unusable && !s.Unbootable })
			r.insert(i)
			r.bootMedia()
			got := r.machine.lastBoot(t)
			if got.Source != FromMedia || got.Slot != m.Slots[i].ID || got.Legacy {
				t.Fatalf("booted %+v", got)
			}
			r.pass(time.Minute)
			if m.MediaByPatch {
				r.ok("PATCH", r.slotPath(i), `{"Image":null}`)
			} else {
				r.ok("POST", r.slotPath(i)+ejectAction, "{}")
			}
			if in := r.bmc.Inserted(); len(in) != 0 {
				t.Errorf("inserted: %v", in)
			}
			r.resetTo("ForceOff")
			if s := r.system(r.gofish()); s.PowerState != schemas.OffPowerState {
				t.Errorf("power %s", s.PowerState)
			}
		})
	}
}

func TestGofishSetsBootWhereItIsElsewhere(t *testing.T) {
	r := newRig(t, &idrac10)
	s := r.system(r.gofish())
	if err := s.SetBoot(&schemas.Boot{BootSourceOverrideTarget: schemas.CdBootSource, BootSourceOverrideEnabled: schemas.OnceBootSourceOverrideEnabled}); err != nil {
		t.Fatal(err)
	}
	if got := r.bmc.State().Boot.Target; got != "Cd" {
		t.Errorf("boot target %s", got)
	}
	// gofish sends If-Match with the reset, is refused, and sends it again.
	r.bmc.ResetTraffic()
	if _, err := s.Reset(schemas.OnResetType); err != nil {
		t.Fatal(err)
	}
	if got := r.bmc.Traffic().Verbs[Reset]; got != 2 || r.machine.log() != "on" {
		t.Errorf("%d requests, the machine got %q", got, r.machine.log())
	}
}

func TestNamed(t *testing.T) {
	for _, m := range All() {
		got, err := Named(m.Name)
		if err != nil || got != m {
			t.Errorf("%s: %v, error %v", m.Name, got, err)
		}
	}
	if _, err := Named("toaster"); err == nil || !strings.Contains(err.Error(), "idrac9") {
		t.Errorf("unknown manners: %v", err)
	}
}
