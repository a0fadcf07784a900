package core

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"unicode"
)

// The facets of a BMC besides power and media: a BMC has one where it implements its
// interface, which a caller finds with a type assertion. A server that has not got
// what a facet is about answers with an error that wraps ErrNoFacet.
//
// All come in the same three verbs. Compare only reads. Set writes what differs, once
// however often it is called: what a call before it left waiting for the next start
// (also one whose process died) is found and not written again. It never resets the
// server: who calls several does that once for all, and may do it once too often.
// Verify is for after the reset: it waits until what was set is in force, which is
// when the firmware has got through that start, and fails naming each setting that is
// not.
//
// Errors are those of BMC; Invalid where what is wanted cannot be had of this server,
// naming what comes nearest to it; Compare says that before anything is written, as far as
// the BMC tells what it takes. Verify is Backend where a setting was taken and not
// applied, and Timeout where it still waits. Values are shown in errors: no secret is
// set this way.

// ErrNoFacet is wrapped where a server, or its BMC, has nothing of the kind.
var ErrNoFacet = errors.New("this server's BMC has nothing of the kind")

// ErrRefused is wrapped where what is wanted was not taken, by whomever: nothing of it was
// changed.
var ErrRefused = errors.New("nothing was changed")

// Difference is one setting that is not as wanted. Its texts are as the server has them,
// without quotes: see Shown.
type Difference struct {
	Name   string `json:"name"`
	Wanted string `json:"wanted"`
	Found  string `json:"found"` // "" is nothing
}

func (d Difference) String() string {
	shown := d.Shown()
	return shown.Name + " is " + cmp.Or(shown.Found, "nothing") + ", not " + shown.Wanted
}

// Shown is the difference as people are to read it: quoted where they would not see what a
// text is, as one that is empty or ends with a blank.
func (d Difference) Shown() Difference {
	d.Name, d.Wanted = visible(d.Name), visible(d.Wanted)
	if d.Found != "" {
		d.Found = visible(d.Found)
	}
	return d
}

func visible(text string) string {
	if text == "" || text != strings.TrimSpace(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// changes is what is done about differences, in one line.
func changes(all []Difference) string {
	texts := make([]string, len(all))
	for i, d := range all {
		shown := d.Shown()
		texts[i] = shown.Name + ": " + cmp.Or(shown.Found, "nothing") + " → " + shown.Wanted
	}
	return strings.Join(texts, "; ")
}

// Differences in one line, for errors and events.
func Differences(all []Difference) string {
	texts := make([]string, len(all))
	for i, d := range all {
		texts[i] = d.String()
	}
	return strings.Join(texts, "; ")
}

// Change is what a Set verb found. Its zero value is that all is as wanted.
type Change struct {
	Differs []Difference `json:"differs,omitempty"` // from what is in force, before the call
	// Reset is that something waits for the next start of the server's firmware, from
	// this call or from one before.
	Reset bool `json:"reset,omitempty"`
	// Again is that not all could be written, because what waits stands in the way: Set
	// is to be called again, instead of Verify, once the firmware has got through the
	// reset.
	Again bool `json:"again,omitempty"`
}

// BIOSAttributes are settings of a server's firmware under the names that its maker
// gave them. Values are strings, bools and numbers. Where the firmware has a bool or
// a whole number, a string that spells one is as good.
type BIOSAttributes map[string]any

// UnmarshalJSON implements json.Unmarshaler. Numbers stay as they were written.
func (a *BIOSAttributes) UnmarshalJSON(text []byte) error {
	return unmarshalToTheDigit(text, (*map[string]any)(a))
}

// MarshalYAML implements the marshaler of YAML, to which json.Number is a text.
func (a BIOSAttributes) MarshalYAML() (any, error) { return numbersOfYAML(a) }

// BIOSSetter is the facet of a BMC that sets the firmware's attributes.
type BIOSSetter interface {
	BIOS(ctx context.Context) ([]BIOSAttribute, error) // by name
	CompareBIOS(ctx context.Context, want BIOSAttributes) ([]Difference, error)
	SetBIOS(ctx context.Context, want BIOSAttributes) (Change, error)
	VerifyBIOS(ctx context.Context, want BIOSAttributes) error
}

// BootOption is something that a server's firmware can boot.
type BootOption struct {
	Reference string `json:"reference"`       // "Boot0003"
	Name      string `json:"name"`            // as the firmware's menu shows it
	Alias     string `json:"alias,omitempty"` // what kind of source it is: Pxe, Hdd, Cd, UefiHttp, …
}

// BootOrderSetter is the facet of a BMC that sets the order in which the firmware
// looks for something to boot. Wanted are references, names or aliases, without
// regard to case; an alias or a name that several have stands for all of them, in the
// order that they have. What is not named comes after, in the order that it has.
type BootOrderSetter interface {
	BootOptions(ctx context.Context) ([]BootOption, error) // in the order that is in force
	CompareBootOrder(ctx context.Context, want []string) ([]Difference, error)
	SetBootOrder(ctx context.Context, want []string) (Change, error)
	VerifyBootOrder(ctx context.Context, want []string) error
}

// SecureBootState is how UEFI Secure Boot is set.
type SecureBootState struct {
	InForce bool   `json:"in_force"` // at the last start
	Enabled bool   `json:"enabled"`  // from the next start on
	Mode    string `json:"mode"`     // UserMode, SetupMode (there are no keys), AuditMode, DeployedMode; "" unknown
}

// SecureBootSetter is the facet of a BMC that turns Secure Boot on and off. Keys are
// not touched: turning it on where there are none is refused.
type SecureBootSetter interface {
	SecureBoot(ctx context.Context) (SecureBootState, error)
	CompareSecureBoot(ctx context.Context, want bool) ([]Difference, error)
	SetSecureBoot(ctx context.Context, want bool) (Change, error)
	VerifySecureBoot(ctx context.Context, want bool) error
}

// StorageController is what drives are behind.
type StorageController struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	RAID    []string       `json:"raid,omitempty"` // RAID1, …; empty: it makes no volumes, or the BMC does not say which
	Drives  []StorageDrive `json:"drives"`
	Volumes []Volume       `json:"volumes,omitempty"` // made of drives of its own
	// ReadOnly is that the BMC shows volumes and lets nobody make or delete them; also
	// of a controller that has none.
	ReadOnly bool `json:"read_only,omitempty"`
}

// StorageDrive is a drive as its controller sees it.
type StorageDrive struct {
	Disk
	ID string `json:"id"` // unique within the controller
}

// Volume is a logical drive.
type Volume struct {
	ID     string   `json:"id"`
	Name   string   `json:"name,omitempty"`
	RAID   string   `json:"raid"` // RAID0, RAID1, RAID5, RAID6, RAID10, RAID50, RAID60
	Size   Bytes    `json:"size"`
	Drives []string `json:"drives"` // StorageDrive.ID
}

// WantedVolume says what a volume is to be made of: of the drives named, or of any
// Count that fit.
type WantedVolume struct {
	Name string `json:"name,omitempty"` // some controllers take 15 characters and no more
	RAID string `json:"raid"`
	Size Bytes  `json:"size,omitempty"` // 0: all that the drives hold

	Drives []string `json:"drives,omitempty"` // serials, worldwide names or IDs

	Count      int      `json:"count,omitempty"`
	Kind       DiskKind `json:"kind,omitempty"`       // "" any, all of one kind
	MinDrive   Bytes    `json:"min_drive,omitempty"`  // of each drive
	Controller string   `json:"controller,omitempty"` // ID; "" any, all behind one
}

// WantedVolumes are all volumes that a server is to have.
type WantedVolumes struct {
	Volumes []WantedVolume `json:"volumes"`
	// Preserve are serials or worldwide names of drives whose content stays: no volume
	// on one is deleted, and none is made of one. Those that a server has not got do not
	// matter, so that one list serves a pool.
	Preserve []string `json:"preserve,omitempty"`
}

// VolumeSetter is the facet of a BMC that makes volumes of the drives behind RAID
// controllers. SetVolumes deletes every volume that is not wanted and has no drive
// that is preserved, which destroys what is on it. A change that would touch a
// preserved drive is Denied before anything is done. Jobs that a controller does at
// once are waited for.
type VolumeSetter interface {
	Storage(ctx context.Context) ([]StorageController, error)
	CompareVolumes(ctx context.Context, want WantedVolumes) ([]Difference, error)
	SetVolumes(ctx context.Context, want WantedVolumes) (Change, error)
	VerifyVolumes(ctx context.Context, want WantedVolumes) error
}

// Firmware is one component's firmware as it is installed.
type Firmware struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

// FirmwareMinimum is the oldest version of a component that will do. Component is
// BIOS or BMC, or the ID, the software ID or (a part of) the name in the inventory;
// where several fit, each must do.
type FirmwareMinimum struct {
	Component string `json:"component"`
	Version   string `json:"version"`
}

// FirmwareReader is the facet of a BMC that tells firmware versions. Nothing is
// updated. Versions that cannot be compared, as those of different families, count as
// different unless they are equal.
type FirmwareReader interface {
	Firmware(ctx context.Context) ([]Firmware, error)
	CompareFirmware(ctx context.Context, minimum []FirmwareMinimum) ([]Difference, error)
}
