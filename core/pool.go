package core

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Pool is a named set of nodes with a policy.
type Pool struct {
	Name         string     `json:"name"`
	DefaultImage string     `json:"default_image,omitempty"`
	EraseMinimum EraseClass `json:"erase_minimum,omitempty"` // default Clear
	Quota        int        `json:"quota,omitempty"`         // unreleased allocations per owner; 0: no limit
	Timeouts     Timeouts   `json:"timeouts,omitzero"`
	// ManagementKey is whether metalpool can log in to the pool's machines; see
	// management.go.
	ManagementKey ManagementPolicy `json:"management_key,omitempty"`
	// Profile is the choice of steps of machines that name none; Profiles are others that
	// they may name.
	Profile  string   `json:"profile,omitempty"`
	Profiles []string `json:"profiles,omitempty"`
	// StepsAtOnce is how many of its nodes are done steps of the operator's on at one time,
	// by each process that works on them; 0 is DefaultStepsAtOnce. See turns.go.
	StepsAtOnce int `json:"steps_at_once,omitempty"`

	DeclaredBy Declarer `json:"declared_by,omitempty"`
}

// Validate says what is wrong with a policy, whatever else there is in the store.
func (p Pool) Validate() error {
	bad := func(part, hint, format string, args ...any) error {
		return &Error{Op: "set pool " + p.Name, Kind: Invalid, Err: inPart(fmt.Errorf(format, args...), part), Hint: hint}
	}
	switch {
	case !namePattern().MatchString(p.Name):
		return bad("name", nameHint, "%q cannot name a pool", p.Name)
	case p.EraseMinimum != NotErased && p.EraseMinimum.Rank() == 0:
		return bad("erase_minimum", "use clear or purge", "%q is no erase class", p.EraseMinimum)
	case p.Timeouts.Kexec >= p.Timeouts.OrDefaults().SSH:
		return bad("timeouts", "make it shorter, or that of ssh longer", "the kexec timeout of %s is not within that of ssh, %s", FormatDuration(p.Timeouts.Kexec), FormatDuration(p.Timeouts.OrDefaults().SSH))
	case !slices.Contains([]ManagementPolicy{"", ManageNever, ManageDeploy, ManageAlways}, p.ManagementKey):
		return bad("management_key", "say never, deploy or always", "%q is no use of a management key", p.ManagementKey)
	case p.Quota < 0:
		return bad("quota", "0 means no limit", "the quota is negative")
	case p.StepsAtOnce < 0:
		return bad("steps_at_once", fmt.Sprintf("0 means the default, %d", DefaultStepsAtOnce), "the number of steps at once is negative")
	}
	return nil
}

// withDefaults says what counts where a policy leaves something out.
func (p Pool) withDefaults() Pool {
	p.EraseMinimum, p.ManagementKey = cmp.Or(p.EraseMinimum, Clear), p.management()
	p.Timeouts, p.StepsAtOnce = p.Timeouts.OrDefaults(), cmp.Or(p.StepsAtOnce, DefaultStepsAtOnce)
	return p
}

// DefaultPool is the pool that a node or a request belongs to when none is named.
const DefaultPool = "default"

// Timeouts bound each phase; zero means the default. Slow servers need the room:
// POST alone may take ten minutes.
type Timeouts struct {
	Power   time.Duration `json:"power,omitempty"`    // until the BMC reads back what was asked; 2m
	CheckIn time.Duration `json:"check_in,omitempty"` // power on to the agent's call; 20m
	Write   time.Duration `json:"write,omitempty"`    // 60m
	SSH     time.Duration `json:"ssh,omitempty"`      // boot to this attempt's host key; 20m
	// Kexec is the time from kexec to the first sign of life of the OS; after it the
	// server is started from its disk, and SSH begins anew. 10m, or half of SSH where
	// that is less.
	Kexec time.Duration `json:"kexec,omitempty"`
	Erase time.Duration `json:"erase,omitempty"` // 24h
}

// EraseClass is how thoroughly a disk was erased, by NIST SP 800-88. Classes order
// as text does not; use Rank.
type EraseClass string

const (
	NotErased EraseClass = ""
	Clear     EraseClass = "clear" // overwritten or discarded through the normal interface
	Purge     EraseClass = "purge" // sanitize, crypto erase, secure erase
)

// Rank orders the classes, weakest first.
func (c EraseClass) Rank() int {
	switch c {
	case Clear:
		return 1
	case Purge:
		return 2
	}
	return 0
}

// Image is an OS disk image in the catalogue.
type Image struct {
	Name   string `json:"name"`
	Source string `json:"source"` // a path of the deploying host, or an https URL
	// Named is what its operator called the source, where a server has found that behind
	// a link, or in its folder; else empty. Source alone is opened.
	Named  string `json:"named,omitempty"`
	SHA256 string `json:"sha256"` // of the source file, lower-case hex
	Format string `json:"format"` // raw, qcow2; each possibly with gz, xz, zst: "qcow2", "raw.zst"
	Arch   string `json:"arch"`
	User   string `json:"user"` // login user
	// Boot is how the ramdisk hands over to this OS; empty is kexec.
	Boot BootMode `json:"boot,omitempty"`
	// Size is the number of bytes the image takes on the disk; MinDisk the smallest
	// disk that holds it with its seed.
	Size    Bytes     `json:"size"`
	MinDisk Bytes     `json:"min_disk"`
	AddedAt time.Time `json:"added_at"`

	DeclaredBy Declarer `json:"declared_by,omitempty"`
}
