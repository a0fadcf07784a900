package redfish

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// attributes are as JSON has them: string, bool, nil, or a json.Number as number makes it,
// since a float64 does not tell large ones apart.
type attributes map[string]any

// isSecret tells the attributes that hold a password: it could not be read back, and
// would be shown in errors. Dell's show its hash and salt (SHA256SetupPasswordSalt), and
// Supermicro's names end in a number.
var isSecret = regexp.MustCompile(`(?i)(password|passphrase|secret)(salt|hash)?(_[0-9a-f]+)?$`)

// likeness makes of a value that was asked for one of the type that the firmware has
// at this attribute.
func likeness(asked, found any) (any, error) {
	switch found.(type) {
	case bool:
		if v, ok := asked.(bool); ok {
			return v, nil
		}
		if s, ok := asked.(string); ok {
			if v, err := strconv.ParseBool(strings.ToLower(s)); err == nil && len(s) > 1 {
				return v, nil
			}
		}
		return nil, fmt.Errorf("takes true or false, not %s", show(asked))
	case json.Number:
		if v, ok := toNumber(asked); ok {
			return v, nil
		}
		if s, ok := asked.(string); ok && wholeNumber.MatchString(s) {
			return digits(s), nil
		}
		return nil, fmt.Errorf("takes a number, not %s", show(asked))
	case string:
		if v, ok := asked.(string); ok {
			return v, nil
		}
		return nil, fmt.Errorf("takes a text, as %s is, and not %s", show(found), show(asked))
	}
	// It has no value, or one that is compared as a whole.
	if v, ok := toNumber(asked); ok {
		return v, nil
	}
	switch asked.(type) {
	case string, bool:
		return asked, nil
	}
	return nil, fmt.Errorf("takes a text, a number, true or false, and not %s", show(asked))
}

// toNumber is a whole or broken number of whatever Go type.
func toNumber(v any) (json.Number, bool) {
	switch x := v.(type) {
	case int, int64, uint64:
		return json.Number(fmt.Sprint(x)), true
	case float64:
		return decimal(x), !math.IsNaN(x) && !math.IsInf(x, 0)
	case json.Number:
		if wholeNumber.MatchString(x.String()) {
			return digits(x.String()), true
		}
		f, err := x.Float64()
		return decimal(f), err == nil
	}
	return "", false
}

// wholeNumber is one as texts spell it, of any length.
var wholeNumber = regexp.MustCompile(`^[+-]?[0-9]+$`)

// digits is a whole number with no more of them than it takes, so that equal ones are
// equal texts.
func digits(s string) json.Number {
	sign := ""
	if s[0] == '-' {
		sign = "-"
	}
	s = strings.TrimLeft(s, "+-0")
	if s == "" {
		return "0"
	}
	return json.Number(sign + s)
}

// decimal is a number without an exponent, and no less than nothing where it is nothing.
func decimal(f float64) json.Number { return json.Number(strconv.FormatFloat(f+0, 'f', -1, 64)) }

// spelled is a value as a text; "" is none.
func spelled(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	}
	return fmt.Sprint(v)
}

// show is a value for people: texts as they are spelled, so that a blank is seen.
func show(v any) string {
	switch x := v.(type) {
	case nil:
		return "nothing"
	case string:
		if x == "" || strings.ContainsFunc(x, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f }) {
			return strconv.Quote(shorten(x, 80))
		}
		return shorten(x, 80)
	}
	return shorten(spelled(v), 80)
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// biosState is what a server's firmware is set to.
type biosState struct {
	force   attributes
	waiting attributes // that differ from those in force
}

// list tells of each attribute all that is known of it. Values of secrets are left out:
// some BMCs show a hash.
func (s biosState) list(known registry) (all []core.BIOSAttribute) {
	shown := maps.Clone(s.force)
	maps.Copy(shown, s.waiting)
	described := known.byName()
	for _, name := range sortedNames(shown) {
		told := described[name]
		a := told.about()
		a.Name, a.Secret = name, isSecret.MatchString(name) || told.Type == "Password"
		if !a.Secret {
			a.Value, a.Pending = s.force[name], s.waiting[name]
		}
		all = append(all, a)
	}
	return all
}

// effective is a value from the next start on.
func (s biosState) effective(name string) any {
	if v, ok := s.waiting[name]; ok {
		return v
	}
	return s.force[name]
}

// differences are what is in force and not wanted.
func (s biosState) differences(want attributes) []core.Difference {
	var all []core.Difference
	for _, name := range sortedNames(want) {
		if found := s.force[name]; found != want[name] {
			all = append(all, core.Difference{Name: name, Wanted: spelled(want[name]), Found: spelled(found)})
		}
	}
	return all
}

// needed is what must be written for want to be in force after the next start.
func (s biosState) needed(want attributes) attributes {
	need := attributes{}
	for name, v := range want {
		if s.effective(name) != v {
			need[name] = v
		}
	}
	return need
}

// waits says whether something wanted waits for the next start.
func (s biosState) waits(want attributes) bool {
	return slices.ContainsFunc(sortedNames(want), func(name string) bool {
		_, waiting := s.waiting[name]
		return waiting && s.force[name] != want[name]
	})
}

// compared makes a state of the attributes in force and those of the settings, which
// some BMCs show whole and some only where they differ. Lists and objects, which some
// have, are compared by their text.
func compared(force, settings map[string]any) biosState {
	s := biosState{force: attributes{}, waiting: attributes{}}
	for name, v := range force {
		s.force[name] = plain(v)
	}
	for name, v := range settings {
		if v := plain(v); v != s.force[name] {
			s.waiting[name] = v
		}
	}
	return s
}

func plain(v any) any {
	switch v.(type) {
	case nil, string, bool:
		return v
	case json.Number:
		if n, ok := toNumber(v); ok {
			return n
		}
	}
	text, _ := json.Marshal(v) // it comes from JSON
	return string(text)
}
