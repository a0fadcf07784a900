package efi

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/metalpool/metalpool/agent/gpt"
)

// vendor makes a GUID of its first three numbers and the rest.
func vendor(a uint32, b, c uint16, rest ...byte) gpt.GUID {
	g := gpt.GUID{byte(a), byte(a >> 8), byte(a >> 16), byte(a >> 24), byte(b), byte(b >> 8), byte(c), byte(c >> 8)}
	copy(g[8:], rest)
	return g
}

var (
	systemd = vendor(0x4a67b082, 0x0a4c, 0x41cf, 0xb6, 0xc7, 0x44, 0x0b, 0x29, 0xbb, 0x8c, 0x4f)
	crash   = vendor(0xcfc8fc79, 0xbe2e, 0x4ddc, 0x97, 0xf0, 0x9f, 0x98, 0xbf, 0xe2, 0x98, 0xa0)
	fwupd   = vendor(0x0abba7dc, 0xe516, 0x4167, 0xbb, 0xf5, 0x4d, 0x9d, 0x1c, 0x73, 0x94, 0x16)
	shim    = vendor(0x605dab50, 0xe046, 0x4300, 0xab, 0xb6, 0x3d, 0xd8, 0x10, 0xdd, 0x8b, 0x23)
)

// ofAnOS says whether a variable is one that operating systems leave behind. Those of
// unknown vendors are the firmware's own as far as anybody can tell, and stay.
func ofAnOS(n Name) bool {
	switch n.Vendor {
	case systemd, crash, fwupd:
		return true
	case shim:
		// What an owner asked shim to do at the next boot. Shim's own list of keys
		// cannot be seen from an OS.
		return strings.HasPrefix(n.Name, "Mok") && n.Name != "MokList" && n.Name != "MokListX"
	case global:
		return n.Name == "BootNext" || n.Name == "OsIndications"
	}
	return false
}

// Forget removes what owners leave in the firmware: load options of the given
// description, and those that point at partitions that are no longer there; what is run
// before every boot and comes from the network; what the next boot was told to do; variables of operating systems. Each line says what was
// removed, or could not be.
func (v *Variables) Forget(description string, there func(HardDrive) bool) []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, kind := range kinds {
		if err := v.forgetEntries(kind, description, there, say); err != nil {
			say("the firmware's %s entries cannot be reset: %v", strings.ToLower(kind), err)
		}
	}
	if err := v.forgetVariables(say); err != nil {
		say("the variables that an OS left cannot be reset: %v", err)
	}
	if _, data, err := v.Get(Name{"SecureBoot", global}); err == nil && slices.Equal(data, []byte{1}) {
		say("keys that an owner enrolled in shim (MokList) stay: only shim itself can remove them, at the console")
	}
	return lines
}

func (v *Variables) forgetEntries(kind, description string, there func(HardDrive) bool, say func(string, ...any)) error {
	all, err := v.entries(kind)
	if err != nil {
		return err
	}
	order, err := v.order(kind)
	if err != nil {
		return err
	}
	reasons := map[uint16]string{}
	for _, e := range all {
		if why := reason(e, description, there); why != "" {
			reasons[e.number] = why
		} else if url := e.option.URL(); url != "" {
			say("boot entry %s boots from %s: it stays, look whether it is yours", e, url)
		}
	}
	// The order first: it is never to name what is not there.
	left := slices.DeleteFunc(slices.Clone(order), func(n uint16) bool { return reasons[n] != "" })
	if !slices.Equal(left, order) {
		if err := v.setOrder(kind, left); err != nil {
			return err
		}
	}
	var failed []error
	for _, e := range all {
		if reasons[e.number] == "" {
			continue
		}
		if err := v.Delete(e.name()); err != nil {
			failed = append(failed, err)
			continue
		}
		say("boot entry %s removed: %s", e, reasons[e.number])
	}
	return errors.Join(failed...)
}

// reason says why an entry is to go; it stays where there is none.
func reason(e entry, description string, there func(HardDrive) bool) string {
	if e.bad != nil {
		return "it is damaged: " + e.bad.Error()
	}
	if e.option.Description == description {
		return "it is ours"
	}
	if e.kind != "Boot" && e.option.fromNetwork() {
		return "it would be fetched from the network and run before every start"
	}
	for _, d := range e.option.Partitions() {
		if !there(d) {
			return fmt.Sprintf("partition %s is gone", d)
		}
	}
	return ""
}

// listed bounds how many names are told: a kernel's crash may fill dozens.
const listed = 8

func (v *Variables) forgetVariables(say func(string, ...any)) error {
	names, err := v.List()
	if err != nil {
		return err
	}
	var removed []string
	var failed []error
	for _, n := range names {
		if !ofAnOS(n) {
			continue
		}
		attributes, _, err := v.Get(n)
		if errors.Is(err, fs.ErrNotExist) || err == nil && attributes&NonVolatile == 0 {
			continue // what is volatile is of this boot, by our own loader
		}
		if err == nil {
			err = v.Delete(n)
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		removed = append(removed, n.Name)
	}
	if more := len(removed) - listed; more > 0 {
		removed = append(removed[:listed], fmt.Sprintf("and %d more", more))
	}
	if len(removed) > 0 {
		say("variables that an OS left, removed: %s", strings.Join(removed, ", "))
	}
	return errors.Join(failed...)
}
