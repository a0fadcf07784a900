package bmc

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// BIOS is how a BMC lets the attributes of its server's firmware be set.
type BIOS struct {
	Path       string // below the system; "" means Bios
	Settings   string // where changes are written, below that; "" means there itself
	Registry   string // ID of the attribute registry; "": it has none
	RegistryAt string // path of its document
	Attributes []Attribute

	// ApplyTimes are told in @Redfish.Settings.
	ApplyTimes []string
	// Jobs: a change is made by a job alone. An apply time along with the change makes
	// one, or it is made apart. What waits cannot be changed while there is a job.
	Jobs bool
	// Lingers is how many looks after a start still find the old values.
	Lingers int
	// WholeSettings: the settings show every attribute instead of what waits.
	WholeSettings bool
	// PackedRegistry: the registry's document is sent in gzip, whatever was asked for.
	PackedRegistry bool
	ETagRequired   bool
}

// Attribute is one setting of the firmware.
type Attribute struct {
	Name     string
	Label    string // as the firmware's menu shows it
	Kind     AttributeKind
	Values   []string // of an Enumeration
	Default  any      // nil of a Password; numbers are float64
	Low, Top float64  // of an Integer
	ReadOnly bool
}

// AttributeKind is the type of an attribute, as registries spell it.
type AttributeKind string

const (
	Enumeration AttributeKind = "Enumeration"
	Integer     AttributeKind = "Integer"
	Boolean     AttributeKind = "Boolean"
	String      AttributeKind = "String"
	Password    AttributeKind = "Password"
)

// Named is the attribute of a name.
func (c *BIOS) Named(name string) (Attribute, bool) {
	i := slices.IndexFunc(c.Attributes, func(a Attribute) bool { return a.Name == name })
	if i < 0 {
		return Attribute{}, false
	}
	return c.Attributes[i], true
}

// refuses says why an attribute does not take a value; "" is that it does.
func (a Attribute) refuses(v any) Cause {
	fits := false
	switch x := v.(type) {
	case string:
		fits = a.Kind == Enumeration && slices.Contains(a.Values, x) || a.Kind == String || a.Kind == Password
	case bool:
		fits = a.Kind == Boolean
	case float64:
		fits = a.Kind == Integer && x >= a.Low && x <= a.Top && x == float64(int64(x))
	}
	switch {
	case a.ReadOnly:
		return AttributeReadOnly
	case !fits:
		return AttributeValue
	}
	return ""
}

func (b *BMC) biosPath() string {
	return b.systemPath() + "/" + orElse(b.manners.BIOS.Path, "Bios")
}

// biosSettingsPath is where changes are written.
func (b *BMC) biosSettingsPath() string {
	if b.manners.BIOS.Settings == "" {
		return b.biosPath()
	}
	return b.biosPath() + "/" + b.manners.BIOS.Settings
}

// Attributes are those in force.
func (b *BMC) Attributes() map[string]any {
	if b.manners.BIOS == nil {
		return nil
	}
	return b.attributes(b.State())
}

func (b *BMC) attributes(s State) map[string]any {
	all := map[string]any{}
	for _, a := range b.manners.BIOS.Attributes {
		all[a.Name] = a.Default
	}
	maps.Copy(all, s.Setup.BIOS)
	return all
}

// bios is also reached where its path is not the standard's, as at HPE.
func (b *BMC) bios(r *request) (resource, bool) {
	c := b.manners.BIOS
	if c == nil || r.ids[0] != b.manners.SystemID || r.ids[1] != orElse(c.Path, "Bios") {
		return resource{}, false
	}
	if r.Method == http.MethodGet {
		b.update(func(s *State) {
			if s.Setup.Looks--; s.Setup.Looks == 0 {
				s.apply()
			}
			s.Setup.Looks = max(0, s.Setup.Looks)
		})
	}
	res := plain(func() doc {
		d := doc{
			"@odata.id": b.biosPath(), "@odata.type": "#Bios.v1_2_0.Bios",
			"Id": "BIOS", "Name": "BIOS Configuration Current Settings",
			"AttributeRegistry": c.Registry, "Attributes": b.attributes(b.State()),
		}
		if c.Settings != "" {
			settings := doc{"@odata.type": "#Settings.v1_3_5.Settings", "SettingsObject": link(b.biosSettingsPath())}
			if len(c.ApplyTimes) > 0 {
				settings["SupportedApplyTimes"] = c.ApplyTimes
			}
			d["@Redfish.Settings"] = settings
		}
		return d
	})
	if c.Settings == "" {
		res.patch, res.writes, res.etagRequired = b.patchBIOS, is(SetBIOS), c.ETagRequired
	}
	return res, true
}

func (b *BMC) biosSettings(r *request) (resource, bool) {
	c := b.manners.BIOS
	if c == nil || c.Settings == "" || r.ids[0] != b.manners.SystemID || r.ids[1] != orElse(c.Path, "Bios") || r.ids[2] != c.Settings {
		return resource{}, false
	}
	return resource{
		get: func(*request) doc {
			s := b.State()
			attributes := s.Setup.Waiting
			if c.WholeSettings {
				attributes = b.attributes(s)
				maps.Copy(attributes, s.Setup.Waiting)
			}
			if attributes == nil {
				attributes = map[string]any{}
			}
			d := doc{
				"@odata.id": b.biosSettingsPath(), "@odata.type": "#Bios.v1_2_0.Bios",
				"Id": c.Settings, "Name": "BIOS Configuration Pending Settings",
				"AttributeRegistry": c.Registry, "Attributes": attributes,
			}
			if c.Jobs {
				d["Oem"] = doc{"Dell": doc{"@odata.type": "#DellManager.v1_3_0.DellManager", "Jobs": link(b.jobsPath())}}
			}
			return d
		},
		patch: b.patchBIOS, writes: is(SetBIOS), etagRequired: c.ETagRequired,
	}, true
}

// patchBIOS takes changes of attributes: all, or those before the first that is wrong.
func (b *BMC) patchBIOS(r *request) answer {
	c := b.manners.BIOS
	const applyTime = "@Redfish.SettingsApplyTime"
	if m := check(r.object, []param{{name: "Attributes", kind: object, needed: true}}, "", propertyUnknown, propertyMissing); m != nil {
		return b.fail(*m)
	}
	at, timed := r.object[applyTime].(map[string]any)
	if timed && !slices.Contains(c.ApplyTimes, stringOf(at, "ApplyTime")) {
		return b.fail(propertyNotInList(applyTime, stringOf(at, "ApplyTime")))
	}
	change := r.object["Attributes"].(map[string]any)
	if c.Jobs && b.State().Setup.openTask(taskBIOS) {
		return b.refuse(SettingsCommitted)
	}
	if b.manners.BootRefusedInPOST && b.inPOST() {
		return b.refuse(DuringPOST)
	}
	for _, name := range sortedKeys(change) {
		if m := b.wrongAttribute(name, change[name]); m != nil {
			return b.fail(*m)
		}
	}
	dropped := r.fault != nil && r.fault.Kind == Drop
	var location string
	b.update(func(s *State) {
		u := &s.Setup
		if u.Waiting == nil {
			u.Waiting = map[string]any{}
		}
		maps.Copy(u.Waiting, change)
		if dropped {
			u.Dropped = append(u.Dropped, sortedKeys(change)...)
		}
		if c.Jobs && timed {
			location = u.add(b.biosTask(r))
		}
	})
	if location != "" {
		return answer{status: http.StatusAccepted}.with("Location", location)
	}
	return b.resetRequired()
}

// biosTask is the job of changes that wait for a start.
func (b *BMC) biosTask(r *request) Task {
	t := Task{Kind: taskBIOS, State: taskNew, Method: r.Method, Target: r.URL.Path, Hidden: 1}
	if r.fault != nil {
		t.Fails, t.Hangs = r.fault.Kind == TaskFails, r.fault.Kind == TaskHangs
	}
	return t
}

// wrongAttribute is what this vendor says to an attribute that it does not take.
func (b *BMC) wrongAttribute(name string, value any) *Message {
	cause := AttributeUnknown
	if a, ok := b.manners.BIOS.Named(name); ok {
		if cause = a.refuses(value); cause == "" {
			return nil
		}
	}
	m := b.manners.message(cause)
	m.Args, m.Related = []string{name}, []string{"#/Attributes/" + name}
	if cause == AttributeValue && !strings.Contains(m.ID, ".") {
		m.Args = append(m.Args, fmt.Sprint(value))
	}
	m.Text = strings.ReplaceAll(m.Text, "{name}", name)
	return &m
}

// resetRequired answers a change that waits for a start.
func (b *BMC) resetRequired() answer {
	if m, ok := b.manners.Says[ResetRequired]; ok {
		return answer{status: http.StatusOK, body: b.explain(m)}
	}
	return b.done()
}
