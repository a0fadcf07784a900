package redfish

import (
	"strings"
	"unicode"

	"github.com/metalpool/metalpool/core/internal/spelling"
)

// nearest is the candidate that a misspelt word most likely means, or "". Makers
// decorate names (ProcHyperthreading, Hyper_ThreadingAll_00E8), so what contains the
// word comes before what is spelled like it; case and punctuation do not count.
func nearest(word string, candidates []string) string {
	const longest = 80 // nobody names anything so; and it bounds the work
	asked := letters(word)
	if asked == "" || len(asked) > longest {
		return ""
	}
	best, least := "", len(asked)/3+2
	for _, c := range candidates {
		name := letters(c)
		if name == "" || len(name) > longest {
			continue
		}
		cost := spelling.Distance(asked, name)
		if strings.Contains(name, asked) || strings.Contains(asked, name) && len(name) > 3 {
			cost = min(cost, 1)
		}
		if cost < least {
			best, least = c, cost
		}
	}
	return best
}

// letters are what counts of a name.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// near is " (is X meant?)" where there is an X.
func near(word string, candidates []string) string {
	if n := nearest(word, candidates); n != "" {
		return " (is " + n + " meant?)"
	}
	return ""
}
