package spelling

import "testing"

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "node", 4},
		{"label", "labels", 1},
		{"lables", "labels", 1},
		{"nmae", "name", 1},
		{"abcd", "badc", 2},
		{"ca", "abc", 3},
		{"kitten", "sitting", 3},
		{"pool", "pool", 0},
	} {
		if got, back := Distance(c.a, c.b), Distance(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("%q and %q: %d, and back %d; want %d", c.a, c.b, got, back, c.want)
		}
	}
}
