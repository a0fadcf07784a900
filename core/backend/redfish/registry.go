package redfish

import (
	"encoding/json"
	"fmt"
	"math/big"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

// registry says which attributes a server's firmware has, and which values they take.
// It is a big document, and read only where something is to be written, or is wrong.
type registry []registryAttribute

type registryAttribute struct {
	Name     text          `json:"AttributeName"`
	Label    text          `json:"DisplayName"`
	Type     text          `json:"Type"`
	ReadOnly lenient[bool] `json:"ReadOnly"`
	Values   lenient[[]struct {
		Name text `json:"ValueName"`
	}] `json:"Value"`
	Low     bound `json:"LowerBound"`
	Top     bound `json:"UpperBound"`
	Longest bound `json:"MaxLength"`
}

// readRegistry finds the registry of that name. A server without one is nothing out of
// the ordinary: the registry is then empty. It is read once in a conversation.
func (t talk) readRegistry(name string) (registry, error) {
	if r, read := t.registries[name]; read {
		return r, nil
	}
	r, err := t.findRegistry(name)
	if err == nil {
		t.registries[name] = r
	}
	return r, err
}

func (t talk) findRegistry(name string) (registry, error) {
	file, err := t.registryFile(name)
	if err != nil || file == "" {
		return nil, onlyFatal(err)
	}
	var found struct {
		Location []struct {
			Language text
			URI      text `json:"Uri"`
		}
	}
	if _, err := t.get(file, &found); err != nil {
		return nil, onlyFatal(err)
	}
	at := ""
	for _, l := range found.Location {
		if at == "" || strings.HasPrefix(string(l.Language), "en") {
			at = string(l.URI)
		}
	}
	if at == "" {
		return nil, nil
	}
	var doc struct {
		RegistryEntries struct{ Attributes registry }
	}
	if _, err := t.get(at, &doc); err != nil {
		return nil, onlyFatal(err)
	}
	return doc.RegistryEntries.Attributes, nil
}

// registryFile is the link to the entry of a registry: of its very name, else of one
// that is called so but for the version.
func (t talk) registryFile(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	var r struct{ Registries schemas.Link }
	if _, err := t.get("/redfish/v1/", &r); err != nil {
		return "", err
	}
	links, err := t.members(firstOf(string(r.Registries), "/redfish/v1/Registries"))
	if err != nil {
		return "", err
	}
	family, _, _ := strings.Cut(name, ".")
	for _, fits := range []func(string) bool{
		func(id string) bool { return strings.EqualFold(id, name) },
		func(id string) bool { return strings.HasPrefix(strings.ToLower(id), strings.ToLower(family)) },
	} {
		if i := slices.IndexFunc(links, func(l string) bool { return fits(path.Base(l)) }); i >= 0 {
			return links[i], nil
		}
	}
	return "", nil
}

func (r registry) named(name string) (registryAttribute, bool) {
	i := slices.IndexFunc(r, func(a registryAttribute) bool { return string(a.Name) == name })
	if i < 0 {
		return registryAttribute{}, false
	}
	return r[i], true
}

// byName is the registry for whoever looks all of a server's attributes up: what a BMC
// sends may be large.
func (r registry) byName() map[string]registryAttribute {
	all := make(map[string]registryAttribute, len(r))
	for _, a := range slices.Backward(r) { // the first of a name counts, as in named
		all[string(a.Name)] = a
	}
	return all
}

// meant is what an unknown name most likely means: of the names, then of the labels
// that the firmware's menu shows.
func (r registry) meant(name string, others []string) string {
	names := slices.Clone(others)
	for _, a := range r {
		names = append(names, string(a.Name))
	}
	if n := nearest(name, names); n != "" {
		return n
	}
	var labels []string
	for _, a := range r {
		labels = append(labels, string(a.Label))
	}
	if l := nearest(name, labels); l != "" {
		return string(r[slices.Index(labels, l)].Name)
	}
	return ""
}

// about is what there is to tell of an attribute.
func (a registryAttribute) about() core.BIOSAttribute {
	about := core.BIOSAttribute{Label: string(a.Label), Type: string(a.Type), ReadOnly: a.ReadOnly.is}
	switch a.Type {
	case "Enumeration":
		about.Values = a.values()
	case "Integer":
		about.Lower, about.Upper = a.Low.told(), a.Top.told()
	case "String":
		about.MaxLength = a.Longest.told()
	}
	return about
}

func (a registryAttribute) values() []string {
	values := make([]string, len(a.Values.is))
	for i, known := range a.Values.is {
		values[i] = string(known.Name)
	}
	return values
}

// refuses says what is wrong with a value, as far as the registry tells.
func (a registryAttribute) refuses(v any) string {
	values := a.values()
	n, isNumber := v.(json.Number)
	s, isText := v.(string)
	switch {
	case a.ReadOnly.is:
		return "is read-only"
	case a.Type == "Password":
		return "is a password, which cannot be read back"
	case a.Type == "Enumeration" && len(values) > 0 && (!isText || !slices.Contains(values, s)):
		return "takes " + strings.Join(values, ", ") + ", not " + show(v) + near(show(v), values)
	case a.Type == "Integer" && isNumber && (a.Low.above(n) || a.Top.below(n)):
		return fmt.Sprintf("takes numbers from %s to %s, not %s", a.Low, a.Top, show(v))
	case a.Type == "Integer" && !wholeNumber.MatchString(n.String()):
		return "takes a whole number, not " + show(v)
	case a.Type == "Boolean" && !isBool(v):
		return "takes true or false, not " + show(v)
	case a.Type == "String" && isText && a.Longest.below(json.Number(strconv.Itoa(len(s)))):
		return fmt.Sprintf("takes at most %s characters, not the %d of %s", a.Longest, len(s), show(v))
	}
	return ""
}

func isBool(v any) bool {
	_, is := v.(bool)
	return is
}

// sample is a value of the attribute's type; nil where any might be.
func (a registryAttribute) sample() any {
	switch a.Type {
	case "Integer":
		return json.Number("0")
	case "Boolean":
		return false
	}
	return nil
}

// bound is the least or the most of something; "" where there is none.
type bound json.Number

// UnmarshalJSON implements json.Unmarshaler, as leniently as text's.
func (b *bound) UnmarshalJSON(text []byte) error {
	var n json.Number
	if json.Unmarshal(text, &n) == nil {
		if n, ok := toNumber(n); ok {
			*b = bound(n)
		}
	}
	return nil
}

func (b bound) String() string { return firstOf(string(b), "any") }

// told is the number; nil where there is none.
func (b bound) told() any {
	if b == "" {
		return nil
	}
	return json.Number(b)
}

// above and below hold against a number what there is of a bound.
func (b bound) above(n json.Number) bool { return b != "" && exact(json.Number(b)).Cmp(exact(n)) > 0 }
func (b bound) below(n json.Number) bool { return b != "" && exact(json.Number(b)).Cmp(exact(n)) < 0 }

// exact is a number as toNumber makes it, which has no exponent and so is short.
func exact(n json.Number) *big.Rat {
	r, _ := new(big.Rat).SetString(n.String())
	return r
}
