package redfish

import (
	"context"
	"errors"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

// SetTag is ErrTagUnsupported (by errors.Is) where the BMC refuses, or takes the
// tag and does not keep it.
func (b *conversation) SetTag(ctx context.Context, tag string) error {
	const op = "set asset tag"
	return b.verb(ctx, op, func(t talk) error {
		shown, err := t.tag()
		if err != nil || shown == tag {
			return err
		}
		err = t.settle(
			func() error { return t.patch(t.links[linkSystem], "", map[string]string{"AssetTag": tag}) },
			func() (bool, string, error) {
				shown, err := t.tag()
				return shown == tag, "another tag", err
			},
		)
		var answer *schemas.Error
		var kept *unsettledError
		switch {
		case errors.As(err, &kept) && kept.err == nil,
			errors.As(err, &answer) && outcomeOf(err, t.manners.Busy) == refused && !saysBusy(answer, t.manners.Busy):
			_, what, _ := diagnose(ctx, t.at, err)
			return &core.Error{Op: op, Kind: core.Backend, Hint: core.ErrTagUnsupported.Hint,
				Err: &causeError{text: "BMC " + t.at.base + ": " + shorten(t.scrub(what), longest), err: core.ErrTagUnsupported}}
		}
		return err
	})
}

func (t talk) tag() (string, error) {
	var s struct{ AssetTag text }
	_, err := t.get(t.links[linkSystem], &s)
	return string(s.AssetTag), err
}
