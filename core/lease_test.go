package core

import (
	"strings"
	"testing"
	"time"
)

func TestWhyALeaseIsLost(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	ours := Lease{Node: "n1", Holder: "ops@a/1/w-1", Generation: 7, Expires: now.Add(time.Minute)}
	for name, c := range map[string]struct {
		there Lease
		want  string
	}{
		"held":               {ours, ""},
		"taken":              {Lease{Holder: "ops@b/2/w-2", Generation: 8, Expires: now.Add(time.Minute)}, "ops@b/2 has generation 8, ours was 7"},
		"taken, given back":  {Lease{Generation: 8, Expires: now}, "given back as generation 8, ours was 7"},
		"given back":         {Lease{Generation: 7, Expires: now}, "it was given back"},
		"lapsed":             {Lease{Holder: ours.Holder, Generation: 7, Expires: now.Add(-9 * time.Second)}, "it lapsed 9s ago"},
		"lapsed this moment": {Lease{Holder: ours.Holder, Generation: 7, Expires: now}, "it lapsed 0s ago"},
	} {
		got := ""
		if err := ours.lost(c.there, now); err != nil {
			got = err.Error()
		}
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
