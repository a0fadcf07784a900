package core

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// How much is kept of what was told: of each node, and of each allocation for as long as
// it has none. What is beyond that is left out, the oldest first, and one event of type
// LeftOut stands in its place. A node of which all is kept that may be takes about a
// megabyte.
const (
	MostEvents  = 2000
	MostTold    = 512 * KiB // the texts of those events together
	MostMessage = 36 * KiB  // of one event: more than the output of a step, which is kept in part
)

// Bounded is an event as it is kept: of a message that is too long, the beginning and the
// end.
func (e Event) Bounded() Event {
	over := len(e.Message) - int(MostMessage)
	if over <= 0 {
		return e
	}
	half := int(MostMessage-KiB) / 2
	head, tail := e.Message[:half], e.Message[len(e.Message)-half:]
	for len(head) > 0 && !utf8.ValidString(head[max(0, len(head)-utf8.UTFMax):]) && len(head) > half-utf8.UTFMax {
		head = head[:len(head)-1] // a character that was cut in two
	}
	for len(tail) > half-utf8.UTFMax && !utf8.RuneStart(tail[0]) {
		tail = tail[1:]
	}
	e.Message = head + fmt.Sprintf("\n… %s left out …\n", Bytes(len(e.Message)-len(head)-len(tail))) + tail
	return e
}

// leftOut is the message of a LeftOut: how many events, and since when.
const leftOut = "%d events since %s are no longer kept"

// LeaveOut is the event that stands for old ones, oldest first, of one node or one
// allocation, in the place of the last of them. An earlier LeftOut may be among them.
//
// To, On and Step tell what the invariants rest on: the state that they led to, Done where
// the node had just been erased and verified, and whether a clean under way has erased it.
func LeaveOut(old []Event) Event {
	last := old[len(old)-1]
	out := Event{Seq: last.Seq, At: last.At, Node: last.Node, Allocation: last.Allocation, Type: LeftOut, By: last.By}
	var (
		told  = newStory()
		count int
		since = old[0].At
	)
	for _, ev := range old {
		told.tell(ev)
		n, began := 1, ev.At
		if ev.Type == LeftOut {
			n, began = leftOutOf(ev)
		}
		count += n
		if began.Before(since) {
			since = began
		}
	}
	out.Message = fmt.Sprintf(leftOut, count, since.UTC().Format(time.RFC3339))
	out.Generation, out.To = told.generation, told.state
	if told.touched == "" {
		out.On = Done
	}
	if told.erased {
		out.Step = stepErase
	}
	return out
}

// leftOutOf reads back how many events a LeftOut stands for, and since when.
func leftOutOf(ev Event) (count int, since time.Time) {
	var at string
	if _, err := fmt.Sscanf(ev.Message, leftOut, &count, &at); err != nil {
		return 1, ev.At
	}
	since, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return count, ev.At
	}
	return count, since
}

// resume has a story go on where those events end that a LeftOut stands for.
func (s *story) resume(ev Event) {
	s.told, s.state, s.seq = ev.To != "", ev.To, ev.Seq
	s.erased = ev.Step == stepErase
	s.touched = ""
	if ev.On != Done {
		s.touched = fmt.Sprintf("it was touched (before event %d)", ev.Seq)
	}
}
