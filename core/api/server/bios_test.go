package server_test

import (
	"reflect"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// An operator lists a node's BIOS attributes through a server; one of other pools is told
// of none.
func TestBIOSThroughAServer(t *testing.T) {
	r := newRig(t, 2)
	r.rack.Server("n1").Settings(map[string]string{"Virtualization": "Enabled", "Delay": "7"})
	s := r.serve("")
	c := s.client(r.operator())
	want := []core.BIOSAttribute{{Name: "Delay", Value: "7"}, {Name: "Virtualization", Value: "Enabled"}}
	if all, err := c.BIOS(t.Context(), "n1"); err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("it tells %+v, %v", all, err)
	}
	_, err := c.BIOS(t.Context(), "n9")
	wantKind(t, "a node that there is not", err, core.NotFound, "no such node", "there are: n1, n2")
	if err := s.engine.SetPool(t.Context(), core.Pool{Name: "ci", DefaultImage: "debian"}); err != nil {
		t.Fatal(err)
	}
	ci := s.client(r.token(core.TokenOrder{Name: "ci", Role: core.RoleOperator, Pools: []string{"ci"}}))
	_, err = ci.BIOS(t.Context(), "n1")
	wantKind(t, "a node of another pool", err, core.NotFound, "no such node", "see 'metalpool node list'")
}
