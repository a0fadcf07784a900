package core_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// Whoever asks for what there is not says how long its name is, and how many there are of
// them. Compared letter by letter with all that there is, these would take hours.
func TestNamesThatAreAskedFor(t *testing.T) {
	e, _ := newPool(t, 0).engine()
	d := core.Declaration{By: core.DeclaredIn("rack.yaml"), Profiles: []core.Profile{{Name: "base"}}}
	for i := range 3000 {
		d.Steps = append(d.Steps, script(fmt.Sprintf("%060d", i), "true"))
		d.Profiles[0].Steps = append(d.Profiles[0].Steps, fmt.Sprintf("%061d", i))
	}
	if _, err := e.Apply(t.Context(), d, core.ApplyOptions{}); !core.Is(err, core.NotFound) || !strings.Contains(err.Error(), "did you mean ") || !strings.Contains(err.Error(), "and 2980 more") {
		t.Errorf("%.300v", err)
	}
	o := order("a-1", "web-1")
	o.Image = strings.Repeat("a", 4<<20)
	if err := e.Check(t.Context(), o); !core.Is(err, core.NotFound) {
		t.Errorf("%.300v", err)
	}
	o.Image, o.Request.Pool = "", strings.Repeat("a", 4<<20)
	if err := e.Check(t.Context(), o); !core.Is(err, core.NotFound) {
		t.Errorf("%.300v", err)
	}
}
