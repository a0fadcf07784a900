package redfish

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

var _ core.BootOrderSetter = (*conversation)(nil)

// BootOptions implements core.BootOrderSetter.
func (b *conversation) BootOptions(ctx context.Context) ([]core.BootOption, error) {
	return facet(ctx, b, "read boot order", func(t talk) ([]core.BootOption, error) {
		o, err := t.order()
		return o.options, err
	})
}

// CompareBootOrder implements core.BootOrderSetter.
func (b *conversation) CompareBootOrder(ctx context.Context, want []string) ([]core.Difference, error) {
	return facet(ctx, b, "compare boot order", func(t talk) ([]core.Difference, error) {
		o, err := t.order()
		if err != nil {
			return nil, err
		}
		wanted, err := sorted(o.options, want)
		return o.differences(wanted), err
	})
}

// SetBootOrder implements core.BootOrderSetter. It writes once: several changes of
// NVRAM between two starts bring some firmware up in a menu.
func (b *conversation) SetBootOrder(ctx context.Context, want []string) (core.Change, error) {
	return facet(ctx, b, "set boot order", func(t talk) (core.Change, error) { return t.setOrder(want) })
}

// VerifyBootOrder implements core.BootOrderSetter.
func (b *conversation) VerifyBootOrder(ctx context.Context, want []string) error {
	return b.verb(ctx, "verify boot order", func(t talk) error {
		o, err := t.order()
		if err != nil {
			return err
		}
		wanted, err := sorted(o.options, want)
		if err != nil {
			return err
		}
		return t.verify(func() (progress, error) {
			o, err := t.order()
			if err != nil {
				return progress{}, err
			}
			p := progress{differs: o.differences(wanted)}
			if len(p.differs) > 0 && slices.Equal(o.next, wanted) {
				p.waits = "a boot order that waits for a start"
			}
			return p, nil
		})
	})
}

// order is the boot order, and where it is written.
type order struct {
	options []core.BootOption // in the order that is in force
	next    []string          // references, from the next start on
	link    string
	timed   bool // a change is told when to apply
}

func references(options []core.BootOption) []string {
	refs := make([]string, len(options))
	for i, o := range options {
		refs[i] = o.Reference
	}
	return refs
}

// named are references as people know them.
func (o order) named(refs []string) string {
	names := make([]string, len(refs))
	for i, ref := range refs {
		names[i] = ref
		if k := slices.IndexFunc(o.options, func(b core.BootOption) bool { return b.Reference == ref }); k >= 0 {
			names[i] = firstOf(o.options[k].Name, ref)
		}
	}
	return strings.Join(names, ", ")
}

func (o order) differences(wanted []string) []core.Difference {
	now := references(o.options)
	if slices.Equal(now, wanted) {
		return nil
	}
	return []core.Difference{{Name: "the boot order", Wanted: o.named(wanted), Found: o.named(now)}}
}

// sorted are the references of the options, those first that are wanted, the others
// behind them as they are.
func sorted(options []core.BootOption, want []string) ([]string, error) {
	var refs, wrong []string
	for _, word := range want {
		found := false
		for _, o := range options {
			if !strings.EqualFold(word, o.Reference) && !strings.EqualFold(word, o.Name) && (o.Alias == "" || !strings.EqualFold(word, o.Alias)) {
				continue
			}
			found = true
			if !slices.Contains(refs, o.Reference) {
				refs = append(refs, o.Reference)
			}
		}
		if !found {
			wrong = append(wrong, show(word))
		}
	}
	if len(wrong) > 0 || len(want) == 0 {
		var there []string
		for _, o := range options {
			there = append(there, strings.TrimSuffix(fmt.Sprintf("%s %q %s", o.Reference, o.Name, o.Alias), " "))
		}
		return nil, &wrongError{what: fmt.Sprintf("it has no boot option %s; there are: %s", firstOf(strings.Join(wrong, ", "), "of no name"), strings.Join(there, ", "))}
	}
	for _, o := range options {
		if !slices.Contains(refs, o.Reference) {
			refs = append(refs, o.Reference)
		}
	}
	return refs, nil
}

type bootOption struct {
	Reference text `json:"BootOptionReference"`
	Name      text `json:"DisplayName"`
	Title     text `json:"Name"`
	Alias     text `json:"Alias"`
}

type orderedSystem struct {
	Boot struct {
		Order   lenient[[]string] `json:"BootOrder"`
		Options schemas.Link      `json:"BootOptions"`
	}
	Settings lenient[struct {
		Object schemas.Link `json:"SettingsObject"`
		Times  []string     `json:"SupportedApplyTimes"`
	}] `json:"@Redfish.Settings"`
}

func (t talk) order() (order, error) {
	var s orderedSystem
	if _, err := t.get(t.links[linkSystem], &s); err != nil {
		return order{}, err
	}
	refs := s.Boot.Order.is
	if len(refs) == 0 {
		return order{}, &noFacetError{"boot order"}
	}
	known := map[string]bootOption{}
	if s.Boot.Options != "" {
		links, err := t.members(string(s.Boot.Options))
		if err := onlyFatal(err); err != nil {
			return order{}, err
		}
		for _, link := range links {
			var o bootOption
			_, err := t.get(link, &o)
			if err := onlyFatal(err); err != nil {
				return order{}, err
			}
			known[string(o.Reference)] = o
		}
	}
	o := order{next: refs, link: t.bootLink()}
	for _, ref := range refs {
		k := known[ref]
		o.options = append(o.options, core.BootOption{Reference: ref, Name: firstOf(string(k.Name), string(k.Title), ref), Alias: string(k.Alias)})
	}
	if object := string(s.Settings.is.Object); object != "" {
		o.link, o.timed = object, slices.Contains(s.Settings.is.Times, "OnReset")
		var settings orderedSystem
		if _, err := t.get(object, &settings); err != nil {
			return order{}, err
		}
		if later := settings.Boot.Order.is; len(later) > 0 {
			o.next = later
		}
	}
	return o, nil
}

func (t talk) setOrder(want []string) (core.Change, error) {
	o, err := t.order()
	if err != nil {
		return core.Change{}, err
	}
	wanted, err := sorted(o.options, want)
	if err != nil {
		return core.Change{}, err
	}
	change := core.Change{Differs: o.differences(wanted)}
	if slices.Equal(o.next, wanted) {
		change.Reset = len(change.Differs) > 0
		return change, nil
	}
	body := map[string]any{"Boot": map[string]any{"BootOrder": wanted}}
	if o.timed {
		body["@Redfish.SettingsApplyTime"] = map[string]string{"ApplyTime": "OnReset"}
	}
	var after order
	err = t.settle(
		func() error {
			_, err := t.patchForLater(o.link, "", body)
			return err
		},
		func() (bool, string, error) {
			var err error
			after, err = t.order()
			return slices.Equal(after.next, wanted), "the boot order " + after.named(after.next), err
		},
	)
	if isCommitted(err) {
		// A job for other settings waits; it and they are not ours to undo.
		return core.Change{Differs: change.Differs, Reset: true, Again: true}, nil
	}
	if err != nil {
		return core.Change{}, t.notTaken(err, "it does not take the boot order "+o.named(wanted))
	}
	change.Reset = len(after.differences(wanted)) > 0
	return change, nil
}
