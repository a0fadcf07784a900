package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// While the network of a node is cut, its ramdisk writes on, and no call of ours comes
// back: that is told to the caller and to everybody else, and so is its end.
func TestASilentAgentIsToldOf(t *testing.T) {
	for name, tt := range map[string]struct {
		silences []time.Duration // one at a quarter of the write, one at the half
		told     bool
	}{
		"a short silence is none": {[]time.Duration{10 * time.Second}, false},
		"one that passes":         {[]time.Duration{3 * time.Minute}, true},
		"each is told of":         {[]time.Duration{time.Minute, 2 * time.Minute}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				p.rack.Writing = 10 * time.Minute
				e, _ := p.engine()
				var said []string
				var began []time.Time
				if _, err := e.Create(t.Context(), order("a-1", "web-1"), func(pr core.Progress) {
					if pr.Step == "write image" && pr.Total == 0 {
						said = append(said, pr.Message)
					}
					if i := len(began); i < len(tt.silences) && pr.Done == core.Bytes(i+1)*25*core.GiB/100 {
						began = append(began, time.Now())
						s := p.rack.Server("n1")
						s.Unplug()
						time.AfterFunc(tt.silences[i], s.Plug)
					}
				}); err != nil {
					t.Fatal(err)
				}
				events, err := e.Events(t.Context(), core.EventFilter{Allocation: "a-1"})
				if err != nil {
					t.Fatal(err)
				}
				events = slices.DeleteFunc(events, func(ev core.Event) bool { return !strings.Contains(ev.Message, "its agent") })
				if !tt.told && len(events) == 0 {
					return
				}
				if len(events) != 2*len(tt.silences) {
					t.Fatalf("%d events:\n%s", len(events), p.story())
				}
				for i, silence := range tt.silences {
					cut, back := events[2*i], events[2*i+1]
					want := fmt.Sprintf("since %s, until %s UTC: its agent at n1 does not answer: no route to host", at(began[i]), at(began[i].Add(enginetest.Lost)))
					if cut.Type != core.StepWaits || cut.Step != "write image" || cut.Message != want {
						t.Errorf("silence %d: %s %q, want %q", i, cut.Type, cut.Message, want)
					}
					after, err := time.ParseDuration(strings.TrimPrefix(back.Message, "its agent answers again, after "))
					if back.Type != core.StepMoves || err != nil || after < silence || after > silence+5*time.Second {
						t.Errorf("silence %d of %s ends with %s %q", i, silence, back.Type, back.Message)
					}
					if !slices.Contains(said, cut.Message) || !slices.Contains(said, back.Message) {
						t.Errorf("the caller heard %q", said)
					}
				}
			})
		})
	}
}

func at(t time.Time) string { return t.UTC().Format(time.TimeOnly) }

// An agent that stays silent is given up when it was said that it would be, and another
// ramdisk is started.
func TestAnAgentThatStaysSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.rack.Writing = time.Minute
		e, _ := p.engine()
		s, cut := p.rack.Server("n1"), false
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), func(pr core.Progress) {
			if pr.Step == "write image" && pr.Done > core.GiB/2 && !cut {
				cut = true
				s.Unplug()
			}
			if pr.Step == "boot ramdisk" && cut && strings.Contains(pr.Message, "powered on") {
				s.Plug()
			}
		}); err != nil {
			t.Fatal(err)
		}
		events, err := e.Events(t.Context(), core.EventFilter{Allocation: "a-1"})
		if err != nil {
			t.Fatal(err)
		}
		var told, failed core.Event
		boots := 0
		for _, ev := range events {
			switch {
			case ev.Type == core.StepWaits && ev.Step == "write image":
				told = ev
			case ev.Type == core.StepFailed && ev.Step == "write image":
				failed = ev
			case ev.Type == core.StepMet && ev.Step == "boot ramdisk":
				boots++
			}
		}
		if !strings.Contains(told.Message, "until "+at(failed.At)+" UTC: ") || boots != 2 {
			t.Errorf("told %q, failed at %s, booted %d times", told.Message, at(failed.At), boots)
		}
	})
}
