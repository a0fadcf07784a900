package record

import (
	"iter"
	"math/rand/v2"
	"sync"

	"github.com/metalpool/metalpool/core"
)

// Story is whose events are bounded together: those of a node, or those of an allocation
// while it has none. The zero Story is what concerns the store, which is told rarely.
type Story struct {
	Node       core.NodeID
	Allocation core.AllocationID
}

func storyOf(e core.Event) Story {
	if e.Node != "" {
		return Story{Node: e.Node}
	}
	return Story{Allocation: e.Allocation}
}

// Growth is how much each story grows by one transaction.
type Growth map[Story]growth

type growth struct {
	events int
	told   core.Bytes
}

func (g growth) plus(more growth) growth { return growth{g.events + more.events, g.told + more.told} }

// Add counts an event.
func (g *Growth) Add(e core.Event) {
	if *g == nil {
		*g = Growth{}
	}
	story := storyOf(e)
	(*g)[story] = (*g)[story].plus(growth{1, core.Bytes(len(e.Message))})
}

// Stories decides when a store looks whether a story is too long: to look costs more than
// to tell, so that each process looks after so much as it has told itself. It begins to
// count anywhere below that, so that many processes that tell little, as commands do, look
// as often as one that tells much.
type Stories struct {
	mu    sync.Mutex
	grown map[Story]growth
}

const (
	lookEvents = 64
	lookTold   = 64 * core.KiB
	// mostCounted bounds what is kept in memory. Where there is more, it is counted anew.
	mostCounted = 1 << 15
)

// Grown adds what was committed, and lists the stories to look at.
func (s *Stories) Grown(by Growth) (due []Story) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grown == nil || len(s.grown) > mostCounted {
		s.grown = map[Story]growth{}
	}
	for story, more := range by {
		if story == (Story{}) {
			continue
		}
		sum, known := s.grown[story]
		if !known {
			sum.events = rand.IntN(lookEvents)
		}
		if sum = sum.plus(more); sum.events >= lookEvents || sum.told >= lookTold {
			due, sum = append(due, story), growth{}
		}
		s.grown[story] = sum
	}
	return due
}

// Told is an event as far as it counts for the length of its story.
type Told struct {
	Seq  int64
	Type core.EventType
	Size int64 // of its message, in bytes
}

// ToldColumns are what ToldRow reads; the size is that of the text in bytes.
const ToldColumns = "seq, type, octet_length(message)"

// ToldRow reads a row of ToldColumns.
func ToldRow(row Row) (t Told, err error) {
	err = row.Scan(&t.Seq, &t.Type, &t.Size)
	return t, err
}

// Excess is the last event of a story that is to be left out with all before it; 0 where
// it is short enough. The events come newest first.
func Excess(events iter.Seq2[Told, error]) (last int64, err error) {
	var sum growth
	for ev, err := range events {
		if err != nil {
			return 0, err
		}
		if ev.Type == core.LeftOut {
			continue
		}
		if sum = sum.plus(growth{1, core.Bytes(ev.Size)}); sum.events > core.MostEvents || sum.told > core.MostTold {
			return ev.Seq, nil
		}
	}
	return 0, nil
}
