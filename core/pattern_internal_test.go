package core

import (
	"math/rand/v2"
	"path"
	"strings"
	"testing"
)

func TestPatternsThatMeet(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		meet bool
	}{
		{"", "x", true},
		{"*", "?", true},
		{"Dell*", "dell inc.", true},
		{"Dell*", "HPE", false},
		{"Dell*", "*Inc.", true},
		{"Dell", "Dell?", false},
		{"PowerEdge R6?0", "PowerEdge R[67]50", true},
		{"PowerEdge R6?0", "PowerEdge R7*", false},
		{"[^a-y]", "[!-z]", true},
		{"[^a-z]", "[b-c]", false},
		{"[^A-Z]", "[b-c]", false}, // case does not matter
		{"[A-B]", "b", true},
		{`\*`, "?", true},
		{`\*`, "a", false},
		{"a/b", "a?b", true},
		{"*a*b*", "*c*", true},
		{"a*b", "b*a", false},
		{"[0-9]*", "*[a-f]", true},
	} {
		if bothLike(tt.a, tt.b) != tt.meet || bothLike(tt.b, tt.a) != tt.meet {
			t.Errorf("%q and %q meet: %t", tt.a, tt.b, !tt.meet)
		}
	}
}

// Two patterns meet where a name fits both, and only there: of short ones over few letters
// all names that there could be are tried.
func TestPatternsMeetWhereANameFitsBoth(t *testing.T) {
	const letters, longest = "ab/", 6 // three letters of each, and a star
	names := []string{""}
	for from := 0; len(names[len(names)-1]) < longest; {
		until := len(names)
		for _, name := range names[from:until] {
			for _, l := range letters {
				names = append(names, name+string(l))
			}
		}
		from = until
	}
	parts := []string{"a", "b", "/", "*", "?", "[ab]", "[^a]", "[^ab/]", "[a-b]", `\a`, "[^b-]", "A"}
	r := rand.New(rand.NewPCG(1, 2))
	random := func() string {
		var b strings.Builder
		for range r.IntN(5) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		return b.String()
	}
	met := 0
	for range 5000 {
		a, b := random(), random()
		if _, err := path.Match(a, ""); err != nil {
			continue
		}
		if _, err := path.Match(b, ""); err != nil {
			continue
		}
		fit := ""
		for _, name := range names {
			if like(a, name) && like(b, name) {
				fit = name
				met++
				break
			}
		}
		got := bothLike(a, b)
		// A name of other letters may fit what these do not.
		if fit != "" && !got || got && fit == "" && !strings.Contains(a+b, "^") && a != "" && b != "" && (!like(a, "") || !like(b, "")) {
			t.Errorf("%q and %q meet: %t, and the name that fits both is %q", a, b, got, fit)
		}
	}
	if met == 0 {
		t.Error("none met")
	}
}
