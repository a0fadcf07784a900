package bmc

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"
)

// biosRig is a rig of named manners, and where attributes are written there.
func biosRig(t *testing.T, name string) *rig {
	t.Helper()
	m, err := Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return newRig(t, m)
}

// inForce is an attribute as a client reads it.
func (r *rig) inForce(name string) any {
	r.t.Helper()
	return r.ok("GET", r.bmc.biosPath(), "").json()["Attributes"].(map[string]any)[name]
}

func attributesBody(name, value string) string {
	return `{"Attributes":{"` + name + `":` + value + `}}`
}

// A change that a BMC by the book takes waits for the start, and no longer.
func TestAttributesWaitForAStart(t *testing.T) {
	r := newRig(t, nil)
	r.ok("PATCH", r.bmc.biosSettingsPath(), attributesBody("HyperThreading", `"Disabled"`))
	if got := r.inForce("HyperThreading"); got != "Enabled" {
		t.Errorf("before the start it is %v", got)
	}
	r.resetTo("On")
	if got := r.inForce("HyperThreading"); got != "Disabled" {
		t.Errorf("after the start it is %v", got)
	}
	if left := r.ok("GET", r.bmc.biosSettingsPath(), "").json()["Attributes"].(map[string]any); len(left) > 0 {
		t.Errorf("this still waits: %v", left)
	}
}

// Every vendor says in its own words what is wrong, and lets nothing of it wait.
func TestAttributesRefused(t *testing.T) {
	messages := map[string][3]string{ // unknown, read-only, value
		"idrac9":  {".SYS403", ".SYS410", ".SYS409"},
		"ilo6":    {".PropertyNotWritableOrUnknown", ".PropertyNotWritableOrUnknown", ".PropertyValueNotInList"},
		"default": {".PropertyUnknown", ".PropertyNotWritable", ".PropertyValueNotInList"},
	}
	for _, m := range All() {
		if m.BIOS == nil {
			continue
		}
		says := messages["default"]
		switch m.Vendor {
		case "Dell Inc.":
			says = messages["idrac9"]
		case "HPE":
			says = messages["ilo6"]
		}
		t.Run(m.Name, func(t *testing.T) {
			r := newRig(t, m)
			for _, a := range m.BIOS.Attributes {
				wrong := map[AttributeKind][]string{
					Enumeration: {`"Maybe"`, `true`, `1`, `null`}, Boolean: {`"true"`, `1`}, Integer: {`"1"`, `1.5`, `1e9`}, String: {`"x"`},
				}[a.Kind]
				message := says[2]
				if a.ReadOnly {
					message = says[1]
				}
				for _, v := range wrong {
					r.want(400, message, "PATCH", r.bmc.biosSettingsPath(), attributesBody(a.Name, v), "If-Match", "*")
				}
			}
			r.want(400, says[0], "PATCH", r.bmc.biosSettingsPath(), attributesBody("NoSuchThing", `1`), "If-Match", "*")
			if s := r.bmc.State().Setup; len(s.Waiting) > 0 {
				t.Errorf("this waits: %v", s.Waiting)
			}
		})
	}
}

func TestDellJobs(t *testing.T) {
	const (
		change  = `{"Attributes":{"LogicalProc":"Disabled"}}`
		timed   = `{"Attributes":{"LogicalProc":"Disabled"},"@Redfish.SettingsApplyTime":{"ApplyTime":"OnReset"}}`
		another = `{"Attributes":{"AcPwrRcvry":"On"}}`
	)
	t.Run("without one nothing is applied", func(t *testing.T) {
		r := biosRig(t, "idrac9")
		r.ok("PATCH", r.bmc.biosSettingsPath(), change)
		r.resetTo("On")
		if got := r.inForce("LogicalProc"); got != "Enabled" {
			t.Errorf("it is %v", got)
		}
	})
	t.Run("made with the change", func(t *testing.T) {
		r := biosRig(t, "idrac9")
		if a := r.ok("PATCH", r.bmc.biosSettingsPath(), timed); a.status != 202 || a.header.Get("Location") == "" {
			t.Errorf("answer %d, %v", a.status, a.header)
		}
		r.want(400, ".SYS011", "PATCH", r.bmc.biosSettingsPath(), another)
		r.resetTo("On")
		r.pass(time.Minute)
		// The new value shows, and the job still runs.
		if got := r.inForce("LogicalProc"); got != "Disabled" {
			t.Errorf("it is %v", got)
		}
		r.want(400, ".SYS011", "PATCH", r.bmc.biosSettingsPath(), another)
		for range 4 {
			r.do("GET", tasksPath+"/JID_1", "")
		}
		r.ok("PATCH", r.bmc.biosSettingsPath(), another)
	})
	t.Run("made apart, and deleted", func(t *testing.T) {
		r := biosRig(t, "idrac9")
		target := `{"TargetSettingsURI":"` + r.bmc.biosSettingsPath() + `"}`
		r.want(400, "", "POST", r.bmc.jobsPath(), target) // for nothing
		r.ok("PATCH", r.bmc.biosSettingsPath(), change)
		location := r.ok("POST", r.bmc.jobsPath(), target).header.Get("Location")
		r.want(400, ".SYS011", "POST", r.bmc.jobsPath(), target)
		if got := r.ok("GET", location, "").json()["JobState"]; got != "Scheduled" {
			t.Errorf("the job is %v", got)
		}
		r.ok("DELETE", location, "")
		r.want(404, "", "GET", location, "")
		if s := r.bmc.State().Setup; len(s.Waiting) > 0 {
			t.Errorf("this waits: %v", s.Waiting)
		}
	})
	t.Run("in one request", func(t *testing.T) {
		r := biosRig(t, "idrac9")
		r.ok("PATCH", r.bmc.biosSettingsPath(), timed)
		r.ok("GET", r.bmc.jobsPath(), "") // the first look does not find it
		members := r.ok("GET", r.bmc.jobsPath()+"?$expand=*($levels=1)", "").json()["Members"].([]any)
		if len(members) != 1 || members[0].(map[string]any)["JobType"] != "BIOSConfiguration" {
			t.Errorf("the jobs are %v", members)
		}
		r.want(501, "", "GET", r.sys()+"?$expand=*($levels=1)", "")
	})
}

func TestHPESettings(t *testing.T) {
	r := biosRig(t, "ilo6")
	r.want(200, ".SystemResetRequired", "PATCH", "/redfish/v1/Systems/1/bios/settings", attributesBody("Sriov", `"Disabled"`))
	whole := r.ok("GET", "/redfish/v1/Systems/1/bios/settings", "").json()["Attributes"].(map[string]any)
	if whole["Sriov"] != "Disabled" || whole["ProcVirtualization"] != "Enabled" {
		t.Errorf("the settings are %v", whole)
	}
	a := r.ok("GET", r.bmc.manners.BIOS.RegistryAt, "", "Accept-Encoding", "identity")
	if a.header.Get("Content-Encoding") != "gzip" || !bytes.HasPrefix(a.body, []byte{0x1f, 0x8b}) {
		t.Errorf("the registry is sent as %v", a.header)
	}
	packed, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(packed)
	if err != nil || !json.Valid(text) {
		t.Errorf("the registry is %s, %v", text, err)
	}
}

func TestSupermicroIsLate(t *testing.T) {
	r := biosRig(t, "supermicro-x12")
	r.ok("PATCH", "/redfish/v1/Systems/1/Bios/SD", attributesBody("QuietBoot_0027", "false"))
	r.resetTo("On")
	var got []any
	for range 3 {
		got = append(got, r.inForce("QuietBoot_0027"))
	}
	if !slices.Equal(got, []any{true, false, false}) {
		t.Errorf("after the start it is %v", got)
	}
}

func TestAMISettingsWantTheETag(t *testing.T) {
	r := biosRig(t, "ami")
	r.want(428, "", "PATCH", r.bmc.biosSettingsPath(), attributesBody("SRIOV", `"Enabled"`))
	tag := r.ok("GET", r.bmc.biosSettingsPath(), "").header.Get("ETag")
	r.ok("PATCH", r.bmc.biosSettingsPath(), attributesBody("SRIOV", `"Enabled"`), "If-Match", tag)
}

func TestBootOrderThatWaits(t *testing.T) {
	for _, name := range []string{"idrac10", "xcc"} {
		r := biosRig(t, name)
		at := r.ok("GET", r.sys(), "").json()["@Redfish.Settings"].(map[string]any)["SettingsObject"].(map[string]any)["@odata.id"].(string)
		order := func(path string) any {
			return r.ok("GET", path, "").json()["Boot"].(map[string]any)["BootOrder"].([]any)[0]
		}
		r.ok("PATCH", at, `{"Boot":{"BootOrder":["Boot0003","Boot0001","Boot0002"]}}`)
		if now, next := order(r.sys()), order(at); now != "Boot0001" || next != "Boot0003" {
			t.Errorf("%s: %v comes first, and %v from the next start on", name, now, next)
		}
		r.resetTo("On")
		if now := order(r.sys()); now != "Boot0003" || r.machine.lastBoot(t).Source != FromPXE {
			t.Errorf("%s: %v comes first", name, now)
		}
	}
}

func TestVolumesRefused(t *testing.T) {
	r := biosRig(t, "ilo6")
	at := r.bmc.volumesPath()
	member := func(i string) string { return `{"@odata.id":"` + r.bmc.storagePath() + `/Drives/` + i + `"}` }
	volume := func(raid, drives string) string {
		return `{"RAIDType":"` + raid + `","Links":{"Drives":[` + drives + `]}}`
	}
	r.want(400, "PropertyValueNotInList", "POST", at, volume("RAID7", member("0")))
	r.want(400, "PropertyValueConflict", "POST", at, volume("RAID1", member("0")))
	r.want(400, "PropertyValueNotInList", "POST", at, volume("RAID0", member("9")))
	r.want(400, "PropertyValueNotInList", "POST", at, volume("RAID1", member("0")+","+member("0")))
	r.want(400, "PropertyMissing", "POST", at, `{"RAIDType":"RAID0"}`)
	r.want(400, "PropertyValueNotInList", "POST", at, `{"RAIDType":"RAID0","CapacityBytes":1e18,"Links":{"Drives":[`+member("0")+`]}}`)
	location := r.want(http.StatusCreated, "", "POST", at, volume("RAID1", member("0")+","+member("1"))).header.Get("Location")
	r.want(400, "ResourceInUse", "POST", at, volume("RAID0", member("1")))
	if v := r.ok("GET", location, "").json(); v["CapacityBytes"] != 960197124096.0 {
		t.Errorf("the mirror of two drives is %v", v)
	}
	r.ok("DELETE", location, "")
	r.want(404, "", "GET", location, "")
	smartArray := biosRig(t, "ilo5")
	smartArray.want(405, "", "POST", smartArray.bmc.volumesPath(), volume("RAID1", member("0")+","+member("1")))
}

// What waits, and what is set, is kept without power.
func TestSetupIsKept(t *testing.T) {
	var kept State
	save := func(c *Config) { c.Save = func(s State) { kept = s } }
	r := newRig(t, &idrac9, save)
	r.ok("PATCH", r.bmc.biosSettingsPath(), `{"Attributes":{"LogicalProc":"Disabled","AcPwrRcvryUserDelay":90},"@Redfish.SettingsApplyTime":{"ApplyTime":"OnReset"}}`)
	r.ok("PATCH", r.sys()+"/SecureBoot", `{"SecureBootEnable":false}`)
	text, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	var state State
	if err := json.Unmarshal(text, &state); err != nil {
		t.Fatal(err)
	}
	r = newRig(t, &idrac9, func(c *Config) { c.State = state })
	r.resetTo("On")
	secure := r.ok("GET", r.sys()+"/SecureBoot", "").json()
	if r.inForce("LogicalProc") != "Disabled" || r.inForce("AcPwrRcvryUserDelay") != 90.0 || secure["SecureBootCurrentBoot"] != "Disabled" {
		t.Errorf("after all that there is %v, %v", r.bmc.Attributes(), secure)
	}
}
