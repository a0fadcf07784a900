package server_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/server"
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

// long is a pool with more events than are told at a time, whose store is away for the
// second question.
type long struct {
	*core.Engine
	asked atomic.Int64
}

const longStory = 12_000

func (l *long) Events(_ context.Context, f core.EventFilter) ([]core.Event, error) {
	if l.asked.Add(1) == 2 {
		return nil, &core.Error{Op: "list events", Kind: core.Transient, Err: errors.New("the store is away")}
	}
	var events []core.Event
	for seq := f.After + 1; seq <= longStory && len(events) < f.First; seq++ {
		events = append(events, core.Event{Seq: seq, Type: core.Note, Message: "<it> & its console"})
	}
	return events, nil
}

// Where the store is away in the middle of an answer, what was told does not look like all:
// the client asks again, and has each event once.
func TestHalfAStoryDoesNotLookWhole(t *testing.T) {
	r := newRig(t, 0)
	e, _ := r.engine()
	log, pool := &lockedBuffer{}, &long{Engine: e}
	c := behind(t, server.New(server.Config{Pool: pool, Log: slog.New(slog.NewJSONHandler(log, nil))}), r.operator())
	events, err := c.Events(t.Context(), core.EventFilter{})
	if err != nil || len(events) != longStory || pool.asked.Load() < 4 {
		t.Fatalf("%d events after %d questions, %v; want %d", len(events), pool.asked.Load(), err, longStory)
	}
	for i, ev := range events {
		if ev.Seq != int64(i+1) || ev.Message != "<it> & its console" {
			t.Fatalf("event %d is %+v", i, ev)
		}
	}
	if text := log.String(); !strings.Contains(text, "the store is away") || strings.Contains(text, "panic") {
		t.Errorf("the log has %s", text)
	}
}
