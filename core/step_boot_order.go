package core

import (
	"context"
	"errors"
	"slices"
)

// BootOrderStep sets where the server's firmware looks for something to boot.
type BootOrderStep struct {
	// First come first: references (Boot0003), names or aliases (Hdd, Pxe) of boot options.
	// The others follow as they are.
	First []string `json:"first" yaml:"first,flow"`
}

func (s *BootOrderStep) check() error {
	if len(s.First) == 0 || slices.Contains(s.First, "") {
		return inPart(errors.New("it names no boot option, or one without a name"), "first")
	}
	return nil
}

func (s *BootOrderStep) compare(ctx context.Context, bmc BMC) ([]Difference, error) {
	f, err := facetOf[BootOrderSetter](bmc, "boot order")
	if err != nil {
		return nil, err
	}
	return f.CompareBootOrder(ctx, s.First)
}

func (s *BootOrderStep) set(ctx context.Context, bmc BMC) (Change, error) {
	f, err := facetOf[BootOrderSetter](bmc, "boot order")
	if err != nil {
		return Change{}, err
	}
	return f.SetBootOrder(ctx, s.First)
}

func (s *BootOrderStep) verify(ctx context.Context, bmc BMC) error {
	f, err := facetOf[BootOrderSetter](bmc, "boot order")
	if err != nil {
		return err
	}
	return f.VerifyBootOrder(ctx, s.First)
}
