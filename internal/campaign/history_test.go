package campaign

import (
	"strings"
	"testing"
	"time"
)

// at is a moment of the story.
func at(second int) time.Time { return time.Unix(1_900_000_000+int64(second), 0) }

func TestHistoryFindsANodeThatTwoHave(t *testing.T) {
	for _, test := range []struct {
		name  string
		given int // when the first gives n1 up; 0: never
		told  int // when the second is told of n1
		twice bool
	}{
		{"while the first has it", 0, 5, true},
		{"before the first gives it up", 9, 5, true},
		{"after the first has given it up", 3, 5, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var h History
			tell(t, &h, "a", "n1", 1)
			if test.given > 0 {
				h.Giving("a", at(test.given))
			}
			tell(t, &h, "b", "n1", test.told)
			tell(t, &h, "c", "n2", test.told)
			if found := h.Twice(); len(found) > 0 != test.twice {
				t.Errorf("found %v", found)
			}
		})
	}
}

func tell(t *testing.T, h *History, id, node string, second int) {
	t.Helper()
	if err := h.Told(id, "ann", "web-"+id, node, at(second)); err != nil {
		t.Fatal(err)
	}
}

func TestHistoryFindsWhatWasLost(t *testing.T) {
	whole := Machine{ID: "a", Owner: "ann", Name: "web-a", Node: "n1", State: "Deployed"}
	for _, test := range []struct {
		name string
		edit func(m *Machine)
		want string
	}{
		{"nothing", func(*Machine) {}, ""},
		{"its row", func(m *Machine) { m.ID = "z" }, "not in the pool"},
		{"its node", func(m *Machine) { m.Node = "n2" }, `on "n2"`},
		{"its name", func(m *Machine) { m.Name = "web-z" }, "web-z"},
		{"its life", func(m *Machine) { m.State = "Released" }, "nobody has given it up"},
		{"nothing by a failed deploy", func(m *Machine) { m.State = "Failed" }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var h History
			tell(t, &h, "a", "n1", 1)
			tell(t, &h, "b", "n3", 1)
			h.Giving("b", at(2))
			m := whole
			test.edit(&m)
			found := strings.Join(h.Lost(map[string]Machine{m.ID: m}), "; ")
			if (found == "") != (test.want == "") || !strings.Contains(found, test.want) {
				t.Errorf("found %q, want %q", found, test.want)
			}
		})
	}
}

func TestHistoryRefusesAStoryThatCannotBe(t *testing.T) {
	var h History
	tell(t, &h, "a", "n1", 1)
	if h.Told("a", "ann", "web-a", "n2", at(2)) == nil {
		t.Error("a machine moves while it is had")
	}
	h.Giving("a", at(3))
	if h.Told("a", "ann", "web-a", "n1", at(4)) == nil {
		t.Error("what was given up comes back")
	}
}
