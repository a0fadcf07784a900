package bmc

import (
	"fmt"
	"slices"
	"strings"
)

// Manners is how one family of BMCs behaves, as data. Where a field is zero,
// the BMC goes by the book. Each quirk says what a naive client runs into; the
// tests show it being refused.
type Manners struct {
	Name string // as operators choose it: "idrac9"

	// Identity.
	Vendor       string // of the service root; also the machine's manufacturer if it names none
	Product      string // of the service root
	Model        string // of a machine that names none
	Firmware     string // of the manager
	SystemID     string
	ManagerID    string
	ChassisID    string
	OtherSystems []string // systems that are no server, listed before the real one

	// Errors.
	Registry      string // with version, as in "Base.1.8"
	ErrorCode     string // error.code of a vendor with TerseErrors
	TerseErrors   bool   // only message IDs, no texts
	CodeIsMessage bool   // error.code is the message's ID instead of GeneralError
	SuccessInBody bool   // a write answers 200 with a message instead of 204
	Says          map[Cause]Message

	// Sessions.
	MaxSessions int // 0 means 16

	// Power.
	ResetTypes         []string
	OnRefusedAfterOff  int  // how many requests for On are refused after an Off
	ForceRestartHangs  bool // the machine stops with its power shown On, until ForceOff
	NoIfMatchOnActions bool // an action with If-Match answers 412
	ShowsBootProgress  bool

	// Settings.
	AssetTagReadOnly    bool
	BootTargets         []string
	BootAt              string // boot settings are written at Systems/{id}/BootAt; "" means at the system
	BootJob             bool   // a change at BootAt is a job, which is not found at first
	BootWholeWithETag   bool   // a change of boot settings names every field, and the ETag
	BootMinimal         bool   // a change of boot settings holds Enabled and Target only
	BootEnabledRequired bool   // a change of boot settings holds Enabled
	BootModeForgotten   bool   // a change of boot settings without Mode makes it Legacy
	BootRefusedInPOST   bool   // no change of boot settings for Config.POST after a start
	MediaTarget         string // the only target that boots virtual media: "UsbCd"
	HTTPBootURI         bool   // the boot settings have HttpBootUri
	OrderAt             string // the boot order is written at Systems/{id}/OrderAt; "" means where boot settings are
	OrderWaits          bool   // a change of the boot order is made by the next start
	NVRAMChangesTaken   int    // more changes of the boot order than these, and the next start ends in a menu; 0: any number

	// Virtual media.
	Slots               []Slot
	SlotsUnder          Place
	EjectLingers        int  // how many more looks at a slot, or inserts, find the media still in
	EjectNeedsBody      bool // an EjectMedia without {} is refused
	EmptySlotHidesEject bool // no EjectMedia action while nothing is inserted
	InsertImageOnly     bool // Inserted and WriteProtected are unknown parameters
	InsertNeedsLogin    bool // UserName and Password are required
	InsertNeedsTransfer bool // TransferProtocolType and TransferMethod are required
	MediaByPatch        bool // no actions: Image is PATCHed, to null for an eject

	// What brings a server to its ready state; nil: it does not have that.
	BIOS       *BIOS
	SecureBoot *SecureBoot
	RAID       *RAID
	Inventory  []Software

	// Console is how it offers the serial console over SSH; nil: it does not.
	Console *Console
}

// Place is where a BMC has its virtual media slots.
type Place string

const (
	UnderBoth     Place = ""
	UnderManagers Place = "Managers"
	UnderSystems  Place = "Systems"
)

// Slot is one virtual media device.
type Slot struct {
	ID         string
	Types      []string // MediaTypes: CD, DVD, USBStick, Floppy
	Unusable   bool     // every insert is refused
	Unbootable bool     // media is taken, but the firmware does not look there
}

// disc says whether the slot takes ISO images.
func (s *Slot) disc() bool { return slices.Contains(s.Types, "CD") || slices.Contains(s.Types, "DVD") }

// message is what this vendor answers to a cause.
func (m *Manners) message(c Cause) Message {
	if said, ok := m.Says[c]; ok {
		return said
	}
	return standard[c]
}

// messageID gives an ID of the Base registry its registry.
func (m *Manners) messageID(id string) string {
	if strings.Contains(id, ".") {
		return id
	}
	return m.Registry + "." + id
}

// All returns the manners that there are, OpenBMC's first. The caller does not
// change them.
func All() []*Manners { return slices.Clone(vendors) }

// Named returns the manners of that name.
func Named(name string) (*Manners, error) {
	names := make([]string, len(vendors))
	for i, m := range vendors {
		if m.Name == name {
			return m, nil
		}
		names[i] = m.Name
	}
	return nil, fmt.Errorf("no BMC has the manners %q; there are: %s", name, strings.Join(names, ", "))
}
