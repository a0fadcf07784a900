package redfish

import (
	"regexp"
	"slices"
)

// manners are how a family of BMCs wants to be spoken to. The zero value is by the
// book. They change what is sent, never what counts as done: that is read back.
type manners struct {
	// SerialInSKU is the form of a SKU that is the serial number of the chassis.
	SerialInSKU *regexp.Regexp

	// Busy are message IDs that mean: not taken, try again.
	Busy []string
	// LateJobPolls is how often a job may be looked for in vain before it exists.
	LateJobPolls int

	// ResetTries is how often a reset is sent that is refused and still needed; 0 is
	// once.
	ResetTries int
	// RestPolls is how long a server is left off within a restart, counted in
	// Options.Poll (seconds, by default).
	RestPolls int

	// FirstSlots orders virtual media slots by name, best first; those that match
	// none follow, and those of LastSlots come after these.
	FirstSlots []*regexp.Regexp
	LastSlots  *regexp.Regexp
	// AlwaysEject ejects before an insert even where the slot shows nothing.
	AlwaysEject bool
	// EjectObject sends {} with an eject instead of no body.
	EjectObject bool
	// ImageOnly leaves Inserted and WriteProtected out of an insert.
	ImageOnly bool
	// InsertMore goes along with the image.
	InsertMore map[string]any
	// InsertTransfer sends TransferProtocolType and TransferMethod.
	InsertTransfer bool
	// InsertTries is how often an insert is sent while it fails and the slot does
	// not show the image; 0 is once. InsertPolls is the wait between.
	InsertTries, InsertPolls int
	// OtherSlots tries the next slot where one refuses the image.
	OtherSlots bool

	// BootTarget is what the virtual CD is called as a boot source; "" is Cd, or
	// what the allowable values have instead.
	BootTarget string
	// BootAt is where boot settings are written, below the system; "@Redfish.Settings"
	// is the resource that this annotation names; "" is the system itself.
	BootAt string
	// BootETag sends the ETag of that resource with a change.
	BootETag bool
	// Mode says when the boot mode goes along.
	Mode modeRule

	// Console are the commands that lead from the BMC's command line into the serial
	// console, where Redfish does not tell them.
	Console string
}

type modeRule int

const (
	modeIfShown modeRule = iota // where the system shows one, on setting only
	modeAlways                  // with every change of boot settings
	modeNever
)

// quirk is one row of the table: for BMCs that match, what manners differ, and why.
type quirk struct {
	Name string
	// Vendor, Model and Firmware match the system's manufacturer and model, and the
	// manager's firmware; nil matches everything.
	Vendor, Model, Firmware *regexp.Regexp
	Why                     string
	Apply                   manners
}

func re(s string) *regexp.Regexp { return regexp.MustCompile(`(?i)` + s) }

// quirks is the table; of rows that match, the later ones win. What every BMC gets
// needs no row: allowable values decide the type of a reset and the name of a boot
// source; a restart is an off and an on; slots are looked for under system and
// managers, DVD is as good as CD; a slot is read again before its eject, and one
// without actions is changed by PATCH; no If-Match goes with an action; nothing but the one-time override is ever written
// to the boot settings, since several changes of NVRAM bring some up in a menu.
var quirks = []quirk{
	{
		Name: "Dell: service tag", Vendor: re(`dell`),
		Why:   "SerialNumber is the mainboard's; what firmware and people call the serial is the service tag, in SKU",
		Apply: manners{SerialInSKU: re(`^[a-z0-9]{7}$`)},
	},
	{
		Name: "Dell: busy", Vendor: re(`dell`),
		Why:   "SYS518 while another job runs",
		Apply: manners{Busy: []string{"SYS518"}},
	},
	{
		Name: "Dell: late jobs", Vendor: re(`dell`),
		Why:   "a job that was just made answers 404 at first",
		Apply: manners{LateJobPolls: 5},
	},
	{
		Name: "Dell iDRAC9: media", Vendor: re(`dell`), Firmware: re(`^[3-7]\.`),
		Why:   "media stays in a while after an eject, and an insert fails with 5xx meanwhile",
		Apply: manners{AlwaysEject: true, InsertTries: 3, InsertPolls: 3},
	},
	{
		Name: "Dell iDRAC10: slot", Vendor: re(`dell`), Firmware: re(`^1\.`),
		Why:   "boots from slot 1 only",
		Apply: manners{FirstSlots: []*regexp.Regexp{re(`^1$`)}},
	},
	{
		Name: "Dell iDRAC10: on after off", Vendor: re(`dell`), Firmware: re(`^1\.`),
		Why:   "On answers 409 right after an off",
		Apply: manners{ResetTries: 5},
	},
	{
		Name: "Dell iDRAC10: boot settings", Vendor: re(`dell`), Firmware: re(`^1\.`),
		Why:   "Boot is read-only on the system itself",
		Apply: manners{BootAt: "@Redfish.Settings"},
	},
	{
		Name: "Dell: console", Vendor: re(`dell`),
		Why:   "SSH leads to racadm, and the command for the serial port is told in the manual only; this one also shows what was printed before",
		Apply: manners{Console: "console com2"},
	},
	{
		Name: "HPE: busy in POST", Vendor: re(`^hpe?$|hewlett`),
		Why:   "changes are refused during POST, in the same words as a reset that changes nothing",
		Apply: manners{ResetTries: 4, Busy: []string{"UnableToModifyDuringSystemPOST", "InvalidOperationForSystemState"}},
	},
	{
		Name: "HPE: eject", Vendor: re(`^hpe?$|hewlett`),
		Why:   "an eject without a body is refused",
		Apply: manners{EjectObject: true},
	},
	{
		Name: "HPE: console", Vendor: re(`^hpe?$|hewlett`),
		Why:   "SSH leads to the iLO's command line",
		Apply: manners{Console: "vsp"},
	},
	{
		Name: "HPE DL160 Gen10", Vendor: re(`^hpe?$|hewlett`), Model: re(`dl160 gen10`),
		Why:   "refuses a Boot object with more than source and duration",
		Apply: manners{Mode: modeNever},
	},
	{
		Name: "Supermicro: insert", Vendor: re(`super\s?micro`),
		Why:   "refuses Inserted and WriteProtected",
		Apply: manners{ImageOnly: true},
	},
	{
		Name: "Supermicro: boot source", Vendor: re(`super\s?micro`),
		Why:   "virtual media boots as a USB CD",
		Apply: manners{BootTarget: "UsbCd"},
	},
	{
		Name: "Supermicro: boot mode", Vendor: re(`super\s?micro`),
		Why:   "falls back to legacy mode when a change does not name it",
		Apply: manners{Mode: modeAlways},
	},
	{
		Name: "Supermicro: console", Vendor: re(`super\s?micro`),
		Why:   "SSH leads to a SMASH command line; before X12 Redfish does not tell the way from there",
		Apply: manners{Console: "cd system1/sol1; start"},
	},
	{
		Name: "Lenovo XCC: media", Vendor: re(`lenovo`),
		Why:   "RDOC slots are for small uploads",
		Apply: manners{FirstSlots: []*regexp.Regexp{re(`^remote`), re(`^ext`)}, LastSlots: re(`^rdoc`)},
	},
	{
		Name: "Lenovo XCC: console", Vendor: re(`lenovo`),
		Why:   "SSH leads to the XCC's command line; it can also end another one's console, which is not ours to do",
		Apply: manners{Console: "console 1"},
	},
	{
		Name: "Lenovo SR675 V3", Vendor: re(`lenovo`), Model: re(`sr675 v3`),
		Why:   "hangs when it is restarted at once",
		Apply: manners{RestPolls: 10},
	},
	{
		Name: "AMI: boot settings", Vendor: re(`^ami$|american megatrends|asrock`),
		Why:   "takes boot settings at .../SD, whole and with the ETag",
		Apply: manners{BootAt: "SD", BootETag: true, Mode: modeAlways},
	},
	{
		Name: "NVIDIA DGX: media", Vendor: re(`nvidia`), Model: re(`dgx`),
		Why:   "an insert must name a user, though none is needed",
		Apply: manners{InsertMore: map[string]any{"UserName": "none", "Password": "none"}},
	},
	{
		Name: "Nokia: media", Vendor: re(`nokia`),
		Why:   "an insert must name the protocol and method",
		Apply: manners{InsertTransfer: true},
	},
	{
		Name: "Cisco: media", Vendor: re(`cisco`),
		Why:   "some of its slots take no image",
		Apply: manners{OtherSlots: true},
	},
}

// allBusyIDs are those of all vendors: to tell a passing refusal it need not be
// known whose it is.
var allBusyIDs = func() (ids []string) {
	for _, q := range quirks {
		ids = append(ids, q.Apply.Busy...)
	}
	return ids
}()

// mannersOf merges the rows that match. Where nothing is known of a BMC, it goes by
// the book.
func mannersOf(vendor, model, firmware string) manners {
	var m manners
	for _, q := range quirks {
		if matches(q.Vendor, vendor) && matches(q.Model, model) && matches(q.Firmware, firmware) {
			m = m.with(q.Apply)
		}
	}
	return m
}

func matches(pattern *regexp.Regexp, s string) bool { return pattern == nil || pattern.MatchString(s) }

// with returns m changed by what q sets.
func (m manners) with(q manners) manners {
	m.Busy = slices.Concat(m.Busy, q.Busy)
	m.LateJobPolls = max(m.LateJobPolls, q.LateJobPolls)
	m.ResetTries = max(m.ResetTries, q.ResetTries)
	m.RestPolls = max(m.RestPolls, q.RestPolls)
	m.AlwaysEject = m.AlwaysEject || q.AlwaysEject
	m.EjectObject = m.EjectObject || q.EjectObject
	m.ImageOnly = m.ImageOnly || q.ImageOnly
	m.InsertTransfer = m.InsertTransfer || q.InsertTransfer
	m.InsertTries = max(m.InsertTries, q.InsertTries)
	m.InsertPolls = max(m.InsertPolls, q.InsertPolls)
	m.OtherSlots = m.OtherSlots || q.OtherSlots
	m.BootTarget = firstOf(q.BootTarget, m.BootTarget)
	m.BootAt = firstOf(q.BootAt, m.BootAt)
	m.BootETag = m.BootETag || q.BootETag
	if q.SerialInSKU != nil {
		m.SerialInSKU = q.SerialInSKU
	}
	if q.FirstSlots != nil {
		m.FirstSlots = q.FirstSlots
	}
	if q.LastSlots != nil {
		m.LastSlots = q.LastSlots
	}
	if q.InsertMore != nil {
		m.InsertMore = q.InsertMore
	}
	m.Console = firstOf(q.Console, m.Console)
	if q.Mode != modeIfShown {
		m.Mode = q.Mode
	}
	return m
}

// slotRank orders slots by name, best first.
func (m manners) slotRank(name string) int {
	for i, pattern := range m.FirstSlots {
		if pattern.MatchString(name) {
			return i
		}
	}
	if m.LastSlots != nil && m.LastSlots.MatchString(name) {
		return len(m.FirstSlots) + 1
	}
	return len(m.FirstSlots)
}
