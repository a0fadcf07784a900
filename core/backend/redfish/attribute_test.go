package redfish

import (
	"encoding/json"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// A number of an attribute is compared, written and told to the last digit, however it is
// spelled: a float64 takes 9007199254740993 for 9007199254740992.
func TestNumbersOfAttributesAreExact(t *testing.T) {
	var r biosResource
	const text = `{"Attributes":{"A":9007199254740993,"B":18446744073709551615,"C":7.0,"D":1e3,"E":1.5,"F":-3,"G":null,"H":-0.0}}`
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	s := compared(r.Attributes, r.Attributes)
	for _, c := range []struct {
		name  string
		asked any
		says  string // how it differs; "" not at all
	}{
		{"A", 9007199254740993, ""},
		{"A", json.Number("9007199254740993"), ""},
		{"A", "9007199254740993", ""},
		{"A", 9007199254740992, "A is 9007199254740993, not 9007199254740992"},
		{"A", "9007199254740992", "A is 9007199254740993, not 9007199254740992"},
		{"B", uint64(18446744073709551615), ""},
		{"B", json.Number("18446744073709551614"), "B is 18446744073709551615, not 18446744073709551614"},
		{"C", 7, ""},
		{"C", "+007", ""},
		{"C", json.Number("7.0"), ""},
		{"D", 1000, ""},
		{"D", 1e3, ""},
		{"E", 1.5, ""},
		{"E", json.Number("15e-1"), ""},
		{"F", int64(-3), ""},
		{"F", "-3", ""},
		{"H", 0, ""},
		{"G", 0, "G is nothing, not 0"},
	} {
		v, err := likeness(c.asked, s.force[c.name])
		if err != nil {
			t.Errorf("%s = %v: %v", c.name, c.asked, err)
		}
		want := attributes{c.name: v}
		if says := core.Differences(s.differences(want)); says != c.says || (says != "") != (len(s.needed(want)) > 0) {
			t.Errorf("%s = %v: it says %q, want %q; it needs %v", c.name, c.asked, says, c.says, s.needed(want))
		}
	}
	v, _ := likeness("9007199254740993", json.Number("1"))
	if sent, err := json.Marshal(attributes{"A": v}); err != nil || string(sent) != `{"A":9007199254740993}` {
		t.Errorf("it sends %s, %v", sent, err)
	}
}

// So are the least and the most that a registry allows.
func TestBoundsOfAttributesAreExact(t *testing.T) {
	for _, c := range []struct{ registry, value, says string }{
		{`{"Type":"Integer","UpperBound":9007199254740992}`, "9007199254740993", "takes numbers from any to 9007199254740992, not 9007199254740993"},
		{`{"Type":"Integer","UpperBound":18446744073709551615}`, "18446744073709551615", ""},
		{`{"Type":"Integer","LowerBound":1,"UpperBound":1e3}`, "1001", "takes numbers from 1 to 1000, not 1001"},
		{`{"Type":"Integer","LowerBound":"2","UpperBound":null}`, "1", "takes numbers from 2 to any, not 1"},
		{`{"Type":"Integer","LowerBound":"few"}`, "-1", ""},
		{`{"Type":"Integer"}`, "1.5", "takes a whole number, not 1.5"},
	} {
		var a registryAttribute
		if err := json.Unmarshal([]byte(c.registry), &a); err != nil {
			t.Fatal(err)
		}
		if says := a.refuses(json.Number(c.value)); says != c.says {
			t.Errorf("%s: of %s it says %q, want %q", c.registry, c.value, says, c.says)
		}
	}
}
