package api_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
	"github.com/metalpool/metalpool/internal/filled"
)

// travelled is what arrives of what is sent.
func travelled[W any](t *testing.T, sent W) (arrived W) {
	t.Helper()
	text, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &arrived); err != nil {
		t.Fatal(err)
	}
	return arrived
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s arrives as\n%+v, want\n%+v", what, got, want)
	}
}

// What a caller says of an order, or of a change, arrives at the engine whole.
func TestNothingIsLostOnTheWay(t *testing.T) {
	o := filled.Value[core.Order](t)
	want := o
	want.Quota, want.KeepsPlace, want.Served = 0, false, false // the token's, and the server's to say
	same(t, "an order", travelled(t, api.NewOrder(o)).Core(o.ID, o.Owner), want)
	same(t, "nothing of an order", travelled(t, api.NewOrder(core.Order{})).Core("", ""), core.Order{})

	change := filled.Value[core.MachineChange](t)
	gone := map[string]*string{"gone": nil}
	for key, value := range change.Labels {
		gone[key] = value
	}
	change.Labels = gone
	same(t, "a change of a machine", travelled(t, api.NewMachineChange(change)).Core(), change)
	same(t, "no change", travelled(t, api.NewMachineChange(core.MachineChange{})).Core(), core.MachineChange{})
	none := core.MachineChange{Keys: []string{}}
	same(t, "a change to no keys", travelled(t, api.NewMachineChange(none)).Core(), none)

	node := filled.Value[core.NodeChange](t)
	node.Labels = gone
	same(t, "a change of a node", travelled(t, api.NewNodeChange(node)).Core(), node)
	in := filled.Value[core.Enrollment](t)
	same(t, "an enrolment", core.Enrollment(travelled(t, api.Enrollment(in))), in)
	p := filled.Value[core.Progress](t)
	same(t, "progress", core.Progress(travelled(t, api.Progress(p))), p)
}
