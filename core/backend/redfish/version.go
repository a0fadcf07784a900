package redfish

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// version is a firmware's version taken apart: makers put a family before it, and
// dates, builds or variants after it.
type version struct {
	family  string // "U46", "CDI3": only versions of one family follow each other
	numbers []uint64
	letter  string // of "3.5a", which comes after 3.5
	before  bool   // a -dev or -rc, which comes before the version that it leads to
}

var (
	// leading is what may come before the version itself: "U46 v1.62", "iLO 5 v3.06", and
	// then "GB200Nvl-25.01-6", "CDI3A6E-4.11", "C220M6.4.3.2a.0".
	leading = []*regexp.Regexp{
		regexp.MustCompile(`^(.*[A-Za-z].*?)\s+[vV](\d.*)$`),
		regexp.MustCompile(`^(.*?[A-Za-z].*?)[-\s.](\d.*)$`),
	}
	inDate  = regexp.MustCompile(`\(?\b(\d{1,2}/\d{1,2}/\d{2,4}|\d{4}-\d{2}-\d{2}|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\s+\d{1,2},?\s+\d{4})\)?`)
	inPre   = regexp.MustCompile(`(?i)[-.~](dev|rc|alpha|beta|pre)\b`)
	inParts = regexp.MustCompile(`^(\d+)([A-Za-z]?)(?:[A-Za-z].*)?$`)
	// build is Lenovo's: three letters for the machine, then the build in base 36.
	build = regexp.MustCompile(`^([A-Z]{3})[0-9A-Z]{3}[A-Z]$`)
)

// parseVersion reports false where there is no version to be found.
func parseVersion(s string) (version, bool) {
	s = strings.TrimSpace(s)
	if len(s) > 100 {
		return version{}, false
	}
	s = strings.TrimSpace(inDate.ReplaceAllString(s, ""))
	var v version
	for _, form := range leading {
		m := form.FindStringSubmatch(s)
		if m == nil || strings.ContainsAny(s[:1], "0123456789vV") {
			continue
		}
		v.family, s = strings.TrimSpace(m[1]), m[2]
		if b := build.FindStringSubmatch(v.family); b != nil {
			v.family = b[1]
		}
		break
	}
	s = strings.TrimLeft(s, "vV")
	if at := inPre.FindStringIndex(s); at != nil {
		v.before, s = true, s[:at[0]]
	}
	s, _, _ = strings.Cut(s, " ") // a word behind it
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(".-_()/:+", r) }) {
		m := inParts.FindStringSubmatch(part)
		if m == nil {
			break // a build's name, a hash
		}
		n, err := strconv.ParseUint(m[1], 10, 64)
		if err != nil {
			return version{}, false
		}
		v.numbers = append(v.numbers, n)
		if m[2] != "" {
			v.letter = strings.ToLower(m[2])
			break
		}
	}
	return v, len(v.numbers) > 0
}

// compareVersions is -1, 0 or 1 as with cmp.Compare; ok is false where one does not
// follow the other, as with two families, or where one is no version at all.
func compareVersions(a, b string) (order int, ok bool) {
	if a == b {
		return 0, true
	}
	x, okA := parseVersion(a)
	y, okB := parseVersion(b)
	// Who asks for 1.62 need not know that it is called U46 v1.62.
	if !okA || !okB || x.family != "" && y.family != "" && !strings.EqualFold(x.family, y.family) {
		return 0, false
	}
	if c := slices.Compare(trimmed(x.numbers), trimmed(y.numbers)); c != 0 {
		return c, true
	}
	if x.before != y.before {
		if x.before {
			return -1, true
		}
		return 1, true
	}
	return strings.Compare(x.letter, y.letter), true
}

// trimmed leaves out zeros at the end: 7.10.30 is 7.10.30.00.
func trimmed(n []uint64) []uint64 {
	for len(n) > 0 && n[len(n)-1] == 0 {
		n = n[:len(n)-1]
	}
	return n
}
