package efi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
)

const kept = NonVolatile | atBoot | atRuntime

// kinds are the lists of load options that firmware has, each with its order.
var kinds = []string{"Boot", "Driver", "SysPrep"}

var numbered = regexp.MustCompile(`^(Boot|Driver|SysPrep)([0-9A-F]{4})$`)

// entry is a load option under its number.
type entry struct {
	kind   string
	number uint16
	option LoadOption
	bad    error // why the option cannot be read
}

func (e entry) name() Name { return nameOf(e.kind, e.number) }

func (e entry) String() string { return fmt.Sprintf("%s %q", e.name().Name, e.option.Description) }

func nameOf(kind string, number uint16) Name {
	return Name{fmt.Sprintf("%s%04X", kind, number), global}
}

// entries reads all load options of a kind, by number.
func (v *Variables) entries(kind string) ([]entry, error) {
	names, err := v.List()
	if err != nil {
		return nil, err
	}
	var found []entry
	for _, n := range names {
		m := numbered.FindStringSubmatch(n.Name)
		if n.Vendor != global || m == nil || m[1] != kind {
			continue
		}
		number, err := strconv.ParseUint(m[2], 16, 16)
		if err != nil {
			return nil, err
		}
		e := entry{kind: kind, number: uint16(number)}
		_, data, err := v.Get(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		e.option, e.bad = ParseLoadOption(data)
		found = append(found, e)
	}
	slices.SortFunc(found, func(a, b entry) int { return int(a.number) - int(b.number) })
	return found, nil
}

// order is empty where there is no such variable.
func (v *Variables) order(kind string) ([]uint16, error) {
	_, data, err := v.Get(Name{kind + "Order", global})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	var numbers []uint16
	for ; len(data) >= 2; data = data[2:] {
		numbers = append(numbers, binary.LittleEndian.Uint16(data))
	}
	return numbers, err
}

func (v *Variables) setOrder(kind string, numbers []uint16) error {
	name := Name{kind + "Order", global}
	if len(numbers) == 0 {
		return v.Delete(name)
	}
	var data []byte
	for _, n := range numbers {
		data = binary.LittleEndian.AppendUint16(data, n)
	}
	return v.Set(name, kept, data)
}

// Install makes an option the first that the firmware boots. It takes the place of
// those with the same description, and leaves all others alone. What was written was
// read back when it returns nil.
func (v *Variables) Install(o LoadOption) (name string, err error) {
	all, err := v.entries("Boot")
	if err != nil {
		return "", err
	}
	order, err := v.order("Boot")
	if err != nil {
		return "", err
	}
	number, older, err := place(all, o.Description)
	if err != nil {
		return "", err
	}
	name = nameOf("Boot", number).Name
	// The entry before the order, the order before what it no longer holds: wherever
	// the power goes, the order names nothing that is not there.
	if err := v.Set(nameOf("Boot", number), kept, o.Bytes()); err != nil {
		return name, err
	}
	order = slices.DeleteFunc(order, func(n uint16) bool { return n == number || slices.Contains(older, n) })
	if err := v.setOrder("Boot", append([]uint16{number}, order...)); err != nil {
		return name, err
	}
	for _, n := range older {
		if err := v.Delete(nameOf("Boot", n)); err != nil {
			return name, err
		}
	}
	return name, nil
}

// place chooses the number for an option of that description, and says which others
// of it are left over.
func place(all []entry, description string) (number uint16, older []uint16, err error) {
	taken := map[uint16]bool{}
	var ours []uint16
	for _, e := range all {
		taken[e.number] = true
		if e.bad == nil && e.option.Description == description {
			ours = append(ours, e.number)
		}
	}
	if len(ours) > 0 {
		return ours[0], ours[1:], nil
	}
	for n := range uint16(1<<16 - 1) {
		if !taken[n] {
			return n, nil, nil
		}
	}
	return 0, nil, errors.New("the firmware has no free number for a boot entry")
}
