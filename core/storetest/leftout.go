package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// leftOut holds a store to the bound of what it keeps of a node, and of an allocation
// without one.
func (s suite) leftOut(t *testing.T) {
	address := s.fresh(t)
	store, other := s.at(t, address), s.at(t, address)
	tell := func(to core.Store, number int, e core.Event) {
		t.Helper()
		for told := 0; told < number; told += 100 {
			update(t, to, func(tx core.Tx) error {
				for i := told; i < min(told+100, number); i++ {
					e.Step = fmt.Sprint(i)
					if err := tx.AddEvent(e); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	list := func(f core.EventFilter) []core.Event {
		t.Helper()
		return read(t, other, func(tx core.Tx) ([]core.Event, error) { return drain(tx.Events(f)) })
	}
	// kept checks that of so many that were told the last are there, and one event for the
	// others; it returns how many are.
	kept := func(name string, all []core.Event, told int) int {
		t.Helper()
		if len(all) < 2 || all[0].Type != core.LeftOut {
			t.Fatalf("%s: of %d events %d are kept, and the first is %+v", name, told, len(all), all[:min(1, len(all))])
		}
		rest := all[1:]
		if want := fmt.Sprintf("%d events since ", told-len(rest)); !strings.HasPrefix(all[0].Message, want) {
			t.Errorf("%s: %q, want %q", name, all[0].Message, want)
		}
		for i, ev := range rest {
			if want := fmt.Sprint(told - len(rest) + i); ev.Step != want || ev.Type == core.LeftOut || ev.Seq <= all[i].Seq {
				t.Fatalf("%s: event %d is %s after %s, want %s", name, i, ev.Step, all[i].Step, want)
			}
		}
		return len(rest)
	}

	tell(store, 7, core.Event{Node: "n2", Type: core.Note, Message: "mine"})
	begins := list(core.EventFilter{})
	tell(store, core.MostEvents, core.Event{Node: "n1", Allocation: "a1", Type: core.Note})
	if all := list(core.EventFilter{Node: "n1"}); len(all) != core.MostEvents || all[0].Type == core.LeftOut {
		t.Fatalf("%d events are kept, want %d", len(all), core.MostEvents)
	}
	tell(store, 500, core.Event{Allocation: "a2", Type: core.Note, Message: "waits"})
	const over = 900
	update(t, store, func(tx core.Tx) error {
		for i := range over {
			if err := tx.AddEvent(core.Event{Node: "n1", Allocation: "a1", Type: core.Note, Step: fmt.Sprint(core.MostEvents + i), Generation: 3}); err != nil {
				return err
			}
		}
		return nil
	})
	if n := kept("too many", list(core.EventFilter{Node: "n1"}), core.MostEvents+over); n != core.MostEvents {
		t.Errorf("%d are kept, want %d", n, core.MostEvents)
	}
	kept("of the allocation", list(core.EventFilter{Allocation: "a1"}), core.MostEvents+over)
	if got := list(core.EventFilter{Node: "n2"}); len(got) != 7 || got[0].Type == core.LeftOut {
		t.Errorf("of another node there is %d events: %+v", len(got), got)
	}
	// Who follows is told that there is a gap.
	if next := list(core.EventFilter{Node: "n1", After: begins[len(begins)-1].Seq}); len(next) == 0 || next[0].Type != core.LeftOut {
		t.Errorf("after number %d there is no LeftOut", begins[len(begins)-1].Seq)
	}

	// Long ones count for more, also of an allocation without a node.
	long := strings.Repeat("é", int(core.MostMessage)/2)
	const number = 500 + 40
	update(t, other, func(tx core.Tx) error {
		for i := 500; i < number; i++ {
			if err := tx.AddEvent(core.Event{Allocation: "a2", Type: core.StepOutput, Step: fmt.Sprint(i), Message: long}); err != nil {
				return err
			}
		}
		return nil
	})
	all := list(core.EventFilter{Allocation: "a2"})
	if n, want := kept("too long", all, number), int(core.MostTold/core.MostMessage); n != want {
		t.Errorf("%d of %s are kept, want %d", n, core.MostMessage, want)
	}
	// Too long for one event.
	update(t, store, func(tx core.Tx) error {
		return tx.AddEvent(core.Event{Node: "n2", Type: core.StepOutput, Message: "first" + strings.Repeat(long, 3) + "last"})
	})
	got := list(core.EventFilter{Node: "n2", Limit: 1})[0].Message
	if len(got) > int(core.MostMessage) || !strings.HasPrefix(got, "firsté") || !strings.HasSuffix(got, "élast") || !strings.Contains(got, " left out …") || strings.Contains(got, "\uFFFD") {
		t.Errorf("of a message of %d bytes %d are kept: %.20q … %q", 3*len(long), len(got), got, got[max(0, len(got)-20):])
	}
}
