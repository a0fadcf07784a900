package server_test

import (
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// A user who asks for the last events gets the last of his own, however much others have
// done since, and nothing of theirs.
func TestAUsersLastEvents(t *testing.T) {
	r := newRig(t, 2)
	s := r.serve("")
	bob, eve := s.client(r.token(core.TokenOrder{Name: "bob"})), s.client(r.token(core.TokenOrder{Name: "eve"}))
	his, hers := order("his"), order("hers")
	his.Request.Node, hers.Request.Node = "n1", "n2"
	if _, err := bob.Create(t.Context(), his, nil); err != nil {
		t.Fatal(err)
	}
	between := time.Now()
	if _, err := eve.Create(t.Context(), hers, nil); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		filter core.EventFilter
		want   int // -1: some
	}{
		{"the last three", core.EventFilter{Limit: 3}, 3},
		{"the last of a node", core.EventFilter{Node: "n1", Limit: 1}, 1},
		{"all", core.EventFilter{}, -1},
		{"more than there are", core.EventFilter{Limit: 10_000}, -1},
		{"since then", core.EventFilter{Since: between}, 0},
		{"of her node", core.EventFilter{Node: "n2", Limit: 3}, 0},
	} {
		events, err := bob.Events(t.Context(), tt.filter)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(events); tt.want >= 0 && n != tt.want || tt.want < 0 && n < 5 {
			t.Errorf("%s: %d events", tt.name, n)
		}
		for _, ev := range events {
			if ev.Allocation != his.ID {
				t.Errorf("%s: he is told %+v", tt.name, ev)
			}
		}
		if n := len(events); tt.want != 0 && n > 0 && events[n-1].To != core.Deployed {
			t.Errorf("%s: the last is %+v", tt.name, events[n-1])
		}
	}
}
