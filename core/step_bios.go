package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// BIOSStep sets attributes of the server's firmware.
type BIOSStep struct {
	// Attributes are those that are to be so, under the names that the server's maker gave
	// them. All others stay as they are.
	Attributes BIOSAttributes `json:"attributes" yaml:"attributes"`
}

func (s *BIOSStep) check() error {
	if len(s.Attributes) == 0 {
		return inPart(errors.New("it names none"), "attributes")
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(s.Attributes)) {
		switch v := s.Attributes[name].(type) {
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return inPart(fmt.Errorf("%s is a number that is none", name), "attributes")
			}
			size += len(name) + 8
		case string:
			size += len(name) + len(v)
		case json.Number:
			size += len(name) + len(v)
		case bool, int, int64, uint64:
			size += len(name) + 8
		default:
			return inPart(fmt.Errorf("%s is neither a text nor a number, and not true or false", name), "attributes")
		}
	}
	if Bytes(size) > maxStepText {
		return fmt.Errorf("it has %s", tooLong(size))
	}
	return nil
}

func (s *BIOSStep) compare(ctx context.Context, bmc BMC) ([]Difference, error) {
	f, err := facetOf[BIOSSetter](bmc, "BIOS attributes")
	if err != nil {
		return nil, err
	}
	return f.CompareBIOS(ctx, s.Attributes)
}

func (s *BIOSStep) set(ctx context.Context, bmc BMC) (Change, error) {
	f, err := facetOf[BIOSSetter](bmc, "BIOS attributes")
	if err != nil {
		return Change{}, err
	}
	return f.SetBIOS(ctx, s.Attributes)
}

func (s *BIOSStep) verify(ctx context.Context, bmc BMC) error {
	f, err := facetOf[BIOSSetter](bmc, "BIOS attributes")
	if err != nil {
		return err
	}
	return f.VerifyBIOS(ctx, s.Attributes)
}
