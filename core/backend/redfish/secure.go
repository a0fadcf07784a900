package redfish

import (
	"context"
	"fmt"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

var _ core.SecureBootSetter = (*conversation)(nil)

// SecureBoot implements core.SecureBootSetter.
func (b *conversation) SecureBoot(ctx context.Context) (core.SecureBootState, error) {
	return facet(ctx, b, "read Secure Boot", func(t talk) (core.SecureBootState, error) {
		s, err := t.secureBoot()
		return s.SecureBootState, err
	})
}

// CompareSecureBoot implements core.SecureBootSetter.
func (b *conversation) CompareSecureBoot(ctx context.Context, want bool) ([]core.Difference, error) {
	return facet(ctx, b, "compare Secure Boot", func(t talk) ([]core.Difference, error) {
		s, err := t.secureBoot()
		if err != nil {
			return nil, err
		}
		return s.differences(want), s.lacks(want)
	})
}

// SetSecureBoot implements core.SecureBootSetter.
func (b *conversation) SetSecureBoot(ctx context.Context, want bool) (core.Change, error) {
	return facet(ctx, b, "set Secure Boot", func(t talk) (core.Change, error) {
		s, err := t.secureBoot()
		if err != nil {
			return core.Change{}, err
		}
		change := core.Change{Differs: s.differences(want)}
		if err := s.lacks(want); err != nil {
			return core.Change{}, err
		}
		if s.Enabled != want {
			err := t.settle(
				func() error {
					_, err := t.patchForLater(s.link, "", map[string]bool{"SecureBootEnable": want})
					return err
				},
				func() (bool, string, error) {
					var err error
					s, err = t.secureBoot()
					return s.Enabled == want, "Secure Boot " + onOff(s.Enabled), err
				},
			)
			if isCommitted(err) {
				return core.Change{Differs: change.Differs, Reset: true, Again: true}, nil
			}
			if err != nil {
				return core.Change{}, t.notTaken(err, "it does not take Secure Boot "+onOff(want))
			}
		}
		change.Reset = s.InForce != want
		return change, nil
	})
}

// VerifySecureBoot implements core.SecureBootSetter.
func (b *conversation) VerifySecureBoot(ctx context.Context, want bool) error {
	return b.verb(ctx, "verify Secure Boot", func(t talk) error {
		return t.verify(func() (progress, error) {
			s, err := t.secureBoot()
			p := progress{differs: s.differences(want)}
			if len(p.differs) > 0 && s.Enabled == want {
				p.waits = "Secure Boot " + onOff(s.InForce) + ", " + onOff(want) + " from the next start on"
			}
			return p, err
		})
	})
}

type secureBoot struct {
	core.SecureBootState
	link string // where it is written
}

func (s secureBoot) differences(want bool) []core.Difference {
	if s.InForce == want && s.Enabled == want {
		return nil
	}
	found := onOff(s.InForce)
	if s.InForce != s.Enabled {
		found = fmt.Sprintf("%s, and %s from the next start on", found, onOff(s.Enabled))
	}
	return []core.Difference{{Name: "Secure Boot", Wanted: onOff(want), Found: found}}
}

// lacks refuses to turn on what is not on without keys.
func (s secureBoot) lacks(want bool) error {
	if want && s.Mode == "SetupMode" {
		return &wrongError{what: "Secure Boot has no keys (SetupMode), and is not on without; enroll the platform's keys first"}
	}
	return nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

type secureBootResource struct {
	Enable   lenient[*bool] `json:"SecureBootEnable"`
	Current  text           `json:"SecureBootCurrentBoot"`
	Mode     text           `json:"SecureBootMode"`
	Settings lenient[struct {
		Object schemas.Link `json:"SettingsObject"`
	}] `json:"@Redfish.Settings"`
}

func (t talk) secureBoot() (secureBoot, error) {
	var sys struct{ SecureBoot schemas.Link }
	if _, err := t.get(t.links[linkSystem], &sys); err != nil {
		return secureBoot{}, err
	}
	if sys.SecureBoot == "" {
		return secureBoot{}, &noFacetError{"Secure Boot"}
	}
	var r, later secureBootResource
	if _, err := t.get(string(sys.SecureBoot), &r); err != nil {
		return secureBoot{}, err
	}
	if r.Enable.is == nil {
		return secureBoot{}, &noFacetError{"Secure Boot that it would tell of"}
	}
	s := secureBoot{link: string(sys.SecureBoot)}
	s.Enabled, s.Mode = *r.Enable.is, string(r.Mode)
	// One that does not tell of the last start is believed to be as it is set.
	s.InForce = r.Current == "Enabled" || r.Current == "" && s.Enabled
	if object := string(r.Settings.is.Object); object != "" {
		s.link = object
		if _, err := t.get(object, &later); err != nil {
			return secureBoot{}, err
		}
		if later.Enable.is != nil {
			s.Enabled = *later.Enable.is
		}
	}
	return s, nil
}
