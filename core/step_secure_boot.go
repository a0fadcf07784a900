package core

import (
	"context"
	"errors"
)

// SecureBootStep has UEFI Secure Boot be off.
type SecureBootStep struct {
	// Enabled is how it is to be. It cannot be on yet: the ramdisk is not signed, so that
	// the server would neither be deployed nor erased ever again.
	Enabled bool `json:"enabled" yaml:"enabled"`
}

func (s *SecureBootStep) check() error {
	if s.Enabled {
		return inPart(errors.New("the ramdisk is not signed, so that a server with Secure Boot on could neither be deployed nor erased; say false"), "enabled")
	}
	return nil
}

func (s *SecureBootStep) compare(ctx context.Context, bmc BMC) ([]Difference, error) {
	f, err := facetOf[SecureBootSetter](bmc, "Secure Boot")
	if err != nil {
		return nil, err
	}
	return f.CompareSecureBoot(ctx, s.Enabled)
}

func (s *SecureBootStep) set(ctx context.Context, bmc BMC) (Change, error) {
	f, err := facetOf[SecureBootSetter](bmc, "Secure Boot")
	if err != nil {
		return Change{}, err
	}
	return f.SetSecureBoot(ctx, s.Enabled)
}

func (s *SecureBootStep) verify(ctx context.Context, bmc BMC) error {
	f, err := facetOf[SecureBootSetter](bmc, "Secure Boot")
	if err != nil {
		return err
	}
	return f.VerifySecureBoot(ctx, s.Enabled)
}
