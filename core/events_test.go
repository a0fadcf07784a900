package core_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// TestTheStoryOfADeploy holds the events to what those who follow a node count on: the
// steps in their order, how far a long one is, and how much it moved.
func TestTheStoryOfADeploy(t *testing.T) {
	for name, tt := range map[string]struct {
		writing time.Duration
		moves   []string
	}{
		"a quick write is done before it is worth telling": {time.Second, nil},
		"one of a quarter of a minute is seen on its way":  {15 * time.Second, []string{"33% of 1 GiB", "67% of 1 GiB"}},
		"a long one is told rarely":                        {2 * time.Minute, []string{"12% of 1 GiB", "25% of 1 GiB", "38% of 1 GiB", "51% of 1 GiB", "64% of 1 GiB", "77% of 1 GiB", "90% of 1 GiB"}},
		"a very long one in tenths":                        {50 * time.Minute, []string{"10% of 1 GiB", "20% of 1 GiB", "30% of 1 GiB", "40% of 1 GiB", "50% of 1 GiB", "60% of 1 GiB", "70% of 1 GiB", "80% of 1 GiB", "90% of 1 GiB"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				p.rack.Writing = tt.writing
				e, _ := p.engine()
				if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
					t.Fatal(err)
				}
				events, err := e.Events(t.Context(), core.EventFilter{Allocation: "a-1"})
				if err != nil {
					t.Fatal(err)
				}
				var steps, moves []string
				for _, ev := range events {
					switch ev.Type {
					case core.StepMet:
						steps = append(steps, ev.Step)
						if moved := ev.Step == "write image"; moved != (ev.Bytes == core.GiB) || !moved && ev.Bytes != 0 {
							t.Errorf("%q moved %s", ev.Step, ev.Bytes)
						}
					case core.StepMoves:
						moves = append(moves, ev.Message)
						if ev.Step != "write image" || ev.Bytes == 0 {
							t.Errorf("progress %+v", ev)
						}
					}
				}
				if want := []string{"power on", "boot ramdisk", "inspect", "write image", "write seed", "boot", "eject media", "ssh"}; !slices.Equal(steps, want) {
					t.Errorf("steps %q, want %q", steps, want)
				}
				if !slices.Equal(moves, tt.moves) {
					t.Errorf("progress %q, want %q", moves, tt.moves)
				}
			})
		})
	}
}

// A step that is stuck is seen from outside: what it waits for, since when and until
// when. However often it tries, that is told once.
func TestTheStoryOfAStuckStep(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(s *enginetest.Server)
		step  string
		want  string // ends the event
		limit string
	}{
		"its BMC does not answer": {
			func(s *enginetest.Server) {
				s.Fail(enginetest.Fault{Op: "insert", Err: enginetest.ErrUnreachable, Times: -1})
			}, "boot ramdisk", "trying again: " + enginetest.ErrUnreachable.Error(), "24m"},
		"another host key": {
			func(s *enginetest.Server) {
				s.ShowSSH(core.SSHLook{Sign: core.KeyShown, Key: "ssh-ed25519 OTHER"})
			}, "ssh", "shows another host key than was made for this machine: ssh-ed25519 OTHER", "20m"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				e, _ := p.engine()
				tt.spoil(p.rack.Server("n1"))
				var said []string
				if _, err := e.Create(t.Context(), order("a-1", "web-1"), func(pr core.Progress) {
					if pr.Step == tt.step {
						said = append(said, pr.Message)
					}
				}); err == nil {
					t.Fatal("it was deployed")
				}
				events, err := e.Events(t.Context(), core.EventFilter{Node: "n1"})
				if err != nil {
					t.Fatal(err)
				}
				waits := slices.DeleteFunc(events, func(ev core.Event) bool { return ev.Type != core.StepWaits })
				if len(waits) != 1 {
					t.Fatalf("%d events:\n%s", len(waits), p.story())
				}
				ev := waits[0]
				if ev.Step != tt.step || !strings.HasPrefix(ev.Message, "since ") || !strings.Contains(ev.Message, ", until ") || !strings.HasSuffix(ev.Message, tt.want) {
					t.Errorf("%s: %q", ev.Step, ev.Message)
				}
				if !strings.HasSuffix(said[0], ", at most "+tt.limit) || !slices.Contains(said, ev.Message) {
					t.Errorf("the caller heard %q", said)
				}
			})
		})
	}
}

// What a BMC refused, and did at the next try, is part of the story: each fault once, as
// it comes.
func TestTheStoryOfFaultsThatPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		s := p.rack.Server("n1")
		s.Fail(enginetest.Fault{Op: "insert", Err: enginetest.ErrUnreachable, Times: 2})
		s.Fail(enginetest.Fault{Op: "eject", Err: enginetest.ErrUnreachable, Times: 1})
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatal(err)
		}
		events, err := e.Events(t.Context(), core.EventFilter{Allocation: "a-1"})
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, ev := range events {
			if ev.Type == core.StepWaits || ev.Type == core.StepMet && ev.Message != "" && ev.Step != "power on" {
				_, what, cut := strings.Cut(ev.Message, " UTC: ")
				if !cut {
					what = ev.Message
				}
				said = append(said, ev.Step+" "+string(ev.Type)+" "+what)
			}
		}
		want := []string{
			"boot ramdisk waits trying again: " + enginetest.ErrUnreachable.Error(),
			"boot ramdisk step after 2 tries that failed",
			"eject media waits trying again: " + enginetest.ErrUnreachable.Error(),
			"eject media step at the second try",
		}
		if !slices.Equal(said, want) {
			t.Errorf("told\n%s\nwant\n%s\nof\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"), p.story())
		}
	})
}

// A power verb that a BMC refuses is told with its words.
func TestTheStoryOfAPowerVerb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatal(err)
		}
		p.rack.Server("n1").Fail(enginetest.Fault{Op: "set power off", Err: enginetest.ErrBroken, Times: -1})
		if err := e.SetPower(t.Context(), "a-1", core.TurnOff); err == nil {
			t.Fatal("it was switched off")
		}
		events, err := e.Events(t.Context(), core.EventFilter{Allocation: "a-1", Limit: 1})
		if err != nil || len(events) != 1 || !strings.HasPrefix(events[0].Message, "power off failed: ") || !strings.Contains(events[0].Message, enginetest.ErrBroken.Error()) {
			t.Errorf("told %+v, %v", events, err)
		}
	})
}

// An error of a create tells what happened before it, for whoever has nothing else.
func TestAnErrorTellsWhatHappenedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		s := p.rack.Server("n1")
		s.Fail(enginetest.Fault{Op: "insert", Err: enginetest.ErrUnreachable, Times: 1})
		s.Fail(enginetest.Fault{Op: "write", Err: enginetest.ErrBroken, Times: -1})
		_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		told := strings.Join(core.Before(err), "\n")
		for _, want := range []string{" n1 boot ramdisk waits: since ", "trying again: " + enginetest.ErrUnreachable.Error(), " n1 boot ramdisk done: at the second try", " n1 write image failed\n", " n1 Deploying → Failed (give up)"} {
			if !strings.Contains(told, want) {
				t.Errorf("there is no %q before %v:\n%s", want, err, told)
			}
		}
		if err == nil || strings.Contains(err.Error(), "power on") {
			t.Errorf("the error itself is %v", err)
		}
	})
}
