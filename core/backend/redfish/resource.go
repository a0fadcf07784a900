package redfish

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"
)

// The resources that verbs read and write are spelled out here instead of taken
// from gofish: it keeps action targets to itself, and one odd field of a BMC makes
// its big structures unreadable. The inventory, read once, uses gofish's.

type root struct {
	Vendor   string
	Systems  schemas.Link
	Managers schemas.Link
}

type collection struct {
	Members schemas.Links
	Next    text `json:"Members@odata.nextLink"`
}

type action struct {
	Target string `json:"target"`
}

type system struct {
	ID                 string       `json:"@odata.id"`
	Name               string       `json:"Id"`
	SystemType         string       `json:"SystemType"`
	Manufacturer       text         `json:"Manufacturer"`
	Model              text         `json:"Model"`
	SerialNumber       text         `json:"SerialNumber"`
	SKU                text         `json:"SKU"`
	UUID               text         `json:"UUID"`
	AssetTag           text         `json:"AssetTag"`
	BIOSVersion        text         `json:"BiosVersion"`
	PowerState         text         `json:"PowerState"`
	Boot               boot         `json:"Boot"`
	VirtualMedia       schemas.Link `json:"VirtualMedia"`
	Processors         schemas.Link `json:"Processors"`
	Storage            schemas.Link `json:"Storage"`
	EthernetInterfaces schemas.Link `json:"EthernetInterfaces"`
	PCIeDevices        devices      `json:"PCIeDevices"`
	ProcessorSummary   struct {
		LogicalProcessorCount number
		CoreCount             number
	}
	MemorySummary struct {
		TotalSystemMemoryGiB number
	}
	Links struct {
		Chassis   schemas.Links
		ManagedBy schemas.Links
	}
	Actions struct {
		Reset struct {
			action
			Allowed []string `json:"ResetType@Redfish.AllowableValues"`
			Info    string   `json:"@Redfish.ActionInfo"`
		} `json:"#ComputerSystem.Reset"`
	}
	Settings struct {
		Object schemas.Link `json:"SettingsObject"`
	} `json:"@Redfish.Settings"`
	SerialConsole struct {
		SSH *consoleProtocol
	}
}

type boot struct {
	Enabled text     `json:"BootSourceOverrideEnabled"`
	Target  text     `json:"BootSourceOverrideTarget"`
	Mode    text     `json:"BootSourceOverrideMode"`
	Targets []string `json:"BootSourceOverrideTarget@Redfish.AllowableValues"`
	Modes   []string `json:"BootSourceOverrideMode@Redfish.AllowableValues"`
}

type manager struct {
	FirmwareVersion text
	VirtualMedia    schemas.Link
	SerialConsole   shellService
	CommandShell    shellService
	NetworkProtocol schemas.Link
}

type slot struct {
	ID         string `json:"@odata.id"`
	Name       string `json:"Id"`
	MediaTypes []string
	Image      text
	Inserted   *bool
	Actions    struct {
		Insert action `json:"#VirtualMedia.InsertMedia"`
		Eject  action `json:"#VirtualMedia.EjectMedia"`
	}
}

// occupied: some BMCs show no Inserted, some an Image that was ejected.
func (s slot) occupied() bool {
	if s.Inserted != nil {
		return *s.Inserted
	}
	return s.Image != ""
}

func (s slot) disc() bool {
	return slices.Contains(s.MediaTypes, "CD") || slices.Contains(s.MediaTypes, "DVD")
}

// text is a string that a BMC may give as null, a number or anything else; what is
// no string reads as empty rather than as an error.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = text(strings.TrimSpace(s))
	}
	return nil
}

// number is read as leniently.
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	var f float64
	if json.Unmarshal(b, &f) == nil && f >= 0 && f < 1<<50 {
		*n = number(f)
	}
	return nil
}

// devices are links, in a list or behind a collection.
type devices struct {
	Collection schemas.Link
	List       schemas.Links
}

func (d *devices) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &d.List) != nil {
		d.List = nil
		return json.Unmarshal(b, &d.Collection)
	}
	return nil
}

// lenient reads what is of another type than it should be as nothing.
type lenient[T any] struct{ is T }

func (l *lenient[T]) UnmarshalJSON(b []byte) error {
	var v T
	if json.Unmarshal(b, &v) == nil {
		l.is = v
	}
	return nil
}
