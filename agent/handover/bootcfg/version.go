package bootcfg

import "strings"

// compareVersions orders versions as the UAPI group's specification of their format
// does, which systemd-boot follows: 6.1.0-9 is before 6.1.0-10, and 1.0~rc1 before 1.0.
func compareVersions(a, b string) int {
	for {
		a, b = dropOther(a), dropOther(b)
		// What marks an early, or a late, version decides before its absence does.
		if starts(a, "~") || starts(b, "~") {
			if c := compareBool(!starts(a, "~"), !starts(b, "~")); c != 0 {
				return c
			}
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			return compareBool(a != "", b != "")
		}
		decided := false
		for _, mark := range []string{"-", "^", "."} {
			if !starts(a, mark) && !starts(b, mark) {
				continue
			}
			if c := compareBool(!starts(a, mark), !starts(b, mark)); c != 0 {
				return c
			}
			a, b, decided = a[1:], b[1:], true
			break
		}
		if decided {
			continue
		}
		if isDigit(a[0]) || isDigit(b[0]) {
			x, y := prefix(a, isDigit), prefix(b, isDigit)
			a, b = a[len(x):], b[len(y):]
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if c := len(x) - len(y); c != 0 {
				return c
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			continue
		}
		x, y := prefix(a, isLetter), prefix(b, isLetter)
		a, b = a[len(x):], b[len(y):]
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
}

func starts(s, mark string) bool { return strings.HasPrefix(s, mark) }

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func dropOther(s string) string {
	return strings.TrimLeftFunc(s, func(r rune) bool {
		return r > 127 || !isDigit(byte(r)) && !isLetter(byte(r)) && !strings.ContainsRune("~-^.", r)
	})
}

func prefix(s string, of func(byte) bool) string {
	for i := range len(s) {
		if !of(s[i]) {
			return s[:i]
		}
	}
	return s
}
