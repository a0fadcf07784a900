package core

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Two steps that set the same of one server to two things undo each other, and the one
// that comes first is then not in force: the server would be blamed for it. So they are
// refused together, unless no server is one for both of them.

// checkTogether refuses the steps of a profile that contradict each other. Those of another
// kind have nothing to disagree on, and there may be thousands.
func checkTogether(steps []Step) error {
	before := map[StepKind][]*Step{}
	for i := range steps {
		b := &steps[i]
		kind := b.Kind()
		for _, a := range before[kind] {
			if !a.Only.meets(b.Only) {
				continue
			}
			what, hint := contradiction(a, b)
			if what == "" {
				continue
			}
			return &Error{
				Op: "combine steps", Kind: Invalid,
				Err:  fmt.Errorf("the steps %s and %s, which one server may both be for, disagree on %s", a.Name, b.Name, what),
				Hint: hint + ", or say with 'only' which servers each is for",
			}
		}
		if slices.Contains(contradictory, kind) {
			before[kind] = append(before[kind], b)
		}
	}
	return nil
}

// contradictory are the kinds whose steps can disagree.
var contradictory = []StepKind{KindBIOS, KindBootOrder, KindSecureBoot, KindRAID}

// contradiction is what two steps disagree on; "" is nothing.
func contradiction(a, b *Step) (what, hint string) {
	switch {
	case a.BIOS != nil && b.BIOS != nil:
		return a.BIOS.contradicts(b.BIOS), "leave it to one of them"
	case a.BootOrder != nil && b.BootOrder != nil:
		return a.BootOrder.contradicts(b.BootOrder), "make one step of them"
	case a.SecureBoot != nil && b.SecureBoot != nil && a.SecureBoot.Enabled != b.SecureBoot.Enabled:
		return fmt.Sprintf("secure_boot: enabled is %t and %t", a.SecureBoot.Enabled, b.SecureBoot.Enabled), "leave it to one of them"
	case a.RAID != nil && b.RAID != nil && !sameJSON(a.RAID, b.RAID):
		return "the volumes: each has those deleted that it does not name", "make one step of them"
	}
	return "", ""
}

func (s *BIOSStep) contradicts(o *BIOSStep) string {
	var all []string
	for name, v := range s.Attributes {
		// A text that spells a number, or true, is as good.
		if w, both := o.Attributes[name]; both && spelled(v) != spelled(w) {
			all = append(all, fmt.Sprintf("%s: %s and %s", name, spelled(v), spelled(w)))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// spelled is a value as a text: of a number the one that the store keeps of a rack file's,
// since one of two steps may come from there.
func spelled(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return asYAMLReads(v).String()
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// contradicts lets pass what only says more of the same order.
func (s *BootOrderStep) contradicts(o *BootOrderStep) string {
	for i := range min(len(s.First), len(o.First)) {
		if !strings.EqualFold(s.First[i], o.First[i]) {
			return fmt.Sprintf("the boot order: %s and %s", strings.Join(s.First, ", "), strings.Join(o.First, ", "))
		}
	}
	return ""
}

// meets reports whether a server could be one of both.
func (o *StepServers) meets(other *StepServers) bool {
	if o == nil || other == nil {
		return true
	}
	for name, value := range o.Labels {
		if v, both := other.Labels[name]; both && v != value {
			return false
		}
	}
	return bothLike(o.Manufacturer, other.Manufacturer) && bothLike(o.Model, other.Model)
}
