package core

import (
	"path"
	"strings"
	"unicode"
)

// Patterns of a server's make are those of path.Match, without regard to case, and with a
// slash being nothing special.

// like reports whether a name fits a pattern, which was checked; "" fits all.
func like(pattern, name string) bool {
	fits, _ := path.Match(folded(pattern), folded(name))
	return pattern == "" || fits
}

func folded(text string) string { return strings.ReplaceAll(strings.ToLower(text), "/", "\x00") }

// bothLike reports whether there could be a name that fits both patterns, which were
// checked.
func bothLike(a, b string) bool {
	if a == "" || b == "" {
		return true
	}
	return overlap(runeSets(folded(a)), runeSets(folded(b)))
}

// runeSet is what a place of a pattern takes: a rune of these ranges, or one of no range
// where not; or, where any, as many of all runes as there are.
type runeSet struct {
	any    bool
	not    bool
	ranges [][2]rune
}

// runeSets takes a pattern apart.
func runeSets(pattern string) (sets []runeSet) {
	rest := []rune(pattern)
	next := func() (r rune, escaped bool) {
		if rest[0] == '\\' {
			rest, escaped = rest[1:], true
		}
		r, rest = rest[0], rest[1:]
		return r, escaped
	}
	for len(rest) > 0 {
		switch r, escaped := next(); {
		case escaped, !strings.ContainsRune("*?[", r):
			sets = append(sets, runeSet{ranges: [][2]rune{{r, r}}})
		case r == '*':
			sets = append(sets, runeSet{any: true})
		case r == '?':
			sets = append(sets, runeSet{not: true})
		default:
			var s runeSet
			if rest[0] == '^' {
				s.not, rest = true, rest[1:]
			}
			for first := true; first || rest[0] != ']'; first = false {
				low, _ := next()
				top := low
				if rest[0] == '-' {
					rest = rest[1:]
					top, _ = next()
				}
				s.ranges = append(s.ranges, [2]rune{low, top})
			}
			rest = rest[1:]
			sets = append(sets, s)
		}
	}
	return sets
}

func (s runeSet) has(r rune) bool {
	for _, in := range s.ranges {
		if in[0] <= r && r <= in[1] {
			return !s.not
		}
	}
	return s.not
}

// meets reports whether there is a rune that both take.
func (s runeSet) meets(o runeSet) bool {
	// Between two ends of ranges all runes are alike, but that names hold no capitals.
	candidates := []rune{0}
	for _, in := range append(append([][2]rune{}, s.ranges...), o.ranges...) {
		candidates = append(candidates, in[0], in[1]+1)
	}
	for _, r := range candidates {
		for ; r <= unicode.MaxRune && s.has(r) && o.has(r); r++ {
			if r != '/' && unicode.ToLower(r) == r {
				return true
			}
		}
	}
	return false
}

// overlap reports whether there is a text that fits both.
func overlap(a, b []runeSet) bool {
	var places func(i, j int) bool
	seen := map[[2]int]bool{} // looked at before, in vain
	places = func(i, j int) (fit bool) {
		if seen[[2]int{i, j}] {
			return false
		}
		defer func() { seen[[2]int{i, j}] = !fit }()
		switch {
		case i == len(a) && j == len(b):
			return true
		case i < len(a) && a[i].any:
			return places(i+1, j) || j < len(b) && places(i, j+1)
		case j < len(b) && b[j].any:
			return places(i, j+1) || i < len(a) && places(i+1, j)
		case i < len(a) && j < len(b):
			return a[i].meets(b[j]) && places(i+1, j+1)
		}
		return false
	}
	return places(0, 0)
}
