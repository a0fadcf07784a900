package redfish

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

var _ core.FirmwareReader = (*conversation)(nil)

// Firmware implements core.FirmwareReader. The first two are BIOS and BMC, as system
// and manager tell them, where they do.
func (b *conversation) Firmware(ctx context.Context) ([]core.Firmware, error) {
	return facet(ctx, b, "read firmware", func(t talk) ([]core.Firmware, error) {
		all, err := t.firmware()
		if err != nil {
			return nil, err
		}
		list := make([]core.Firmware, len(all))
		for i, f := range all {
			list[i] = f.Firmware
		}
		return list, nil
	})
}

// CompareFirmware implements core.FirmwareReader.
func (b *conversation) CompareFirmware(ctx context.Context, minimum []core.FirmwareMinimum) ([]core.Difference, error) {
	return facet(ctx, b, "compare firmware", func(t talk) ([]core.Difference, error) {
		all, err := t.firmware()
		if err != nil {
			return nil, err
		}
		return tooOld(all, minimum)
	})
}

// component is one entry of the inventory.
type component struct {
	core.Firmware
	part string // what makers call the firmware of all devices of a kind
}

// notInstalled tells the entries of versions that could be installed, or were: Dell's
// Previous, Current (until the device restarts, next to Installed) and Available,
// Lenovo's and HPE's second copies.
var notInstalled = regexp.MustCompile(`(?i)^(previous|available|rollback)-|backup|redundant|pending`)

func (t talk) firmware() ([]component, error) {
	var s struct {
		BIOSVersion text `json:"BiosVersion"`
	}
	if _, err := t.get(t.links[linkSystem], &s); err != nil {
		return nil, err
	}
	var all []component
	if s.BIOSVersion != "" {
		all = append(all, component{Firmware: core.Firmware{ID: "BIOS", Name: "BIOS", Version: string(s.BIOSVersion)}})
	}
	if link := t.links[linkManager]; link != "" {
		var m manager
		if _, err := t.get(link, &m); err != nil {
			return nil, err
		}
		if m.FirmwareVersion != "" {
			all = append(all, component{Firmware: core.Firmware{ID: "BMC", Name: "BMC", Version: string(m.FirmwareVersion)}})
		}
	}
	listed, err := t.inventoryOfFirmware()
	if err != nil {
		return nil, err
	}
	all = append(all, listed...)
	if len(all) == 0 {
		return nil, &noFacetError{"firmware inventory"}
	}
	return all, nil
}

func (t talk) inventoryOfFirmware() ([]component, error) {
	var r struct{ UpdateService schemas.Link }
	if _, err := t.get("/redfish/v1/", &r); err != nil || r.UpdateService == "" {
		return nil, err
	}
	var service struct{ FirmwareInventory schemas.Link }
	if _, err := t.get(string(r.UpdateService), &service); err != nil || service.FirmwareInventory == "" {
		return nil, onlyFatal(err)
	}
	links, err := t.members(string(service.FirmwareInventory))
	if err != nil {
		return nil, onlyFatal(err)
	}
	var all []component
	for _, link := range links {
		var f struct {
			ID, Name, Version text
			SoftwareID        text `json:"SoftwareId"`
		}
		if _, err := t.get(link, &f); err != nil {
			if err := onlyFatal(err); err != nil {
				return nil, err
			}
			continue
		}
		if f.Version != "" && !notInstalled.MatchString(string(f.ID)) && !notInstalled.MatchString(string(f.Name)) {
			all = append(all, component{Firmware: core.Firmware{ID: string(f.ID), Name: string(f.Name), Version: string(f.Version)}, part: string(f.SoftwareID)})
		}
	}
	return superseded(all), nil
}

// superseded leaves out Dell's Current entries where there is an Installed one.
func superseded(all []component) []component {
	return slices.DeleteFunc(all, func(c component) bool {
		rest, current := strings.CutPrefix(c.ID, "Current-")
		part, _, _ := strings.Cut(rest, "-")
		return current && slices.ContainsFunc(all, func(o component) bool { return strings.HasPrefix(o.ID, "Installed-"+part+"-") })
	})
}

// tooOld are the components that are below a minimum.
func tooOld(all []component, minimum []core.FirmwareMinimum) ([]core.Difference, error) {
	var differs []core.Difference
	var wrong []string
	for _, m := range minimum {
		if _, ok := parseVersion(m.Version); !ok {
			wrong = append(wrong, show(m.Version)+" is no version")
			continue
		}
		found := chosen(all, m.Component)
		if len(found) == 0 {
			wrong = append(wrong, "there is no firmware "+show(m.Component)+near(m.Component, componentNames(all)))
		}
		for _, c := range found {
			d := core.Difference{Name: "the firmware of " + c.Name, Wanted: "at least " + m.Version, Found: c.Version}
			switch order, ok := compareVersions(c.Version, m.Version); {
			case !ok:
				d.Found += ", which cannot be compared"
				differs = append(differs, d)
			case order < 0:
				differs = append(differs, d)
			}
		}
	}
	if len(wrong) > 0 {
		return nil, &wrongError{what: strings.Join(wrong, "; ")}
	}
	return differs, nil
}

// chosen are the components that a word means: by what it is at first that fits any.
func chosen(all []component, word string) []component {
	for _, fits := range []func(component) bool{
		func(c component) bool { return strings.EqualFold(c.ID, word) },
		func(c component) bool { return c.part != "" && strings.EqualFold(c.part, word) },
		func(c component) bool { return strings.EqualFold(c.Name, word) },
		func(c component) bool {
			return word != "" && strings.Contains(strings.ToLower(c.Name), strings.ToLower(word))
		},
	} {
		if found := slices.DeleteFunc(slices.Clone(all), func(c component) bool { return !fits(c) }); len(found) > 0 {
			return found
		}
	}
	return nil
}

func componentNames(all []component) []string {
	var names []string
	for _, c := range all {
		names = append(names, c.Name, c.ID)
	}
	return names
}
