package core_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

func TestMatchSaysWhyNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 4)
		e, _ := p.engine()
		pin := func(id, name string, node core.NodeID) core.Order {
			o := order(id, name)
			o.Request.Node = node
			return o
		}
		if _, err := e.Allocate(t.Context(), pin("a-1", "web-1", "n1"), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Pause(t.Context(), "n2", "a fan"); err != nil {
			t.Fatal(err)
		}
		rack := "r1"
		if _, err := e.SetNode(t.Context(), "n4", core.NodeChange{Labels: map[string]*string{"rack": &rack}}); err != nil {
			t.Fatal(err)
		}
		got, err := e.Match(t.Context(), core.Order{Request: core.Request{Labels: []core.Selector{{Label: "rack", Op: core.OpNotEqual, Values: []string{"r1"}}}}})
		want := []core.Candidate{
			{Node: "n3", State: core.Available, Fits: true},
			{Node: "n1", State: core.Allocated, Passes: true},
			{Node: "n2", State: core.Maintenance},
			{Node: "n4", State: core.Available, Why: "has rack=r1 (asked for rack!=r1)"},
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := e.Match(t.Context(), core.Order{Request: core.Request{Pool: "nosuch"}}); !core.Is(err, core.NotFound) {
			t.Errorf("in a pool that is not there: %v", err)
		}
		for node, want := range map[core.NodeID]string{
			"n9": "acquire (node n9): not found: no such node; there are: n1, n2, n3, n4",
			"n1": `acquire (node n1): the node is in pool "default", not "other"; name that pool`,
		} {
			if err := e.SetPool(t.Context(), core.Pool{Name: "other"}); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Match(t.Context(), core.Order{Request: core.Request{Node: node, Pool: "other"}}); err == nil || err.Error() != want {
				t.Errorf("node %s:\ngot  %v\nwant %s", node, err, want)
			}
		}
		if _, err := e.Match(t.Context(), core.Order{Request: core.Request{CPUs: -1}}); !core.Is(err, core.Invalid) {
			t.Errorf("with a negative requirement: %v", err)
		}
	})
}
