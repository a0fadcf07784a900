package core

import (
	"strings"
	"testing"
	"time"
)

// Whatever of a node's story is left out, the invariants are judged as from all of it.
func TestLeaveOutKeepsTheStory(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var all []Event
	tell := func(e Event) {
		e.Seq, e.At, e.Node = int64(10+len(all)), at.Add(time.Duration(len(all))*time.Minute), "n1"
		all = append(all, e)
	}
	change := func(from, to State, on Trigger, generation uint64) {
		tell(Event{Type: StateChanged, From: from, To: to, On: on, Generation: generation})
	}
	change(Unborn, Cleaning, EnrollErase, 0)
	tell(Event{Type: StepMet, Step: stepOff, Generation: 1})
	tell(Event{Type: Erased, Generation: 1})
	change(Cleaning, Available, Done, 1)
	change(Available, Allocated, Claim, 0)
	change(Allocated, Available, Release, 0)
	change(Available, Allocated, Claim, 0)
	change(Allocated, Deploying, Deploy, 2)
	tell(Event{Type: StepFailed, Step: stepWrite, Generation: 2})
	change(Deploying, Failed, GiveUp, 2)
	change(Failed, Cleaning, Release, 3)
	tell(Event{Type: Erased, Generation: 3})
	tell(Event{Type: Note})
	change(Cleaning, Available, Done, 3)

	told := func(events []Event) story {
		s := newStory()
		for _, ev := range events {
			s.tell(ev)
		}
		s.seq = 0 // of which event, only the text of a fault says
		if s.touched != "" {
			s.touched = "it was touched"
		}
		return *s
	}
	for first := 1; first <= len(all); first++ {
		for second := first; second <= len(all); second++ {
			// What was left out once is left out again with what came after it.
			once := append([]Event{LeaveOut(all[:first])}, all[first:second]...)
			out := LeaveOut(once)
			if want := all[second-1]; out.Seq != want.Seq || !out.At.Equal(want.At) || out.Node != "n1" {
				t.Errorf("%d and %d: in the place of %d, want %d", first, second, out.Seq, want.Seq)
			}
			if n, since := leftOutOf(out); n != second || !since.Equal(at) {
				t.Errorf("%d and %d: %q", first, second, out.Message)
			}
			for end := second; end <= len(all); end++ {
				got, want := told(append([]Event{out}, all[second:end]...)), told(all[:end])
				if got != want {
					t.Fatalf("%d and %d left out of %d: the story is %+v, want %+v", first, second, end, got, want)
				}
			}
		}
	}
	if got := told([]Event{LeaveOut(all), {Type: StateChanged, From: Failed, To: Cleaning}}); !strings.Contains(got.broken, "had left it Available") {
		t.Errorf("a gap after what was left out is %q", got.broken)
	}
}
