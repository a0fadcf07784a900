package server_test

import (
	"testing"

	"github.com/metalpool/metalpool/core"
)

// A BMC's password goes to that BMC: whoever has an operator's token cannot have it sent
// to an address of his own.
func TestAPasswordGoesToNoOtherAddress(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	ops := s.client(r.operator())
	before, err := ops.Node(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	there, elsewhere, none, password, label := before.Spec.BMC.URL, "https://192.0.2.66", "", "theirs", "x"
	for _, change := range []core.NodeChange{{URL: &elsewhere}, {URL: &elsewhere, Password: &none}} {
		_, err := ops.SetNode(t.Context(), "n1", change)
		wantKind(t, "another address", err, core.Denied, "the password that was kept", "give the password with it")
	}
	if n, err := ops.Node(t.Context(), "n1"); err != nil || n.Spec.BMC.URL != there {
		t.Errorf("the BMC is at %s, %v", n.Spec.BMC.URL, err)
	}
	for what, change := range map[string]core.NodeChange{
		"the same address":               {URL: &there, Labels: map[string]*string{"a": &label}},
		"another one, with the password": {URL: &elsewhere, Password: &password},
	} {
		if _, err := ops.SetNode(t.Context(), "n1", change); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
