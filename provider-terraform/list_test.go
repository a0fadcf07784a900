//go:build linux

package main_test

import (
	"fmt"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// TestLists has the provider list what could be imported. Terraform can do this since
// 1.14.
func TestLists(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	e := r.Engine(t)
	for _, o := range []core.Order{
		{ID: "dm-1", Owner: owner, Name: "web-2", Labels: map[string]string{"tier": "web"}, Request: core.Request{CPUs: 1}},
		{ID: "dm-2", Owner: owner, Name: "web-1"},
		{ID: "dm-3", Owner: "ann", Name: "web-1"},
	} {
		o.Keys = []string{key}
		if _, err := e.Create(t.Context(), o, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Allocate(t.Context(), core.Order{ID: "dm-4", Owner: owner, Name: "db-1"}, nil); err != nil {
		t.Fatal(err)
	}
	r.racks(t, 2)
	s := r.speak(t)
	for _, c := range []struct {
		name, kind string
		limit      int64
		set        map[string]any
		want       []string // with their IDs, where they have other ones
	}{
		{"one's own", "metalpool_machine", 0, nil, []string{owner + "/web-1 dm-2", owner + "/web-2 dm-1"}},
		{"one of them", "metalpool_machine", 1, nil, []string{owner + "/web-1 dm-2"}},
		{"somebody's", "metalpool_machine", 0, map[string]any{"owner": "ann"}, []string{"ann/web-1 dm-3"}},
		{"labelled", "metalpool_machine", 0, map[string]any{"labels": map[string]string{"tier": "web"}}, []string{owner + "/web-2 dm-1"}},
		{"of another pool", "metalpool_machine", 0, map[string]any{"pool": "gpu"}, nil},
		{"failed", "metalpool_machine", 0, map[string]any{"states": []string{"Failed"}}, nil},
		{"allocations", "metalpool_allocation", 0, nil, []string{owner + "/db-1 dm-4"}},
		{"nodes of a rack", "metalpool_node", 0, map[string]any{"labels": map[string]string{"rack": "r1"}, "states": []string{"Deployed", "Allocated"}}, []string{"n001", "n003"}},
	} {
		var got []string
		for _, found := range s.list(t, c.kind, c.limit, c.set) {
			state := texts(t, s.schemas.ResourceSchemas[c.kind], found.Resource)
			if c.kind == "metalpool_node" {
				if state["name"] != found.DisplayName || state["bmc_url"] == "" || !identifies(t, found.Identity, "name", state["name"]) {
					t.Errorf("%s: %s has the state %v", c.name, found.DisplayName, state)
				}
				got = append(got, found.DisplayName)
				continue
			}
			if state["owner"]+"/"+state["name"] != found.DisplayName || state["node"] == "" || !identifies(t, found.Identity, "id", state["id"]) {
				t.Errorf("%s: %s has the state %v", c.name, found.DisplayName, state)
			}
			got = append(got, found.DisplayName+" "+state["id"])
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: there are %v, want %v", c.name, got, c.want)
		}
	}
}
