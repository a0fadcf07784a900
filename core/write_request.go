package core

import (
	"fmt"
	"reflect"
	"strings"
)

// The texts below are what ParseDisks and its like read: errors name a Request as
// people write it.

// asWritten is a field of a Request, and "none" where it asks for nothing.
func asWritten(field any) string {
	switch v := field.(type) {
	case []Selector:
		return joined(v, ",")
	case []DiskNeed:
		return joined(v, "+")
	case []NICNeed:
		return joined(v, "+")
	case Bytes:
		if v != 0 {
			return v.Exactly()
		}
	}
	if reflect.ValueOf(field).IsZero() {
		return "none"
	}
	return fmt.Sprint(field)
}

func joined[T fmt.Stringer](needs []T, sep string) string {
	if len(needs) == 0 {
		return "none"
	}
	texts := make([]string, len(needs))
	for i, need := range needs {
		texts[i] = need.String()
	}
	return strings.Join(texts, sep)
}

// String writes the need as it is parsed.
func (n DiskNeed) String() string {
	var words []string
	if n.Size > 0 {
		words = append(words, n.Size.Exactly())
	}
	if n.Kind != "" {
		words = append(words, string(n.Kind))
	}
	if len(words) == 0 {
		words = append(words, "any")
	}
	return times(n.Count) + strings.Join(words, ",")
}

// String writes the need as it is parsed.
func (n NICNeed) String() string {
	if n.Mbps == 0 {
		return times(n.Count) + "any"
	}
	return times(n.Count) + Speed(n.Mbps)
}

// Speed writes a port's speed as it is asked for, such as 25G.
func Speed(mbps int) string {
	if mbps%1000 == 0 {
		return fmt.Sprintf("%dG", mbps/1000)
	}
	return fmt.Sprintf("%dM", mbps)
}

func times(count int) string {
	if count == 1 {
		return ""
	}
	return fmt.Sprintf("%dx", count)
}

// String writes the placement as it is parsed; "" is no wish.
func (p Placement) String() string {
	if p.Mode == "" {
		return ""
	}
	text := string(p.Mode) + "=" + p.Key
	if p.Group != "" {
		text += ",group=" + p.Group
	}
	return text
}
