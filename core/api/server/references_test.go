package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/server"
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
	for _, allowed := range []struct {
		what   string
		change core.NodeChange
	}{ // in this order: the second makes the first another address
		{"the same address", core.NodeChange{URL: &there, Labels: map[string]*string{"a": &label}}},
		{"another one, with the password", core.NodeChange{URL: &elsewhere, Password: &password}},
	} {
		if _, err := ops.SetNode(t.Context(), "n1", allowed.change); err != nil {
			t.Errorf("%s: %v", allowed.what, err)
		}
	}
}

// overtaken is a pool in which somebody else changes a node first.
type overtaken struct {
	*core.Engine
	first func()
}

func (o overtaken) SetNode(ctx context.Context, id core.NodeID, c core.NodeChange) (core.Node, error) {
	o.first()
	return o.Engine.SetNode(ctx, id, c)
}

// Which address is another one is said by the store at the time of the change.
func TestAPasswordGoesToNoAddressOfBefore(t *testing.T) {
	r := newRig(t, 1)
	e, _ := r.engine()
	before, err := e.Node(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	moved, password := "https://192.0.2.66", "new"
	s := server.New(server.Config{Pool: overtaken{e, func() {
		if _, err := e.SetNode(t.Context(), "n1", core.NodeChange{URL: &moved, Password: &password}); err != nil {
			t.Error(err)
		}
	}}})
	w := ask(t, s, r.operator(), http.MethodPatch, "/v1/nodes/n1", `{"url":"`+before.Spec.BMC.URL+`"}`)
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "the password that was kept") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if n, err := e.Node(t.Context(), "n1"); err != nil || n.Spec.BMC.URL != moved {
		t.Errorf("the BMC is at %s, %v", n.Spec.BMC.URL, err)
	}
}
