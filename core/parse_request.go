package core

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The texts below are how people write a Request: in flags, in environment
// variables, in configuration files. A text is one string and never a list,
// because docker-machine loses lists that come from the environment.

// maxCount bounds a count that is read: no server has more of anything, and a
// slip such as 480x2 deserves a word rather than "0 of 6 nodes match".
const maxCount = 999

// textError refuses a part of a text: where it is, why it is refused, and a
// text that would be right.
func textError(what, part, example, format string, args ...any) error {
	return &Error{
		Op:   "read " + what,
		Kind: Invalid,
		Err:  fmt.Errorf("%q %w", elide(part), fmt.Errorf(format, args...)),
		Hint: "write it like this: " + example,
	}
}

// elide shortens a text that an error repeats.
func elide(s string) string {
	const most = 60 // characters
	for i, n := 0, 0; i < len(s); n++ {
		if n == most {
			return s[:i] + "…"
		}
		_, width := utf8.DecodeRuneInString(s[i:])
		i += width
	}
	return s
}

const selectorExample = "rack=r1,tier!=test,gpu exists,zone in (a,b),vendor notin (x)"

// ParseSelectors reads conditions on labels, all of which must hold, such as
// "rack=r1,gpu exists,zone in (a,b)". An empty text is no condition.
func ParseSelectors(s string) ([]Selector, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	parts, err := splitConditions(s)
	if err != nil {
		return nil, err
	}
	selectors := make([]Selector, 0, len(parts))
	for _, part := range parts {
		selector, err := parseSelector(part)
		if err != nil {
			return nil, err
		}
		selectors = append(selectors, selector)
	}
	return selectors, nil
}

// splitConditions splits at the commas outside of parentheses.
func splitConditions(s string) ([]string, error) {
	var parts []string
	start, open := 0, -1
	for i, r := range s {
		switch {
		case r == '(' && open < 0:
			open = i
		case r == '(':
			return nil, textError("labels", s[open:i+1], selectorExample, "opens a parenthesis inside another one")
		case r == ')' && open < 0:
			return nil, textError("labels", s[start:i+1], selectorExample, "closes a parenthesis that was never opened")
		case r == ')':
			open = -1
		case r == ',' && open < 0:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	if open >= 0 {
		return nil, textError("labels", s[open:], selectorExample, "opens a parenthesis that is never closed")
	}
	return append(parts, s[start:]), nil
}

func parseSelector(part string) (Selector, error) {
	refuse := func(format string, args ...any) (Selector, error) {
		return Selector{}, textError("labels", strings.TrimSpace(part), selectorExample, format, args...)
	}
	text := strings.TrimSpace(part)
	if text == "" {
		return refuse("is a condition that says nothing: there is a comma too many")
	}
	end := strings.IndexFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("=!()", r) })
	if end < 0 {
		return refuse("is a label without a condition: say %q or %q", elide(text)+" exists", elide(text)+"=VALUE")
	}
	label, rest := text[:end], strings.TrimSpace(text[end:])
	if label == "" {
		return refuse("has no label before its condition")
	}
	if word, list, found := strings.Cut(rest, "("); found {
		op := SelectorOp(strings.TrimSpace(word))
		inner, after, _ := strings.Cut(list, ")")
		if op != OpIn && op != OpNotIn || strings.TrimSpace(after) != "" {
			return refuse("has parentheses, which only follow \"in\" and \"notin\"")
		}
		values := strings.Split(inner, ",")
		for i := range values {
			values[i] = strings.TrimSpace(values[i])
			if why := valueFault(values[i]); why != "" {
				return refuse("%s", why)
			}
		}
		return Selector{Label: label, Op: op, Values: values}, nil
	}
	for _, op := range []SelectorOp{OpNotEqual, OpEqual} {
		value, found := strings.CutPrefix(rest, string(op))
		if !found {
			continue
		}
		value = strings.TrimSpace(value)
		if why := valueFault(value); why != "" {
			return refuse("%s", why)
		}
		return Selector{Label: label, Op: op, Values: []string{value}}, nil
	}
	switch word, _, more := strings.Cut(rest, " "); SelectorOp(word) {
	case OpIn, OpNotIn:
		return refuse("does not have its values in parentheses")
	case OpExists:
		if more {
			return refuse("goes on after \"exists\", which takes no value")
		}
		return Selector{Label: label, Op: OpExists}, nil
	}
	return refuse("has a condition that is none of = != in notin exists")
}

// valueFault says what is wrong with a label's value; "" is nothing.
func valueFault(value string) string {
	switch {
	case value == "":
		return "has an empty value"
	case strings.HasPrefix(value, "="):
		return "has == where one = is meant"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "has a control character in its value"
	}
	return ""
}

const diskExample = "2x480GB,ssd+4x8TB,hdd (two SSDs of at least 480 GB and four hard disks of at least 8 TB)"

// ParseDisks reads what disks are needed, such as "2x480GB,ssd": a count, a size
// and a kind, each of which may be left out. Several needs are joined by +. "any"
// is a disk of any size. An empty text is no need.
func ParseDisks(s string) ([]DiskNeed, error) {
	var needs []DiskNeed
	for _, part := range splitNeeds(s) {
		count, rest, err := parseCount("disks", part, diskExample)
		if err != nil {
			return nil, err
		}
		need := DiskNeed{Count: count}
		sized := false
		for word := range strings.SplitSeq(rest, ",") {
			word = strings.TrimSpace(word)
			switch kind := DiskKind(strings.ToLower(word)); kind {
			case HDD, SSD, NVMe:
				if need.Kind != "" {
					return nil, textError("disks", part, diskExample, "names two kinds, %s and %s: join two needs with +", need.Kind, kind)
				}
				need.Kind = kind
				continue
			case "any":
				word = "0B"
			}
			size, err := ParseBytes(word)
			switch {
			case err != nil:
				return nil, textError("disks", part, diskExample, "has %q, which is neither a size with a unit nor one of hdd, ssd, nvme", elide(word))
			case sized:
				return nil, textError("disks", part, diskExample, "names two sizes: join two needs with +")
			}
			need.Size, sized = size, true
		}
		needs = append(needs, need)
	}
	return needs, nil
}

const nicExample = "2x25G+1G (two ports of at least 25 Gbit/s and one of at least 1 Gbit/s)"

// maxMbps is beyond any port; it keeps the conversion to int exact.
const maxMbps = 100_000_000

// ParseNICs reads what network ports are needed, such as "2x25G": a count, which
// may be left out, and a speed with its unit, G or M bit/s, or "any". Several
// needs are joined by +. An empty text is no need.
func ParseNICs(s string) ([]NICNeed, error) {
	var needs []NICNeed
	for _, part := range splitNeeds(s) {
		count, rest, err := parseCount("NICs", part, nicExample)
		if err != nil {
			return nil, err
		}
		mbps, ok := parseSpeed(rest)
		if !ok {
			return nil, textError("NICs", part, nicExample, "has %q where a speed such as 25G or 100M belongs", elide(rest))
		}
		needs = append(needs, NICNeed{Count: count, Mbps: mbps})
	}
	return needs, nil
}

func parseSpeed(s string) (mbps int, ok bool) {
	text := strings.ToLower(s)
	if text == "any" {
		return 0, true
	}
	for _, unit := range []struct {
		suffix string
		mbps   float64
	}{{"gbps", 1000}, {"mbps", 1}, {"g", 1000}, {"m", 1}} {
		number, found := strings.CutSuffix(text, unit.suffix)
		if !found {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		// Written so that NaN is refused, too.
		if err != nil || !(f*unit.mbps >= 1 && f*unit.mbps <= maxMbps) {
			return 0, false
		}
		return int(f * unit.mbps), true
	}
	return 0, false
}

const gpuExample = "2, or 2xA100 (two whose model has A100 in its name)"

// ParseGPUs reads how many GPUs are needed and of which model: "2", "A100" or
// "2xA100". A bare number is a count. An empty text is no need.
func ParseGPUs(s string) (count int, model string, err error) {
	text := strings.TrimSpace(s)
	if text == "" {
		return 0, "", nil
	}
	if strings.IndexFunc(text, notDigit) < 0 {
		text += "x"
	}
	count, model, err = parseCount("GPUs", text, gpuExample)
	if err == nil && strings.ContainsFunc(model, unicode.IsControl) {
		err = textError("GPUs", s, gpuExample, "has a control character")
	}
	return count, model, err
}

const placeExample = "spread=rack, or together=zone,group=db"

// ParsePlacement reads how machines stand to each other: "spread=KEY" or
// "together=KEY", where KEY is a label of the nodes, and ",group=NAME" for a
// group other than all the owner's machines. An empty text is no wish.
func ParsePlacement(s string) (Placement, error) {
	var place Placement
	if strings.TrimSpace(s) == "" {
		return place, nil
	}
	refuse := func(part, format string, args ...any) (Placement, error) {
		return Placement{}, textError("place", part, placeExample, format, args...)
	}
	for part := range strings.SplitSeq(s, ",") {
		word, value, _ := strings.Cut(part, "=")
		value = strings.TrimSpace(value)
		if value == "" || strings.ContainsFunc(value, unicode.IsControl) {
			return refuse(part, "is not of the form WORD=VALUE")
		}
		switch word := strings.TrimSpace(word); word {
		case string(Spread), string(Together):
			if place.Mode != "" {
				return refuse(part, "comes after %s=%s, and there can be only one", place.Mode, place.Key)
			}
			place.Mode, place.Key = PlaceMode(word), value
		case "group":
			if place.Group != "" {
				return refuse(part, "names a second group")
			}
			place.Group = value
		default:
			return refuse(part, "is neither spread=, together= nor group=")
		}
	}
	if place.Mode == "" {
		return refuse(s, "has a group and does not say spread= or together=")
	}
	return place, nil
}

// ParseArch reads an architecture by Go's name or by uname's, and returns Go's.
func ParseArch(s string) (string, error) {
	switch arch := strings.ToLower(strings.TrimSpace(s)); arch {
	case "", "amd64", "arm64":
		return arch, nil
	case "x86_64", "x86-64", "x64":
		return "amd64", nil
	case "aarch64":
		return "arm64", nil
	}
	return "", textError("architecture", s, "amd64, or arm64", "is no architecture that metalpool deploys")
}

// ParseDuration reads a length of time that is not negative, such as "30m"; what
// names it in the error. An empty text is 0.
func ParseDuration(what, s string) (time.Duration, error) {
	text := strings.TrimSpace(s)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, textError(what, s, "30m, or 1h30m", "is not a length of time with its unit")
	}
	return d, nil
}

// FormatDuration writes a length of time as ParseDuration reads it and people write it:
// "40m", where Go says "40m0s". 0 is empty.
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	text := d.String()
	for _, zeros := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zeros) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func splitNeeds(s string) []string {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	return strings.Split(s, "+")
}

// parseCount cuts "3x" off the front; without it the count is 1.
func parseCount(what, part, example string) (count int, rest string, err error) {
	text := strings.TrimSpace(part)
	if text == "" {
		return 0, "", textError(what, part, example, "asks for nothing: there is a + too many")
	}
	digits := strings.IndexFunc(text, notDigit)
	if digits < 1 || text[digits] != 'x' {
		return 1, text, nil
	}
	count, err = strconv.Atoi(text[:digits])
	if err != nil || count < 1 || count > maxCount {
		return 0, "", textError(what, part, example, "has a count that is not from 1 to %d", maxCount)
	}
	return count, strings.TrimSpace(text[digits+1:]), nil
}

func notDigit(r rune) bool { return r < '0' || r > '9' }
