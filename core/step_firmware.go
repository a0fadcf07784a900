package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// FirmwareStep looks whether the server's firmware is new enough. Nothing is updated: one
// that is not fails the step.
type FirmwareStep struct {
	// Minimum are the oldest versions that will do, by component: BIOS, BMC, or the ID or
	// (a part of) the name in the server's inventory.
	Minimum map[string]string `json:"minimum" yaml:"minimum"`
}

func (s *FirmwareStep) check() error {
	if len(s.Minimum) == 0 {
		return inPart(errors.New("it names no component"), "minimum")
	}
	for component, version := range s.Minimum {
		if component == "" || version == "" {
			return inPart(fmt.Errorf("%q of %q is no version of a component", version, component), "minimum")
		}
	}
	return nil
}

func (s *FirmwareStep) compare(ctx context.Context, bmc BMC) ([]Difference, error) {
	f, err := facetOf[FirmwareReader](bmc, "firmware inventory")
	if err != nil {
		return nil, err
	}
	var minimum []FirmwareMinimum
	for _, component := range slices.Sorted(maps.Keys(s.Minimum)) {
		minimum = append(minimum, FirmwareMinimum{Component: component, Version: s.Minimum[component]})
	}
	return f.CompareFirmware(ctx, minimum)
}

// set has nothing that it could do about a version that is too old.
func (s *FirmwareStep) set(context.Context, BMC) (Change, error) { return Change{}, nil }

func (s *FirmwareStep) verify(context.Context, BMC) error { return nil }
