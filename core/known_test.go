package core

import (
	"fmt"
	"testing"
)

func TestThereAre(t *testing.T) {
	rack := make([]string, 40)
	for i := range rack {
		rack[i] = fmt.Sprintf("r%d-n%d", 1+i/10, i%10)
	}
	for _, tt := range []struct {
		asked string
		names []string
		want  string
	}{
		{"debain", []string{"debian", "lab"}, "there are: debian, lab"},
		{"debain", nil, "see 'list'"},
		{"R1-N7", rack, "alike are: r1-n7; see 'list'"},
		{"r9-n7", rack, "alike are: r1-n7, r2-n7, r3-n7, r4-n7; see 'list'"},
		{"r1-7n", rack, "alike are: r1-n7; see 'list'"},
		{"r1n7", rack, "alike are: r1-n7; see 'list'"},
		{"r1-nx", rack, "see 'list'"}, // ten are
		{"web-1", rack, "see 'list'"},
	} {
		if got := thereAre(tt.asked, tt.names, func(s string) string { return s }, "list"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.asked, got, tt.want)
		}
	}
}
