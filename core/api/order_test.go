package api_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// fill sets every field, each to something else: one that is added to core is thereby
// tested here, without anybody thinking of it.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(int64(*n), 0).UTC()))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{10, 0, 0, byte(*n)})))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(*n)}), 24)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text " + string(rune('a'+*n%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(uint64(*n % 256))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	}
}

func filled[T any]() (v T) {
	fill(reflect.ValueOf(&v).Elem(), new(int))
	return v
}

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
	o := filled[core.Order]()
	want := o
	want.Quota, want.KeepsPlace = 0, false // the token's, and the server's to say
	same(t, "an order", travelled(t, api.NewOrder(o)).Core(o.ID, o.Owner), want)
	same(t, "nothing of an order", travelled(t, api.NewOrder(core.Order{})).Core("", ""), core.Order{})

	change := filled[core.MachineChange]()
	gone := map[string]*string{"gone": nil}
	for key, value := range change.Labels {
		gone[key] = value
	}
	change.Labels = gone
	same(t, "a change of a machine", travelled(t, api.NewMachineChange(change)).Core(), change)
	same(t, "no change", travelled(t, api.NewMachineChange(core.MachineChange{})).Core(), core.MachineChange{})
	none := core.MachineChange{Keys: []string{}}
	same(t, "a change to no keys", travelled(t, api.NewMachineChange(none)).Core(), none)

	node := filled[core.NodeChange]()
	node.Labels = gone
	same(t, "a change of a node", travelled(t, api.NewNodeChange(node)).Core(), node)
	in := filled[core.Enrollment]()
	same(t, "an enrolment", core.Enrollment(travelled(t, api.Enrollment(in))), in)
	p := filled[core.Progress]()
	same(t, "progress", core.Progress(travelled(t, api.Progress(p))), p)
}
